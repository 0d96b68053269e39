import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { ACCEPTED, CONFLICT, DUPLICATE } from '../../../src/store/event-store.ts';
import { MIGRATIONS } from '../../../src/store/sqlite/file/migrations.ts';
import { openFile } from '../../../src/store/sqlite/open-file.ts';
import { verifyFile } from '../../../src/store/sqlite/upkeep/verify.ts';
import { batchOf, eventWith } from '../../support/events.ts';
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

test('a file in which fresh and merged blocks share a table is opened unchanged', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const model = new Model(9, 4);
  let file = openFile(path, { shape: SMALL });
  while (model.log.length < 200) model.append(file, model.batch(5));
  file.close();
  const db = new DatabaseSync(path);
  // Back to format 3: there, the merged blocks come first and `merged_to` is where they end.
  db.exec(`
    BEGIN;
    DROP TABLE epoch;
    ALTER TABLE log DROP COLUMN is_copy;
    ALTER TABLE dead_letter RENAME COLUMN group_id TO subscription_id;
    ALTER TABLE hand RENAME COLUMN group_id TO subscription_id;
    ALTER TABLE event_group RENAME COLUMN group_id TO subscription_id;
    ALTER TABLE event_group RENAME TO subscription;
    ALTER TABLE subscription DROP COLUMN push_url;
    ALTER TABLE subscription DROP COLUMN push_secrets;
    ALTER TABLE subscription DROP COLUMN is_paused;
    ALTER TABLE subscription DROP COLUMN failing_since_ms;
    ALTER TABLE subscription DROP COLUMN last_failure;
    DROP VIEW books;
    DROP VIEW block;
    ALTER TABLE merged_block RENAME TO block;
    ALTER TABLE log ADD COLUMN merged_to INTEGER NOT NULL DEFAULT 0;
    UPDATE log SET merged_to = (SELECT max(first_offset + events) - 1 FROM block);
    INSERT INTO block SELECT first_offset, events, directory, body FROM fresh_block;
    DROP TABLE fresh_block;
    PRAGMA user_version = 3;
    COMMIT`);
  assert.ok(Number(db.prepare('SELECT merged_to FROM log').get()!['merged_to']) > 20);
  db.close();
  file = openFile(path, { shape: SMALL });
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
