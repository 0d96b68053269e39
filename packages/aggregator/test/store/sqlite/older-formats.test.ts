import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { ACCEPTED, CONFLICT, DUPLICATE } from '../../../src/store/event-store.ts';
import { MIGRATIONS } from '../../../src/store/sqlite/file/migrations.ts';
import { Reader } from '../../../src/store/sqlite/read.ts';
import { openFile } from '../../../src/store/sqlite/open-file.ts';
import { verifyFile } from '../../../src/store/sqlite/upkeep/verify.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { takeBack } from '../../support/older-format.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { SMALL, Model, logOf, assertSame, copyAsKilled } from '../../support/block-log.ts';

test('a file of the plain store is migrated unchanged, even if the migration is killed halfway', (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'plain.db');
  const model = new Model(3, 4);
  const events = Array.from({ length: 10_000 }, (_, i) =>
    eventWith({ event_id: `id-${i}`, topic: `t${i % 4}`, payload: { n: i } }),
  );
  makePlainFile(path, events);
  model.log.push(...events);

  // Killed after each transaction: reopened, the migration continues from there.
  const copies: string[] = [];
  openFile(path, {
    progress: (moved, total) => {
      assert.ok(moved <= total);
      copies.push(join(folder, `killed-${moved}.db`));
      copyAsKilled(path, copies.at(-1)!);
    },
  }).close();
  assert.ok(copies.length >= 3);
  for (const copy of [...copies, path]) {
    const progress: number[] = [];
    const file = openFile(copy, { progress: (moved) => progress.push(moved) });
    const { verdicts, offsets } = file.appender.append(
      batchOf(
        events[17]!,
        { ...events[9_000]!, source: 'other' },
        eventWith({ event_id: 'new', topic: 't1' }),
      ),
    );
    assert.deepEqual([...verdicts], [DUPLICATE, CONFLICT, ACCEPTED]);
    assert.deepEqual([...offsets], [18, 9001, 10_001]);
    file.close();
    const stored = logOf(copy);
    assert.equal(stored.length, 10_001);
    assert.equal(stored[4321]!['received_at'], new Date(1_000_000 + 43).toISOString());
    assert.deepEqual(stored[9999]!['payload'], { n: 9999 });
    assert.deepEqual(verifyFile(copy).problems, []);
  }
});

test('a file of any format since the third is opened with all its events', (t) => {
  const folder = tempFolder(t);
  const newest = join(folder, 'newest.db');
  const model = new Model(5, 3);
  const written = openFile(newest, { shape: SMALL });
  written.db.exec('PRAGMA synchronous = OFF');
  while (model.log.length < 60) model.append(written, model.batch(5));
  written.appender.settle();
  const topics = new Reader(written.db).topics({});
  written.close();
  for (let format = 3; format < MIGRATIONS.length; format++) {
    const path = join(folder, `format-${format}.db`);
    copyFileSync(newest, path);
    const db = new DatabaseSync(path);
    db.exec('PRAGMA synchronous = OFF');
    takeBack(db, format);
    db.close();
    const file = openFile(path, { shape: SMALL });
    assert.deepEqual(new Reader(file.db).topics({}), topics, `format ${format}`);
    const { verdicts } = file.appender.append(batchOf(...model.log.slice(0, 20)));
    assert.deepEqual(new Set(verdicts), new Set([DUPLICATE]));
    file.close();
    assert.deepEqual(verifyFile(path, undefined, SMALL).problems, [], `format ${format}`);
  }
});

test('a file in which fresh and merged blocks share a table is opened unchanged', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const model = new Model(9, 4);
  let file = openFile(path, { shape: SMALL });
  while (model.log.length < 200) model.append(file, model.batch(5));
  const topics = new Reader(file.db).topics({});
  file.close();
  const db = new DatabaseSync(path);
  takeBack(db, 3);
  assert.ok(Number(db.prepare('SELECT merged_to FROM log').get()!['merged_to']) > 20);
  db.close();
  // Killed while it counts the texts of the older blocks, the next start goes on.
  const copy = `${path}.copy`;
  file = openFile(path, { shape: SMALL, counting: () => copyAsKilled(path, copy) });
  assert.deepEqual(new Reader(file.db).topics({}), topics);
  const killed = openFile(copy, { shape: SMALL });
  assert.deepEqual(new Reader(killed.db).topics({}), topics);
  killed.close();
  assert.deepEqual(verifyFile(copy, undefined, SMALL).problems, []);
  while (model.log.length < 300) model.append(file, model.batch(5));
  file.close();
  assertSame(logOf(path), model);
  assertSame(logOf(path, { topic: 't1' }), model, 't1');
  assert.deepEqual(verifyFile(path, undefined, SMALL).problems, []);
});

function makePlainFile(path: string, events: readonly Event[]): void {
  const db = new DatabaseSync(path);
  db.exec(
    `PRAGMA journal_mode = WAL; BEGIN; ${MIGRATIONS[0]!} PRAGMA application_id = 0x43685776; PRAGMA user_version = 1`,
  );
  const topics = [...new Set(events.map(({ topic }) => topic))];
  const insertTopic = db.prepare('INSERT INTO topic VALUES (?, ?, ?, ?)');
  for (const [i, name] of topics.entries()) {
    const own = events.flatMap((event, at) => (event.topic === name ? [at + 1] : []));
    insertTopic.run(i + 1, name, own.length, own.at(-1)!);
  }
  const insert = db.prepare('INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  for (const [i, event] of events.entries()) {
    const receivedMs = 1_000_000 + Math.floor(i / 100);
    insert.run(i + 1, topics.indexOf(event.topic) + 1, event.event_id, event.source, 0, receivedMs, new Uint8Array(16), JSON.stringify(event)); // prettier-ignore
  }
  db.prepare('UPDATE ledger SET received = ?, accepted = ?, last_offset = ?, last_ms = ?').run(
    events.length,
    events.length,
    events.length,
    1_000_000 + Math.floor(events.length / 100),
  );
  db.exec('COMMIT');
  db.close();
}
