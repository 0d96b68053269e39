import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { piecesIn, piecesOf } from '../../../../../lab/stored-pieces.ts';
import { openFile } from '../../../src/store/sqlite/open-file.ts';
import { SqliteStore } from '../../../src/store/sqlite/store.ts';
import { ThreadClient } from '../../../src/store/sqlite/threads/client.ts';
import { verifyFile } from '../../../src/store/sqlite/upkeep/verify.ts';
import { mergeOnce } from '../../support/block-log.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

/** An event of which compression leaves most bytes, and which fills most of its block. */
function large(id: number, bytes = 100_000) {
  return eventWith({
    event_id: `${id}`,
    topic: `t${id}`,
    payload: { noise: randomBytes(bytes).toString('base64') },
  });
}

/** How many of the pieces are in the file or its write-ahead log. */
function found(path: string, pieces: readonly Buffer[]): number {
  const files = ['', '-wal'].map((suffix) => path + suffix).filter((file) => existsSync(file));
  return piecesIn(
    files.map((file) => readFileSync(file)),
    pieces,
  );
}

async function open(t: TestContext, path: string): Promise<SqliteStore> {
  const store = await SqliteStore.open(path);
  t.after(() => store.close());
  return store;
}

test('no byte of an erased event is left in the file or its log, whether its block is fresh, large or merged [RET-7]', async (t) => {
  const path = join(tempFolder(t), 'events.db');
  const store = await open(t, path);
  const pieces: Buffer[][] = [];
  // A small block, one that is merged at once, and some that are merged together.
  for (const [i, bytes] of [2000, 300_000, ...Array<number>(14).fill(100_000)].entries()) {
    await store.append([batchOf(large(i, bytes))]);
    pieces.push(piecesOf(path, i + 1));
    // A few pieces lie across the end of a page.
    assert.ok(found(path, pieces[i]!) >= 0.8 * pieces[i]!.length - 1);
  }
  await until(
    () => 'a merge',
    async () => piecesOf(path, 8).length > pieces[7]!.length,
  );
  const all = piecesOf(path, 8);
  for (const i of [0, 1, 7]) {
    assert.equal((await store.retention.erase(`t${i}`, `${i}`, false))!.wasKept, true);
    assert.equal(found(path, pieces[i]!), 0, `event ${i}`);
  }
  assert.equal((await store.topics()).filter(({ events }) => events > 0).length, 13);
  // The neighbours in its block are where they were: only its own chunk is gone.
  assert.ok(found(path, all) > all.length / 2);
  await store.close();
  assert.deepEqual(verifyFile(path).problems, []);
});

test('erasing in a file of an older version overwrites what that version left in free pages [RET-7]', async (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openFile(path);
  file.db.exec('PRAGMA secure_delete = OFF; PRAGMA synchronous = OFF');
  const pieces: Buffer[][] = [];
  for (let i = 0; i < 8; i++) {
    file.appender.append(batchOf(large(i)));
    pieces.push(piecesOf(path, i + 1));
  }
  while (file.log.isMergeable) mergeOnce(file);
  mergeOnce(file);
  file.db.exec('UPDATE log SET is_dirty = 1');
  file.close();
  assert.ok(found(path, pieces[7]!) > 0);
  const store = await open(t, path);
  await store.retention.erase('t7', '7', false);
  assert.equal(found(path, pieces[7]!), 0);
  await store.close();
  assert.deepEqual(verifyFile(path).problems, []);
});

test('an erasure that a reader of the log holds up says so, and another one finishes it [RET-7]', async (t) => {
  const path = join(tempFolder(t), 'events.db');
  const store = await open(t, path);
  await store.append([batchOf(large(1, 2000))]);
  const pieces = piecesOf(path, 1);
  const reader = new DatabaseSync(path, { readOnly: true });
  reader.exec('BEGIN; SELECT * FROM log');
  await assert.rejects(store.retention.erase('t1', '1', true), {
    code: 'blocked',
    message: /erase it again/,
  });
  assert.equal(typeof (await store.find('t1', '1')), 'object');
  reader.close();
  assert.equal((await store.retention.erase('t1', '1', true))!.wasKept, false);
  assert.equal(found(path, pieces), 0);
  assert.equal(await store.find('t1', '1'), undefined);
});

