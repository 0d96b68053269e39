import assert from 'node:assert/strict';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import * as fc from 'fast-check';
import {
  ACCEPTED,
  CONFLICT,
  DUPLICATE,
  StoreError,
  type TopicFilter,
} from '../../../src/store/event-store.ts';
import { Block, type BlockRow } from '../../../src/store/sqlite/blocks/block-format.ts';
import { MIGRATIONS } from '../../../src/store/sqlite/file/migrations.ts';
import { type FileShape, type OpenFile, openFile } from '../../../src/store/sqlite/open-file.ts';
import { Reader } from '../../../src/store/sqlite/read.ts';
import { rebuildIndex, verifyFile } from '../../../src/store/sqlite/upkeep/verify.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** So small that some thousand events see every step of sealing and merging, three levels high. */
const SMALL: FileShape = {
  index: { hotKeysMax: 16, baseBits: 1 },
  log: { eventsMax: 40, bytesMax: 5000, mergedAtOnceBytesMin: 4000, freshBlocksMax: 12 },
  keyBits: 128,
};

/** A run of appends from a seed, against a plain Map: the log that must come out, and a check of every verdict. */
class Model {
  readonly log: Event[] = [];
  readonly #offsets = new Map<string, number>();
  readonly #random: (below: number) => number;
  readonly #topics: number;
  #made = 0;

  constructor(seed: number, topics: number) {
    this.#topics = topics;
    let state = seed | 0;
    this.#random = (below) => {
      // Numerical Recipes' generator: the high bits are good enough to choose by.
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
      return Math.floor(((state >>> 8) / 2 ** 24) * below);
    };
  }

  /** Some events: new ones, repeats of recent ones, of any in history, some with another payload. */
  batch(count: number): Event[] {
    return Array.from({ length: count }, () => {
      const choice = this.#random(10);
      if (this.log.length === 0 || choice < 7) {
        const id = this.#made++;
        return eventWith({
          event_id: `id-${id}`,
          topic: `t${this.#random(this.#topics)}`,
          payload: { n: id },
        });
      }
      const reach = choice === 7 ? Math.min(20, this.log.length) : this.log.length;
      const event = this.log[this.log.length - 1 - this.#random(reach)]!;
      return choice === 9 ? { ...event, payload: { other: this.#made } } : event;
    });
  }

  append(file: OpenFile, events: Event[]): void {
    const { verdicts, offsets } = file.appender.append(batchOf(...events));
    for (const [i, event] of events.entries()) {
      const key = JSON.stringify([event.topic, event.event_id]);
      const first = this.#offsets.get(key);
      if (first === undefined) {
        assert.equal(verdicts[i], ACCEPTED, `${key} is new`);
        this.log.push(event);
        this.#offsets.set(key, this.log.length);
        assert.equal(offsets[i], this.log.length);
      } else {
        const isSame = JSON.stringify(this.log[first - 1]!.payload) === JSON.stringify(event.payload);
        assert.equal(verdicts[i], isSame ? DUPLICATE : CONFLICT, `${key} is at ${first}`);
        assert.equal(offsets[i], first);
      }
    }
  }

  get random(): (below: number) => number {
    return this.#random;
  }
}

/** Reads on from where it is, on one connection as long as the file is the same, and keeps what it has read. */
class Follower {
  readonly events: Record<string, unknown>[] = [];
  readonly #filter: TopicFilter;
  #db: DatabaseSync;
  #reader: Reader;
  #after = 0;

  constructor(path: string, filter: TopicFilter = {}) {
    this.#filter = filter;
    this.#db = new DatabaseSync(path, { readOnly: true });
    this.#reader = new Reader(this.#db);
  }

  goOnIn(path: string): void {
    this.#db.close();
    this.#db = new DatabaseSync(path, { readOnly: true });
    this.#reader = new Reader(this.#db);
  }

  /** Whether there is more. */
  readPage(eventsMax: number): boolean {
    const page = this.#reader.page({
      ...this.#filter,
      order: 'asc',
      after: this.#after,
      upTo: 1e9,
      eventsMax,
      framing: 'lines',
    });
    const lines = Buffer.from(page.bytes).toString().split('\n').slice(0, -1);
    this.events.push(...lines.map((line) => JSON.parse(line) as Record<string, unknown>));
    if (page.count > 0) this.#after = page.lastOffset;
    return page.resumeAfter !== null;
  }

  close(): void {
    this.#db.close();
  }
}

