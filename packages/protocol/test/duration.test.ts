import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseByteSize } from '../src/byte-size.ts';
import { formatDuration, parseDuration } from '../src/duration.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

test('a duration is read as people and as ISO 8601 write it, and written in one way [RET-10]', () => {
  for (const [text, ms, canonical] of [
    ['90d', 90 * DAY, '90d'],
    ['12h', 12 * HOUR, '12h'],
    ['48h', 2 * DAY, '2d'],
    ['30m', HOUR / 2, '30m'],
    ['45s', 45_000, '45s'],
    ['2w', 14 * DAY, '14d'],
    ['1d12h', 1.5 * DAY, '1d12h'],
    ['1w2d3h4m5s', 9 * DAY + 3 * HOUR + 245_000, '9d3h4m5s'],
    ['P30D', 30 * DAY, '30d'],
    ['P2W', 14 * DAY, '14d'],
    ['PT12H', 12 * HOUR, '12h'],
    ['P1DT1M', DAY + 60_000, '1d1m'],
    ['0d5s', 5000, '5s'],
    ['36500d', 36_500 * DAY, '36500d'],
  ] as const) {
    assert.equal(parseDuration(text), ms, text);
    assert.equal(formatDuration(ms), canonical);
    assert.equal(parseDuration(canonical), ms);
  }
});

test('anything else is no duration: other units, orders, signs, decimals, nothing, or more than a hundred years [RET-10]', () => {
  for (const text of [
    '',
    '0',
    '0s',
    '5',
    '-5s',
    '+5s',
    '1.5h',
    '5 d',
    ' 5d',
    '5d ',
    '5D',
    '5d\n',
    '12h1d',
    '5x',
    '5ms',
    '1d1d',
    'd',
    'P',
    'PT',
    'P1DT',
    'P1M',
    'P1Y',
    'P0D',
    'PT5',
    'P1.5D',
    '-P1D',
    'p1d',
    'P5H',
    'PT1D',
    '36501d',
    '1e3s',
    'Infinity',
    'NaN',
    `${'9'.repeat(400)}d`,
    '９d',
    'forever',
  ])
    // prettier-ignore
    assert.equal(parseDuration(text), undefined, JSON.stringify(text));
});

test('a size is a number of bytes, or a number and a decimal or binary unit [RET-10]', () => {
  for (const [text, bytes] of [
    ['1000', 1000],
    ['1000B', 1000],
    ['10GB', 1e10],
    ['10 GB', 1e10],
    ['5kB', 5000],
    ['512MiB', 512 * 2 ** 20],
    ['2TiB', 2 ** 41],
  ] as const)
    assert.equal(parseByteSize(text), bytes, text);
  for (const text of [
    '',
    '0',
    '0GB',
    '-1',
    '1.5GB',
    'GB',
    '10gb',
    '10G',
    '10  GB',
    ' 1',
    '1\n',
    '1e9',
    '9007199254740992',
    '9999999999TB',
  ])
    // prettier-ignore
    assert.equal(parseByteSize(text), undefined, JSON.stringify(text));
});
