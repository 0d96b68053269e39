import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucketsOf, quantileBetween, readExposition, sampleText, sampleValue } from '../src/exposition.ts';

const PAGE = String.raw`# HELP chronicleweaver_groups Groups.
# TYPE chronicleweaver_groups gauge
chronicleweaver_groups 2
events_total{verdict="accepted"} 9007199254740993
events_total{verdict="conflict"} 0
odd{group="a\"b\\c\nd",other="x, y=\"z\""} 1.5e3
time_bucket{le="0.001"} 10
time_bucket{le="0.01"} 90
time_bucket{le="+Inf"} 100
`;

test('samples are found by name and labels, and keep their digits', () => {
  const page = readExposition(PAGE);
  assert.equal(sampleText(page, 'events_total', { verdict: 'accepted' }), '9007199254740993');
  assert.equal(sampleValue(page, 'chronicleweaver_groups'), 2);
  assert.equal(sampleText(page, 'none'), '');
  assert.ok(Number.isNaN(sampleValue(page, 'events_total', { verdict: 'other' })));
});

test('labels may contain whatever a name may', () => {
  const labels = readExposition(PAGE).get('odd')?.[0]?.labels;
  assert.deepEqual(Object.fromEntries(labels ?? []), { group: 'a"b\\c\nd', other: 'x, y="z"' });
});

test('a quantile is that of what came between two looks', () => {
  const now = bucketsOf(readExposition(PAGE), 'time');
  assert.equal(quantileBetween(undefined, now, 0.5)?.toFixed(6), '0.005500');
  assert.equal(quantileBetween(undefined, now, 0.05), 0.0005);
  assert.equal(quantileBetween(undefined, now, 0.99), 0.01, 'beyond the last bound it is that bound');
  const before = { ...now, counts: [10, 10, 20] };
  assert.equal(quantileBetween(before, now, 0.5)?.toFixed(6), '0.005500');
  assert.equal(quantileBetween(now, now, 0.5), undefined, 'nothing came');
  assert.equal(quantileBetween({ ...now, counts: [200, 200, 200] }, now, 0.5), undefined, 'it began anew');
});
