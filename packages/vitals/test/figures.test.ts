import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grouped, rateText, secondsText, sizeText, spanText } from '../src/figures.ts';

test('a count is grouped, and keeps all its digits', () => {
  assert.equal(grouped('12345678901234567890'), '12,345,678,901,234,567,890');
  assert.equal(grouped('999'), '999');
  assert.equal(grouped('-1000'), '-1,000');
  for (const other of ['', '1.5', '1e3', 'none']) assert.equal(grouped(other), other);
});

test('what was computed is rounded to what can be read at a glance', () => {
  assert.deepEqual([0, 0.25, 9.99, 1234.5].map(rateText), ['0', '0.3', '10.0', '1,235']);
  assert.equal(rateText(undefined), '–');
  assert.deepEqual([0, 999, 1500, 123_456_789].map(sizeText), ['0 B', '999 B', '1.5 kB', '123 MB']);
  assert.deepEqual([0.0005, 0.0231, 2.5].map(secondsText), ['0.5 ms', '23 ms', '2.5 s']);
  assert.deepEqual([0.4, 61, 3600, 93_784].map(spanText), ['0 s', '1 min 1 s', '1 h', '1 d 2 h']);
});
