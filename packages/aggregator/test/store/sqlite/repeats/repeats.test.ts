import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { PERIOD_MS, PERIOD_PAIRS_MAX, PAIRS_MAX } from '../../../../src/store/repeat-store.ts';
import { Forgetting } from '../../../../src/store/sqlite/forgetting.ts';
import { type OpenFile, openFile } from '../../../../src/store/sqlite/open-file.ts';
import { PendingRepeats } from '../../../../src/store/sqlite/repeats/pending.ts';
import { RepeatReader } from '../../../../src/store/sqlite/repeats/repeat-reader.ts';
import { Retention } from '../../../../src/store/sqlite/retention.ts';
import { Scrub } from '../../../../src/store/sqlite/scrub.ts';
import { verifyFile } from '../../../../src/store/sqlite/upkeep/verify.ts';
import { Model, SMALL, copyAsKilled, mergeOnce, openSmall } from '../../../support/block-log.ts';
import { batchOf, eventWith, manyEvents } from '../../../support/events.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

/** A file, whose clock a test sets. */
function open(t: TestContext): OpenFile & { path: string; clock: { ms: number } } {
  const path = join(tempFolder(t), 'events.db');
  const clock = { ms: 1e12 };
  const file = openFile(path, { now: () => clock.ms });
  t.after(() => file.close());
  file.db.exec('PRAGMA synchronous = OFF');
  return { ...file, path, clock };
}

/** All that is told of repeats. */
function told(file: OpenFile, offsets: readonly number[]): unknown {
  const reader = new RepeatReader(file.db);
  return {
    ages: reader.ages({}),
    histories: offsets.map((offset) => reader.history(offset)),
    topics: reader.repeaters({ by: 'topic', sinceMs: null, limit: 10 }),
    sources: reader.repeaters({ by: 'source', sinceMs: 1, limit: 10 }),
    conflicts: reader.conflicts({ before: null, limit: 20 }),
  };
}

function settleSome(file: OpenFile, repeats: number): void {
  file.appender.transaction(() => file.appender.repeats.settleSome(repeats));
}

function pendingIn(file: OpenFile): number {
  return new PendingRepeats(file.db).count();
}

test('the same is told of repeats before, while and after they are counted, and after a kill at any of these moments [DUP-1, DUP-2, DUP-3, DUP-4]', (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'events.db');
  const model = new Model(5, 3);
  const file = openSmall(path);
  t.after(() => file.close());
  while (model.log.length < 300) model.append(file, model.batch(1 + model.random(12)));
  const offsets = model.log.map((_, i) => i + 1);
  const all = told(file, offsets);
  const pending = pendingIn(file);
  assert.ok(pending > 50);
  const copies: string[] = [];
  for (let left = pending; left > 0; left = pendingIn(file)) {
    copies.push(join(folder, `killed-${left}.db`));
    copyAsKilled(path, copies.at(-1)!);
    settleSome(file, 20);
    assert.deepEqual(told(file, offsets), all);
    // A merge deletes rows that hold settled repeats and pending ones.
    if (copies.length % 2 === 0) mergeOnce(file);
    assert.deepEqual(told(file, offsets), all);
  }
  assert.ok(copies.length > 3);
  for (const copy of copies) {
    const killed = openSmall(copy);
    assert.deepEqual(told(killed, offsets), all);
    // The first transaction finds out that some are pending.
    killed.appender.settle();
    assert.ok(killed.appender.repeats.arePending);
    while (killed.appender.repeats.arePending) settleSome(killed, 50);
    assert.deepEqual(told(killed, offsets), all);
    killed.close();
    assert.deepEqual(verifyFile(copy, undefined, SMALL).problems, []);
  }
});

test('a commit that fails leaves no repeats, and the next ones are counted once [P-3, DUP-1]', (t) => {
  const file = open(t);
  const { appender, db } = file;
  appender.append(batchOf(eventWith()));
  const again = batchOf(eventWith(), eventWith({ source: 'app' }));
  appender.append(again);
  settleSome(file, 10);
  const before = told(file, [1]);
  // The disk is full in the middle of a commit, which has more repeats than there is room for.
  const { page_count: pages } = db.prepare('PRAGMA page_count').get()!;
  db.exec(`PRAGMA max_page_count = ${Number(pages)}`);
  const many = Array.from({ length: 3000 }, (_, i) => eventWith({ source: `${i}`.padStart(200) }));
  assert.throws(() => appender.append(batchOf(...many)), { code: 'blocked' });
  db.exec('PRAGMA max_page_count = 1000000');
  assert.deepEqual(told(file, [1]), before);
  appender.append(again);
  assert.equal(pendingIn(file), 2);
  // The same while they are counted.
  const full = Object.assign(new Error('database or disk is full'), { errcode: 13 });
  const settleInVain = (): void => {
    appender.transaction(() => {
      appender.repeats.settleSome(10);
      throw full;
    });
  };
  assert.throws(settleInVain, { code: 'blocked' });
  appender.append(again);
  assert.equal(pendingIn(file), 4);
  settleSome(file, 10);
  const { duplicates, conflicts } = new RepeatReader(db).history(1);
  assert.deepEqual([duplicates, conflicts], [6, 3]);
  assert.equal(appender.repeats.arePending, false);
});

test('while everybody repeats, pending repeats stay few enough to be read', (t) => {
  const file = open(t);
  const events = manyEvents(2000);
  file.appender.append(batchOf(...events));
  const again = batchOf(...events);
  for (let i = 0; i < 25; i++) file.appender.append(again);
  const pending = pendingIn(file);
  assert.ok(pending > 30_000 && pending < 36_000, `${pending} are pending`);
  assert.equal(new RepeatReader(file.db).ages({}).duplicates[0], 50_000);
});

