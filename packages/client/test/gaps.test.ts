import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../aggregator/src/store/memory/store.ts';
import { manyEvents } from '../../aggregator/test/support/events.ts';
import { publishExpiring } from '../../aggregator/test/support/letting-go.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { ChronicleWeaver, type Gap, type StoredEvent } from '../src/index.ts';

const store = new MemoryStore();
const closing: (() => unknown)[] = [];
const server = await TestServer.startOn({ after: (close) => closing.push(close) }, () => store);
await publishExpiring(
  { server, store, retention: store.retention },
  manyEvents(2100),
  (offset) => offset <= 5 || offset === 8 || offset === 2050,
);

/** The offsets of events and the gaps, in the order in which they came, up to an offset. */
async function told(
  read: (options: { onGap: (gap: Gap) => void }) => AsyncIterable<StoredEvent>,
  upTo: number,
): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const { offset } of read({ onGap: (gap) => all.push(gap) })) {
    all.push(offset);
    if (offset === upTo) break;
  }
  return all;
}

test('subscribe calls onGap in the place of what is no longer kept, and needs none [RET-27]', async (t) => {
  t.after(async () => {
    for (const close of closing) await close();
  });
  await using chronicle = new ChronicleWeaver({ url: server.url });
  assert.deepEqual(await told((options) => chronicle.subscribe({ after: 'earliest' }, options), 10), [
    { expired: 5, after: 0, next: 5 },
    6,
    7,
    { expired: 1, after: 7, next: 8 },
    9,
    10,
  ]);
  const offsets: number[] = [];
  for await (const { offset } of chronicle.subscribe({ after: 6 })) {
    if (offsets.push(offset) === 2) break;
  }
  assert.deepEqual(offsets, [7, 9]);
  await assert.rejects(chronicle.subscribe({ after: 3, expired: 'refuse' }).next(), {
    name: 'ProblemError',
    code: 'cursor_expired',
    expired: 2,
    next: 5,
  });
  // It is cut before the gap, and refused when it comes back.
  const strict = chronicle.subscribe({ after: 6, expired: 'refuse' });
  assert.equal((await strict.next()).value?.offset, 7);
  await assert.rejects(strict.next(), { code: 'cursor_expired', expired: 1, next: 8 });

  const read = await told((options) => chronicle.read({}, options), Infinity);
  assert.deepEqual(
    read.filter((one) => typeof one !== 'number'),
    [
      { expired: 6, after: undefined, next: 1006 },
      { expired: 1, after: 2006, next: undefined },
    ],
  );
  assert.equal(read.length, 2100 - 7 + 2);
  await assert.rejects(chronicle.read({ after: 2049, expired: 'refuse' }).next(), { next: 2050 });
});