function logOf(path: string, filter: TopicFilter = {}): Record<string, unknown>[] {
  const follower = new Follower(path, filter);
  try {
    while (follower.readPage(500));
    return follower.events;
  } finally {
    follower.close();
  }
}

function assertSame(events: readonly Record<string, unknown>[], model: Model, topic?: string): void {
  const stored = events.map(({ received_at: _received, ...event }) => event);
  const log = model.log.map((event, i) => ({ ...event, offset: i + 1 }));
  assert.deepEqual(stored, topic === undefined ? log : log.filter((event) => event.topic === topic));
}

/** Without syncs: what is copied as killed does not depend on them, and most of the test's time would be theirs. */
function openSmall(path: string): OpenFile {
  const file = openFile(path, { shape: SMALL });
  file.db.exec('PRAGMA synchronous = OFF');
  return file;
}

/** A whole merge of the oldest fresh blocks, or what is left of it. */
function mergeOnce({ appender, log }: OpenFile): void {
  appender.transaction(() => log.mergeSome(Number.POSITIVE_INFINITY));
}

/** What a kill leaves: the files as they are at this moment, without a clean close. */
function copyAsKilled(from: string, to: string): void {
  for (const suffix of ['', '-wal']) if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix);
}

test('against a plain Map: any batches, with kills at every step of sealing and merging, and readers meanwhile [P-2, P-5, READ-2]', (t) => {
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
        // They read while blocks are merged under them, a page now and then.
        const followers = [new Follower(path), new Follower(path, { topic: 't0' })];
        while (model.log.length < 600) {
          model.append(file, model.batch(1 + model.random(batchMax)));
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

test('a transaction that fails leaves file and memory as before, whatever it had done [P-3]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const model = new Model(7, 5);
  let file = openFile(path, { shape: SMALL });
  while (model.log.length < 700) {
    const lost = model.batch(1 + model.random(30));
    // A full disk, as SQLite tells it, at the end of an append: its keys, rows and steps are all undone.
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
    if (model.random(4) === 0) mergeOnce(file);
  }
  // Nothing is forgotten in memory that is still there in the file.
  for (let merge = 0; merge < 40; merge++) mergeOnce(file);
  assert.equal(file.db.prepare('SELECT 1 FROM fresh_block').get(), undefined);
  file.close();
  file = openFile(path, { shape: SMALL });
  model.append(file, model.batch(50));
  file.close();
  assertSame(logOf(path), model);
  assert.deepEqual(verifyFile(path, undefined, SMALL).problems, []);
});

test('an append that finds the file held by another program leaves every key where it was [P-2]', (t) => {
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

test('an append that finds no space is undone in file and memory, and goes through when there is space [P-3]', (t) => {
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
    // SQLite's own limit on the file: what needs a page more fails as on a full disk.
    file.db.exec(`PRAGMA max_page_count = ${pages}`);
    try {
      model.append(file, events);
    } catch (error) {
      assert.ok(error instanceof StoreError && error.code === 'blocked', String(error));
      refused += 1;
    }
    file.db.exec('PRAGMA max_page_count = 1000000');
    // What was lost is sent again, or only what is stored already is, while sealing goes on.
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

test('a topic is read out of merged blocks without unpacking the others [READ-3]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openFile(path);
  const filler = 'x'.repeat(300);
  const events = Array.from({ length: 6000 }, (_, i) =>
    eventWith({ event_id: `${i}`, topic: `t${i % 6}`, payload: { i, filler: filler + i } }),
  );
  for (let i = 0; i < events.length; i += 500) file.appender.append(batchOf(...events.slice(i, i + 500)));
  while (file.log.isMergeable) mergeOnce(file);
  file.close();
  const db = new DatabaseSync(path, { readOnly: true });
  t.after(() => db.close());
  const row = db.prepare('SELECT * FROM block WHERE first_offset = 1').get() as unknown as BlockRow;
  const block = new Block(1, row);
  assert.ok(block.count > 1000);
  for (let i = 3; i < block.count; i += 6)
    assert.match(Buffer.from(block.text(i)).toString(), /"topic":"t3"/);
  assert.equal(block.unpackedChunks, 1);
  for (let i = 0; i < block.count; i++) block.text(i);
  assert.equal(block.unpackedChunks, 6);
  const topic = logOf(path, { topic: 't3' });
  assert.deepEqual(
    topic.map(({ offset }) => offset),
    events.flatMap((event, i) => (event.topic === 't3' ? [i + 1] : [])),
  );
});

test('topics meant by patterns are read out of the merged blocks that hold them, and the others are left alone', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openFile(path);
  const rare = new Set([99, 100, 9000, 12_400, 16_400]);
  const events = Array.from({ length: 16_500 }, (_, i) =>
    eventWith({ event_id: `${i}`, topic: rare.has(i) ? `rare.r${i % 3}` : `common.c${i % 5}` }),
  );
  for (let i = 0; i < events.length; i += 500) file.appender.append(batchOf(...events.slice(i, i + 500)));
  while (file.log.isMergeable) mergeOnce(file);
  file.appender.transaction(() => {
    const held = `SELECT first_offset FROM block_topic JOIN topic USING (topic_id) WHERE name GLOB 'rare.*'`;
    // What is read of these blocks does not fit them, so that looking into one of them throws.
    const { changes } = file.db
      .prepare(`UPDATE merged_block SET directory = zeroblob(1) WHERE first_offset NOT IN (${held})`)
      .run();
    assert.equal(changes, 1);
  });
  file.close();
  const offsets = [...rare].map((i) => i + 1);
  const db = new DatabaseSync(path, { readOnly: true });
  t.after(() => db.close());
  const reader = new Reader(db);
  const query = { topicPatterns: [['rare.>']], upTo: 1e9, eventsMax: 2, framing: 'lines' } as const;
  for (const order of ['asc', 'desc'] as const) {
    const read: number[] = [];
    let after: number | null = order === 'asc' ? 0 : 1e9;
    while (after !== null) {
      const page = reader.page({ ...query, order, after });
      for (const line of Buffer.from(page.bytes).toString().split('\n').slice(0, -1)) {
        read.push((JSON.parse(line) as { offset: number }).offset);
      }
      after = page.resumeAfter;
    }
    assert.deepEqual(read, order === 'asc' ? offsets : offsets.toReversed());
  }
});

test('a file of the plain store is moved over, also when it is killed in the middle, and nothing changes', (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'plain.db');
  const model = new Model(3, 4);
  const events = Array.from({ length: 10_000 }, (_, i) =>
    eventWith({ event_id: `id-${i}`, topic: `t${i % 4}`, payload: { n: i } }),
  );
  makePlainFile(path, events);
  model.log.push(...events);

  // Killed after each transaction: what is there then, opened anew, goes on.
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

test('a file in which fresh and merged blocks share a table is opened, and nothing changes', (t) => {
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
    DROP VIEW block;
    ALTER TABLE merged_block RENAME TO block;
    ALTER TABLE log ADD COLUMN merged_to INTEGER NOT NULL DEFAULT 0;
    UPDATE log SET merged_to = (SELECT max(first_offset + events) - 1 FROM block);
    INSERT INTO block SELECT * FROM fresh_block;
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

test('verify finds each kind of damage and names its place, and a rebuild mends the index', (t) => {
  const folder = tempFolder(t);
  const sound = join(folder, 'sound.db');
  const model = new Model(11, 3);
  const file = openFile(sound, { shape: SMALL });
  while (model.log.length < 400) model.append(file, model.batch(20));
  mergeOnce(file);
  while (file.index.isBusy) file.appender.transaction(() => file.index.step(16));
  for (let i = 0; i < 3; i++) model.append(file, model.batch(5));
  file.close();
  assert.deepEqual(verifyFile(sound, undefined, SMALL).problems, []);

  const damages: [string, string, RegExp][] = [
    ['a key is gone', "UPDATE key_block SET entries = x'' WHERE place = (SELECT max(place) FROM key_block)", /its key is not in the index/],
    ['a block is gone', 'DELETE FROM fresh_block WHERE first_offset = (SELECT max(first_offset) FROM block)', /books: accepted/],
    ['the books lie', 'PRAGMA ignore_check_constraints = ON; UPDATE ledger SET received = received + 1', /books: received/],
    ['a topic is miscounted', "UPDATE topic SET events = events + 1 WHERE name = 't1'", /topic "t1": the books say/],
    ['a topic is not listed', 'DELETE FROM block_topic WHERE topic_id = 1', /block_topic does not say/],
    ['a fresh block is listed', 'INSERT INTO block_topic SELECT 1, max(first_offset) FROM fresh_block', /block_topic has \d+ rows/],
    ['a filter is empty', 'UPDATE key_filter SET bits = zeroblob(length(bits) - 4)', /the filter does not know it/],
    ['a filter is changed', 'UPDATE key_filter SET bits = zeroblob(length(bits))', /the filter of key run \d+: its bytes are not those/],
    ['a key is changed', 'UPDATE key_block SET entries = zeroblob(length(entries)) WHERE place = (SELECT max(place) FROM key_block WHERE length(entries) > 4)', /bucket \d+ of key run \d+: its bytes are not those/],
    ["a text is torn", "UPDATE fresh_block SET body = zeroblob(length(body)) WHERE first_offset = (SELECT max(first_offset) FROM block)", /block at offset \d+:/],
    ['an epoch begins in the future', "INSERT INTO epoch (name, after_offset) VALUES ('x', 1000000)", /epochs: they begin/],
    ['there is no epoch', 'DELETE FROM epoch', /epochs: they begin/],
    ['a run says another count', 'UPDATE key_run SET keys = keys + 1 WHERE run_id = (SELECT min(run_id) FROM key_run WHERE merged_into IS NULL)', /its row says|the index has/],
  ]; // prettier-ignore
  for (const [name, sql, message] of damages) {
    const path = join(folder, `${name}.db`);
    copyAsKilled(sound, path);
    const db = new DatabaseSync(path);
    db.exec(sql);
    db.close();
    const findings = verifyFile(path, undefined, SMALL);
    assert.ok(findings.problems.some((problem) => message.test(problem)), `${name}: ${findings.problems.slice(0, 3).join('; ')}`); // prettier-ignore
  }

  for (const name of [
    'a key is gone',
    'a key is changed',
    'a filter is empty',
    'a filter is changed',
    'a run says another count',
  ]) {
    const path = join(folder, `${name}.db`);
    rebuildIndex(path, undefined, SMALL);
    assert.deepEqual(verifyFile(path, undefined, SMALL).problems, [], name);
  }
});

test('were keys of 8 bits, events would be dropped for others, and verify would show that keys are not what they say', (t) => {
  const narrow: FileShape = { ...SMALL, keyBits: 8 };
  const path = join(tempFolder(t), 'narrow.db');
  const file = openFile(path, { shape: narrow });
  const events = Array.from({ length: 1000 }, (_, i) => eventWith({ event_id: `${i}` }));
  let accepted = 0;
  for (let i = 0; i < 1000; i += 50) {
    const { verdicts } = file.appender.append(batchOf(...events.slice(i, i + 50)));
    accepted += verdicts.filter((verdict) => verdict === ACCEPTED).length;
  }
  file.close();
  assert.ok(accepted <= 256 && accepted > 200, `${accepted} of 1000 events had a key of their own`);
  assert.deepEqual(verifyFile(path, undefined, narrow).problems, []);
  const findings = verifyFile(path, undefined, SMALL);
  assert.ok(findings.problems.some((problem) => /its key is not in the index/.test(problem)));
});

test('events of the smallest and the largest size, and thousands of topics, come back as they were', (t) => {
  const path = join(tempFolder(t), 'sizes.db');
  const file = openFile(path);
  const large = 'ü'.repeat(500_000);
  const events = [
    eventWith({ event_id: '1', topic: 't', source: 's', payload: {} }),
    eventWith({ event_id: 'large', payload: { large } }),
    ...Array.from({ length: 10_000 }, (_, i) =>
      eventWith({ event_id: 'same', topic: `topic.${i % 2}.${i}` }),
    ),
    eventWith({ event_id: 'large 2', payload: { large } }),
  ];
  const { verdicts } = file.appender.append(batchOf(...events));
  assert.ok(verdicts.every((verdict) => verdict === ACCEPTED));
  for (let merge = 0; merge < 3; merge++) mergeOnce(file);
  file.close();
  const stored = logOf(path).map(({ received_at: _received, offset: _offset, ...event }) => event);
  assert.deepEqual(stored, events);
  const half = logOf(path, { topicPatterns: [['topic.1.*']] }).map(({ topic }) => topic);
  assert.deepEqual(half, events.flatMap(({ topic }) => (topic.startsWith('topic.1.') ? [topic] : []))); // prettier-ignore
  assert.deepEqual(verifyFile(path).problems, []);
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