test('sources beyond the bounds are counted on their topics alone [DUP-3]', (t) => {
  const file = open(t);
  const { db, appender } = file;
  const period = Math.floor(file.clock.ms / PERIOD_MS);
  const fill = (table: string, columns: string, values: string, count: number): void =>
    db.exec(`
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
      INSERT INTO ${table} (${columns}) SELECT ${values} FROM n`);
  fill(
    'repeat_count',
    'topic_id, source, duplicates, conflicts, ages',
    "7, 'many-' || i, 0, 0, zeroblob(24)",
    PAIRS_MAX - 1,
  );
  fill('repeat_period', 'period, topic_id, source, duplicates, conflicts', `${period}, 7, 'many-' || i, 0, 0`, PERIOD_PAIRS_MAX - 1); // prettier-ignore
  appender.append(batchOf(eventWith()));
  const from = (source: string): Event => eventWith({ source });
  appender.append(batchOf(from('a'), from('a'), from('b'), from('c'), from('a')));
  settleSome(file, 10);
  const reader = new RepeatReader(db);
  for (const sinceMs of [null, file.clock.ms]) {
    const { repeaters, unnamed } = reader.repeaters({ by: 'source', sinceMs, limit: 1 });
    assert.deepEqual(repeaters, [{ name: 'a', duplicates: 3, conflicts: 3 }]);
    assert.deepEqual(unnamed, { duplicates: 2, conflicts: 2 });
    assert.equal(reader.repeaters({ by: 'topic', sinceMs, limit: 1 }).repeaters[0]!.duplicates, 5);
  }
  assert.equal(reader.ages({ source: 'b' }).duplicates[0], 0);
  assert.equal(reader.ages({ source: '' }).duplicates[0], 0);
});

test('of an event that is repeated all the time the file keeps no more than the last repeats [DUP-2]', (t) => {
  const file = open(t);
  file.appender.append(batchOf(eventWith()));
  for (let i = 0; i < 200; i++) {
    file.appender.append(batchOf(eventWith({ source: `s${i}` })));
    if (i % 7 === 0) settleSome(file, 7);
  }
  settleSome(file, 7);
  const { repeats } = file.db.prepare('SELECT repeats FROM repeat_history').get()!;
  assert.ok((repeats as Uint8Array).length < 64 * 14);
  const history = new RepeatReader(file.db).history(1);
  assert.equal(history.duplicates, 200);
  assert.deepEqual(
    history.repeats.map(({ source }) => source),
    Array.from({ length: 32 }, (_, i) => `s${199 - i}`),
  );
});

test('periods that are over for more than a day are let go of [DUP-3]', (t) => {
  const file = open(t);
  file.appender.append(batchOf(eventWith()));
  const startMs = file.clock.ms;
  for (const hours of [0, 12, 24, 25]) {
    file.clock.ms = startMs + hours * 3_600_000;
    file.appender.append(batchOf(eventWith()));
    settleSome(file, 10);
  }
  const rows = file.db.prepare('SELECT period FROM repeat_period').all();
  assert.equal(rows.length, 3);
});

test('of an event whose id is forgotten no repeat is kept, however it was stored [DUP-5]', (t) => {
  const file = open(t);
  const { appender, db, index } = file;
  const events = manyEvents(6, () => ({ topic: 't' }));
  appender.append(batchOf(...events));
  // Settled, pending in the row of a block, and pending in rows of their own.
  const again = events.map((event) => ({ ...event, source: 'app' }));
  appender.append(batchOf(...again));
  settleSome(file, 10);
  appender.append(batchOf(...again, eventWith({ topic: 'other' })));
  appender.append(batchOf(...again));
  const { ages } = told(file, []) as { ages: unknown };
  const retention = new Retention(file);
  retention.erase('t', 'e-1', true);
  file.clock.ms += 1;
  while (!retention.expire({ topicPatterns: [['t']], upTo: 3 }).isDone);
  const forgetting = new Forgetting(db, appender, index);
  while (!forgetting.some({ topicPatterns: [['t']], committedBeforeMs: file.clock.ms }).isDone);
  const reader = new RepeatReader(db);
  const counts = [1, 2, 3, 4, 5, 6].map((offset) => reader.history(offset).duplicates);
  assert.deepEqual(counts, [0, 0, 0, 3, 3, 3]);
  const offsets = new Set(
    reader.conflicts({ before: null, limit: 100 }).conflicts.map(({ offset }) => offset),
  );
  assert.deepEqual(
    [...offsets].toSorted((a, b) => a - b),
    [4, 5, 6],
  );
  while (appender.repeats.arePending) settleSome(file, 10);
  assert.equal(db.prepare('SELECT 1 FROM repeat_history WHERE offset < 4').get(), undefined);
  assert.deepEqual((told(file, []) as { ages: unknown }).ages, ages);
});

test('pending repeats outlive the writing anew of fresh blocks after an erasure [DUP-1, RET-7]', (t) => {
  const file = open(t);
  file.appender.append(batchOf(eventWith(), eventWith(), eventWith({ topic: 'other' })));
  settleSome(file, 10);
  file.appender.append(batchOf(eventWith(), eventWith({ topic: 'third' })));
  const before = told(file, [1, 2, 3]);
  while (!new Scrub(file).some());
  assert.deepEqual(told(file, [1, 2, 3]), before);
  assert.equal(pendingIn(file), 1);
  const rows = file.db
    .prepare('SELECT repeats IS NULL AS is_gone FROM fresh_block ORDER BY first_offset')
    .all();
  assert.deepEqual(
    rows.map((row) => row['is_gone']),
    [1, 0],
  );
});
