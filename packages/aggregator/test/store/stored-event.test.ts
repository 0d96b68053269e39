import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Framing, StoredEventWriter, framedEvent } from '../../src/store/stored-event.ts';

const FRAMINGS: readonly Framing[] = ['array', 'lines', 'stream'];

/** The contents of a page: offsets that continue, skip some, go back and gain a digit; commits that change. */
const page = fc.record({
  framing: fc.constantFrom(...FRAMINGS),
  isTaken: fc.boolean(),
  events: fc.array(
    fc.record({
      text: fc.json().map((value) => `{"payload":${value}}`),
      offset: fc.oneof(fc.nat(120), fc.integer({ min: 990, max: 1010 }), fc.maxSafeNat()),
      following: fc.nat(25),
      receivedMs: fc.nat(2),
    }),
    { maxLength: 8 },
  ),
});

test('events are written as the same bytes that splicing strings gives, page after page [READ-1]', () => {
  fc.assert(
    fc.property(fc.array(page, { maxLength: 6 }), (pages) => {
      const writer = new StoredEventWriter();
      const taken: [Uint8Array, string][] = [];
      for (const { framing, events, isTaken } of pages) {
        writer.begin(framing);
        let expected = '';
        for (const { text, offset, following, receivedMs } of events) {
          const last = Math.min(offset + following, Number.MAX_SAFE_INTEGER);
          for (let at = offset; at <= last; at++) {
            writer.write(Buffer.from(text), at, receivedMs);
            expected += framedEvent(text, at, receivedMs, framing);
          }
        }
        assert.equal(writer.length, Buffer.byteLength(expected));
        if (isTaken) taken.push([writer.take(), expected]);
      }
      // What was taken stays unchanged, whatever is written after it.
      for (const [bytes, expected] of taken) assert.equal(Buffer.from(bytes).toString(), expected);
    }),
  );
});

test('an event larger than a page is written completely, and the page is taken without a copy', () => {
  const writer = new StoredEventWriter();
  const text = `{"payload":{"large":"${'x'.repeat(3_000_000)}"}}`;
  writer.begin('lines');
  writer.write(Buffer.from(text), 1, 0);
  const bytes = writer.take();
  writer.begin('lines');
  writer.write(Buffer.from('{}'), 2, 0);
  assert.equal(Buffer.from(bytes).toString(), framedEvent(text, 1, 0, 'lines'));
});
