import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ACCEPTED, DUPLICATE, StoreError } from '../../../src/store/event-store.ts';
import { openFile } from '../../../src/store/sqlite/open-file.ts';
import { verifyFile } from '../../../src/store/sqlite/upkeep/verify.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import {
  SMALL,
  Model,
  Follower,
  logOf,
  assertSame,
  openSmall,
  mergeOnce,
  copyAsKilled,
} from '../../support/block-log.ts';

test('the store behaves like a plain Map for any batches, with kills at every step of sealing and merging, and with concurrent readers [P-2, P-5, READ-2]', (t) => {
  const folder = tempFolder(t);
  let files = 0;
  const killsAmid = { seal: 0, merge: 0 };
  fc.assert(
    fc.property(
      fc.integer(),
      fc.constantFrom(1, 3, 40),
      fc.constantFrom(3, 15, 60),
      (seed, topics, batchMax) => {
        const model = new Model(seed, topics);
        let path = join(folder, `${files++}.db`);
        let file = openSmall(path);
        // They read a page now and then, while blocks are merged beneath them.
        const followers = [new Follower(path), new Follower(path, { topic: 't0' })];
        while (model.log.length < 600) {
          model.append(file, model.batch(1 + model.random(batchMax)));
          if (model.random(3) === 0) model.assertBooks(file);
          for (const follower of followers)
            if (model.random(3) === 0) follower.readPage(1 + model.random(60));
          const fate = model.random(12);
          if (fate === 0) {
            if (file.index.isBusy) killsAmid.seal += 1;
            if (file.log.isMerging) killsAmid.merge += 1;
            const next = join(folder, `${files++}.db`);
            copyAsKilled(path, next);
            file.close();
            path = next;
            file = openSmall(path);
            model.assertBooks(file);
            for (const follower of followers) follower.goOnIn(path);
          } else if (fate === 1) {
            file.appender.transaction(() => file.log.mergeSome(1 + model.random(10_000)));
          } else if (fate === 2) {
            file.appender.transaction(() => file.index.step(model.random(64)));
          }
        }
        for (const follower of followers) {
          while (follower.readPage(60));
          follower.close();
        }
        file.close();
        assertSame(followers[0]!.events, model);
        assertSame(followers[1]!.events, model, 't0');
        assertSame(logOf(path), model);
        const findings = verifyFile(path, undefined, SMALL);
        assert.deepEqual(findings.problems, []);
        assert.equal(findings.events, model.log.length);
      },
    ),
    { numRuns: 12 },
  );
  assert.ok(killsAmid.seal > 5 && killsAmid.merge > 5, `kills amid ${JSON.stringify(killsAmid)}`);
});

test('a failed transaction leaves file and memory unchanged, whatever it had done [P-3]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const model = new Model(7, 5);
  let file = openFile(path, { shape: SMALL });
  while (model.log.length < 700) {
    const lost = model.batch(1 + model.random(30));
    // A full disk, as SQLite reports it, at the end of an append: its keys, rows and steps are all undone.
    const full = Object.assign(new Error('database or disk is full'), { errcode: 13 });
    assert.throws(
      () =>
        file.appender.transaction(() => {
          file.index.step(48);
          file.log.mergeSome(1 + model.random(30_000));
          throw full;
        }),
      { code: 'blocked' },
    );
    model.append(file, lost);
    model.assertBooks(file);
    if (model.random(4) === 0) mergeOnce(file);
  }
  // Memory still matches the file.
  for (let merge = 0; merge < 40; merge++) mergeOnce(file);
  assert.equal(file.db.prepare('SELECT 1 FROM fresh_block').get(), undefined);
  file.close();
  file = openFile(path, { shape: SMALL });
  model.append(file, model.batch(50));
  file.close();
  assertSame(logOf(path), model);
  assert.deepEqual(verifyFile(path, undefined, SMALL).problems, []);
});

test('an append that finds the file locked by another program leaves every key in its place [P-2]', (t) => {
  const path = join(tempFolder(t), 'held.db');
  const file = openFile(path);
  t.after(() => file.close());
  file.db.exec('PRAGMA busy_timeout = 0');
  const event = eventWith({ event_id: 'before' });
  file.appender.append(batchOf(event));
  const other = new DatabaseSync(path);
  t.after(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  const isBlocked = (error: unknown): boolean => error instanceof StoreError && error.code === 'blocked';
  assert.throws(() => file.appender.append(batchOf(eventWith({ event_id: 'refused' }))), isBlocked);
  assert.throws(() => file.appender.probe(), isBlocked);
  other.exec('ROLLBACK');
  const { verdicts, offsets } = file.appender.append(batchOf(event, eventWith({ event_id: 'refused' })));
  assert.deepEqual([...verdicts], [DUPLICATE, ACCEPTED]);
  assert.deepEqual([...offsets], [1, 2]);
});

test('an append without space is undone in file and memory, and succeeds once there is space [P-3]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const model = new Model(5, 3);
  let file = openFile(path, { shape: SMALL });
  let refused = 0;
  for (let round = 0; round < 120; round++) {
    const events = model.batch(1 + model.random(30)).map((event) => ({
      ...event,
      payload: { ...event.payload, filler: `${event.event_id} `.repeat(100) },
    }));
    const pages = Number(file.db.prepare('PRAGMA page_count').get()!['page_count']);
    // SQLite's own limit on the file: anything that needs another page fails as on a full disk.
    file.db.exec(`PRAGMA max_page_count = ${pages}`);
    try {
      model.append(file, events);
    } catch (error) {
      assert.ok(error instanceof StoreError && error.code === 'blocked', String(error));
      refused += 1;
    }
    file.db.exec('PRAGMA max_page_count = 1000000');
    // Lost events are sent again, or only stored ones are, while sealing continues.
    if (round % 2 === 0) model.append(file, events);
    else for (let i = 0; i < 3; i++) model.append(file, model.log.slice(0, 1));
    if (round % 3 === 0) {
      file.close();
      file = openFile(path, { shape: SMALL });
    }
  }
  file.close();
  assert.ok(refused > 20, `${refused} appends found no space`);
  assertSame(logOf(path), model);
  assert.deepEqual(verifyFile(path, undefined, SMALL).problems, []);
});
