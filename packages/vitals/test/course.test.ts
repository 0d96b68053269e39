import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Course, lookAtBooks, lookAtMetrics } from '../src/course.ts';
import { readExposition } from '../src/exposition.ts';

const pageOf = (accepted: number | bigint, duplicate: number, full = 0): string =>
  `chronicleweaver_store_events_total{verdict="accepted"} ${accepted}
chronicleweaver_store_events_total{verdict="duplicate"} ${duplicate}
chronicleweaver_store_events_total{verdict="conflict"} 0
chronicleweaver_refusals_total{code="queue_full"} ${full}
chronicleweaver_commit_duration_seconds_bucket{le="0.001"} ${accepted}
chronicleweaver_commit_duration_seconds_bucket{le="+Inf"} ${accepted}
`;
const look = (atMs: number, accepted: number | bigint, duplicate = 0, full = 0) =>
  lookAtMetrics(readExposition(pageOf(accepted, duplicate, full)), atMs)!;

test('rates are those between two looks, whatever came in between', () => {
  const course = new Course(60_000);
  course.add(look(0, 100));
  assert.deepEqual(course.rates, []);
  course.add(look(1000, 150, 10));
  course.add(look(11_000, 250, 10));
  assert.deepEqual(
    course.rates.map(({ accepted, duplicate }) => [accepted, duplicate]),
    [
      [50, 10],
      [10, 0],
    ],
  );
  assert.equal(course.mean('accepted', 5000), 10);
  assert.equal(course.mean('accepted'), 30);
});

test('beyond 2^53 they are still exact', () => {
  const course = new Course(60_000);
  course.add(look(0, 9007199254740993n));
  course.add(look(1000, 9007199254740994n));
  assert.equal(course.mean('accepted'), 1);
});

test('what is older than it is to remember goes, and another log begins anew', () => {
  const course = new Course(10_000);
  for (let s = 0; s <= 30; s++) course.add(look(s * 1000, s));
  assert.equal(course.rates.length, 11);
  course.add(look(31_000, 5));
  assert.deepEqual(course.rates, []);
});

test('refusals and quantiles are those of the last minute, and none is from before the first look', () => {
  const course = new Course(900_000);
  course.add(look(0, 10, 0, 7));
  assert.equal(course.refusals.size, 0);
  assert.equal(course.commitSeconds(0.5), 0.0005);
  course.add(look(1000, 20, 0, 9));
  assert.deepEqual([...course.refusals], [['queue_full', 2]]);
  course.add(look(70_000, 20, 0, 9));
  course.add(look(140_000, 20, 0, 9));
  assert.equal(course.refusals.size, 0);
  assert.equal(course.commitSeconds(0.99), undefined);
});

test('a key with topics learns only what was accepted', () => {
  const course = new Course(60_000);
  course.add(lookAtBooks({ unique: '5', dropped: '', conflicts: '' }, 0)!);
  course.add(lookAtBooks({ unique: '7', dropped: '', conflicts: '' }, 1000)!);
  assert.equal(course.mean('accepted'), 2);
  assert.equal(course.mean('duplicate'), undefined);
  assert.equal(lookAtBooks({ unique: '', dropped: '', conflicts: '' }, 0), undefined);
  assert.equal(lookAtBooks({ unique: '5', dropped: '3', conflicts: '1' }, 0)?.duplicate, 2n);
});