test('no byte is left of the texts that lost to an erased event, and those of others stay [RET-7, DUP-5]', async (t) => {
  const path = join(tempFolder(t), 'events.db');
  const store = await open(t, path);
  const noise = (bytes = 600) => randomBytes(bytes).toString('base64');
  const conflict = (topic: string, text: string | number) => eventWith({ topic, payload: { text } });
  await store.append([batchOf(conflict('a', noise()), conflict('b', noise()))]);
  // So many rows that the oldest go, and SQLite moves others.
  const others = async (from: number) => {
    await store.append([batchOf(...Array.from({ length: 2600 }, (_, i) => conflict('b', from + i)))]);
  };
  for (let i = 0; i < 4; i++) await others(i * 10_000);
  const lost: Buffer[] = [];
  // Alone, between others, and so large that it takes pages of its own.
  for (const topics of [['a'], ['b', 'a', 'b'], ['b'], ['a', 'b', 'a']]) {
    const texts = topics.map(() => noise(topics.length === 1 ? 20_000 : 900));
    await store.append([batchOf(...topics.map((topic, i) => conflict(topic, texts[i]!)))]);
    for (const [i, topic] of topics.entries())
      if (topic === 'a') lost.push(...[100, 500].map((at) => Buffer.from(texts[i]!.slice(at, at + 64))));
  }
  await others(40_000);
  assert.ok(found(path, lost) > 0.6 * lost.length);
  await store.retention.erase('a', 'e-1', false);
  assert.equal(found(path, lost), 0);
  const ofA = await store.repeats.conflicts({ topic: 'a', before: null, limit: 10 });
  assert.deepEqual(
    ofA.conflicts.map(({ text }) => text),
    [null, null, null, null],
  );
  const ofB = await store.repeats.conflicts({ topic: 'b', before: null, limit: 2605 });
  assert.ok(
    ofB.conflicts.length === 2605 && ofB.conflicts.every(({ text }) => text!.includes('"topic":"b"')),
  );
  await store.close();
  assert.deepEqual(verifyFile(path).problems, []);
});

test('an erasure that waits does not erase what was published again after a faster one had the id forgotten [RET-7]', async (t) => {
  const store = await open(t, join(tempFolder(t), 'events.db'));
  const erase = () => store.retention.erase('a', 'x', true);
  const publish = (note: string) =>
    store.append([batchOf(eventWith({ topic: 'a', event_id: 'x', payload: { note } }))]);
  await publish('first');
  // Whoever reads from the write-ahead log holds an erasure up.
  const [waits, mayGoOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const call = Object.getOwnPropertyDescriptor(ThreadClient.prototype, 'call')!.value as Call;
  let isFirst = true;
  t.mock.method(
    ThreadClient.prototype,
    'call',
    async function (this: unknown, name: string, ...rest: unknown[]) {
      if (name === 'foldAll' && isFirst) {
        isFirst = false;
        waits.resolve();
        await mayGoOn.promise;
      }
      return call.call(this, name, ...rest);
    },
  );
  const slow = erase();
  await waits.promise;
  assert.equal((await erase())!.offset, 1);
  assert.equal((await publish('again'))[0]!.accepted, 1);
  mayGoOn.resolve();
  assert.equal((await slow)!.offset, 1);
  const found = await store.find('a', 'x');
  assert.ok(typeof found === 'string', 'it is kept');
  assert.match(found, /again/);
});

type Call = (this: unknown, ...args: unknown[]) => Promise<unknown>;
