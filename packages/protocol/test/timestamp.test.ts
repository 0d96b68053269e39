import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Instant, LIMITS, compareInstants, firstMsFrom, parseTimestamp } from '../src/index.ts';

/** A time as text, beside the number that orders it: minutes of 61 seconds, with 40 decimals. */
interface Time {
  readonly text: string;
  readonly order: bigint;
}

const DAY_MIN = Date.UTC(1999, 11, 1) / 86_400_000;

/** Few days, minutes and digits, so that times often fall into the same second, or the same millisecond. */
const time: fc.Arbitrary<Time> = fc
  .record({
    day: fc.integer({ min: DAY_MIN, max: DAY_MIN + 2 }),
    hour: fc.constantFrom(0, 1, 22, 23),
    minute: fc.constantFrom(0, 58, 59),
    second: fc.constantFrom(0, 58, 59, 60),
    decimals: fc
      .array(fc.constantFrom('0', '0', '1', '9'), { maxLength: 36 })
      .map((digits) => digits.join('')),
    point: fc.constantFrom('.', ','),
    zone: fc.constantFrom<[string, number]>(
      ['', 0], ['Z', 0], ['z', 0], ['+01', 60], ['-0100', -60], ['+00:01', 1], ['-23:59', -1439], ['+05:30', 330],
    ), // prettier-ignore
  })
  .map(({ day, hour, minute, second, decimals, point, zone: [zone, zoneMinutes] }) => {
    const inMinute59 = second === 60 ? 59 : minute;
    const date = new Date(day * 86_400_000).toISOString().slice(0, 10);
    const clock = [hour, inMinute59, second].map((part) => String(part).padStart(2, '0')).join(':');
    const minutes = BigInt(day * 1440 + hour * 60 + inMinute59 - zoneMinutes);
    return {
      text: `${date}T${clock}${decimals === '' ? '' : point + decimals}${zone}`,
      order: (minutes * 61n + BigInt(second)) * 10n ** 40n + BigInt(decimals.padEnd(40, '0')),
    };
  });

const parsed = (text: string): Instant => parseTimestamp(text) ?? assert.fail(text);

test('times are ordered by every digit that was sent, whatever their zone [EVT-7]', () => {
  fc.assert(
    fc.property(time, time, (a, b) => {
      const expected = a.order < b.order ? -1 : a.order > b.order ? 1 : 0;
      const found = Math.sign(compareInstants(parsed(a.text), parsed(b.text)));
      assert.equal(found, expected, `${a.text} and ${b.text}`);
    }),
    { numRuns: 5000 },
  );
});

test('the first millisecond from a time is not before it, and the one before is [EVT-7]', () => {
  fc.assert(
    fc.property(time, ({ text }) => {
      const instant = parsed(text);
      const ms = firstMsFrom(instant);
      assert.ok(compareInstants({ epochMs: ms, finer: '' }, instant) >= 0, text);
      assert.ok(compareInstants({ epochMs: ms - 1, finer: '' }, instant) < 0, text);
    }),
  );
});

test('second 60 comes after all of second 59 and before the next minute [EVT-7]', () => {
  const inOrder = [
    '2016-12-31T23:59:59.999999999Z',
    '2016-12-31T23:59:60Z',
    '2016-12-31T23:59:60.0001Z',
    '2016-12-31T23:59:60.5Z',
    '2016-12-31T23:59:60.51Z',
    '2017-01-01T00:00:00Z',
  ].map(parsed);
  assert.deepEqual(inOrder.toReversed().toSorted(compareInstants), inOrder);
  assert.equal(compareInstants(parsed('2016-12-31T23:59:60Z'), parsed('2017-01-01T00:59:60.000+01')), 0);
  assert.equal(firstMsFrom(parsed('2016-12-31T23:59:60Z')), Date.UTC(2017, 0, 1));
});

test('a time of the longest form keeps its last digit [EVT-7]', () => {
  const head = '2025-10-28T10:00:00.';
  const text = (last: string) => `${head}${'0'.repeat(LIMITS.timestampCharsMax - head.length - 2)}${last}Z`;
  assert.ok(compareInstants(parsed(text('1')), parsed(text('2'))) < 0);
  assert.equal(compareInstants(parsed(text('0')), parsed('2025-10-28T10:00:00Z')), 0);
  assert.equal(parseTimestamp(`${text('1')}0`), undefined);
});
