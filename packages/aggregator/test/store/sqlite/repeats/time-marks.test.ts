import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { SeededRandom } from '../../../../../../lab/random.ts';
import { LAYOUTS } from '../../../../src/store/blocks/block-format.ts';
import { AGE_BOUNDS_MS, AGE_ERROR_MAX, ageBucket } from '../../../../src/store/repeat-store.ts';
import { NumberWriter } from '../../../../src/store/blocks/numbers.ts';
import { TimeMarks } from '../../../../src/store/sqlite/repeats/time-marks.ts';
import { mergeOnce, openSmall } from '../../../support/block-log.ts';
import { batchOf, eventWith } from '../../../support/events.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

/** The buckets that an age may be counted in. */
function isRight(bucket: number, ageMs: number): boolean {
  return (
    bucket === ageBucket(ageMs) ||
    bucket === ageBucket(ageMs * (1 + AGE_ERROR_MAX)) ||
    bucket === ageBucket(ageMs * (1 - AGE_ERROR_MAX))
  );
}

test('ages of months are told from some thousands of marks, without reading a block [DUP-1]', () => {
  const db = new DatabaseSync(':memory:');
  db.exec('CREATE TABLE block (first_offset, directory)');
  const random = new SeededRandom(3);
  const marks = new TimeMarks(db, 0, 0);
  const times: number[] = [0];
  let nowMs = 1e12;
  let most = 0;
  for (let commit = 0; commit < 100_000; commit++) {
    // Bursts, and pauses of up to hours.
    nowMs += random.whole(0, 9) === 0 ? random.whole(0, 2_000_000) : random.whole(0, 3);
    const first = times.length;
    for (let i = random.whole(1, 3); i > 0; i--) times.push(nowMs);
    marks.add(first, times.length - 1, nowMs);
    most = Math.max(most, marks.size);
  }
  assert.ok(nowMs - 1e12 > 2 * AGE_BOUNDS_MS.at(-1)!);
  assert.ok(most <= 20_000, `${most} marks`);
  for (let i = 0; i < 50_000; i++) {
    const recent = i % 2 === 0 ? random.whole(1, 1000) : random.whole(1, times.length - 1);
    const offset = times.length - recent;
    assert.ok(isRight(marks.bucket(offset, nowMs), nowMs - times[offset]!), `offset ${offset}`);
  }
});

test('after a start a log of single events is not marked event by event [DUP-1]', () => {
  const db = new DatabaseSync(':memory:');
  db.exec('CREATE TABLE block (first_offset INTEGER PRIMARY KEY, directory)');
  const insert = db.prepare('INSERT INTO block VALUES (?, ?)');
  const [blocks, commits, everyMs, startMs] = [60, 4096, 400, 1e12];
  const timeOf = (offset: number): number => startMs + offset * everyMs;
  for (let block = 0; block < blocks; block++) {
    const first = block * commits + 1;
    const directory = new NumberWriter(4 * commits + 16);
    directory.put(LAYOUTS.merged);
    directory.put(commits);
    for (let i = 0; i < commits; i++) {
      directory.put(1);
      directory.put(i === 0 ? timeOf(first) : everyMs);
    }
    insert.run(first, directory.bytes());
  }
  const lastOffset = blocks * commits;
  const nowMs = timeOf(lastOffset) + 1000;
  const marks = new TimeMarks(db, lastOffset, timeOf(lastOffset));
  const random = new SeededRandom(5);
  for (let i = 0; i < 4000; i++) {
    const offset = random.whole(1, lastOffset);
    assert.ok(isRight(marks.bucket(offset, nowMs), nowMs - timeOf(offset)), `offset ${offset}`);
  }
  assert.ok(marks.size <= 4096, `${marks.size} marks`);
});

test('after a start ages are read from the blocks, each stretch of the log once [DUP-1]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openSmall(path);
  t.after(() => file.close());
  const random = new SeededRandom(4);
  const times: number[] = [0];
  const clock = { ms: 0 };
  for (let commit = 0; commit < 150; commit++) {
    const events = Array.from({ length: random.whole(1, 4) }, (_, i) =>
      eventWith({ event_id: `${commit}-${i}` }),
    );
    const { receivedMs } = file.appender.append(batchOf(...events));
    times.push(...events.map(() => receivedMs));
    if (commit === 100) mergeOnce(file);
    clock.ms = receivedMs;
  }
  const lastOffset = times.length - 1;
  const marks = new TimeMarks(file.db, lastOffset, clock.ms);
  for (const boundMs of AGE_BOUNDS_MS.slice(0, 3)) {
    for (let i = 0; i < 600; i++) {
      const offset = random.whole(1, lastOffset);
      // Beside the bound, where only the exact time decides.
      const nowMs = Math.max(clock.ms, times[offset]! + boundMs + random.whole(-2, 2));
      assert.ok(isRight(marks.bucket(offset, nowMs), nowMs - times[offset]!), `offset ${offset}`);
    }
  }
  const { size } = marks;
  for (let offset = 1; offset <= lastOffset; offset++) marks.bucket(offset, clock.ms + 1000);
  assert.ok(marks.size >= size && marks.size <= 2 * 150 + 10, `${marks.size} marks`);
  // What comes after the start is marked as it is committed.
  marks.add(lastOffset + 1, lastOffset + 2, clock.ms + 5000);
  assert.equal(marks.bucket(lastOffset + 2, clock.ms + 5500), 0);
  assert.equal(marks.bucket(lastOffset, clock.ms + 5500), 1);
});
