import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreError } from '../../../src/store/event-store.ts';
import { DifferenceError } from '../../../src/store/move/compare.ts';
import { openLogs } from '../../../src/store/move/open-logs.ts';
import { ReadableSchema } from '../../../src/store/postgres/move/readable.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { policyWith } from '../../support/letting-go.ts';
import { MOVABLE, moved, openAt, refusalOf } from '../../support/moving.ts';
import { beside, newLog } from '../../support/postgres-server.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const FILE = MOVABLE['sqlite']!;

/** A store with one event, which nobody serves. */
async function filled(t: Parameters<typeof openAt>[0], address: string): Promise<string> {
  const store = await openAt(t, address);
  await store.append([batchOf(eventWith())]);
  await store.close();
  return address;
}

test('what cannot be moved is refused in one line, without a password', async (t) => {
  const folder = tempFolder(t);
  const [file, database] = [await filled(t, await FILE(t)), await filled(t, await newLog())];
  writeFileSync(join(folder, 'notes.txt'), 'The minutes of the meeting, in plain text.\n'.repeat(200));
  const cases: readonly (readonly [from: string, to: string, why: RegExp])[] = [
    ['mysql://me:secret@host/db', file, /--from names no store that can be moved/],
    [file, 'postgre://me:secret@host/db', /--to names no store that can be moved/],
    [file, 'sqlite:', /--to names no store/],
    [file, file, /--from and --to name the same store/],
    [database, `${database}&sslmode=disable`, /are the same store/],
    [`sqlite:${join(folder, 'none.db')}`, await FILE(t), /there is no file/],
    [`sqlite:${join(folder, 'notes.txt')}`, await FILE(t), /is not an SQLite file/],
    [await newLog(), await FILE(t), /holds no log of this program/],
    [file, database, /holds events, groups, retention policies or sources already/],
    [database, file, /holds events, groups, retention policies or sources already/],
    [file, 'postgres://me:secret@127.0.0.1:1/db', /ECONNREFUSED/],
  ];
  for (const [from, to, why] of cases) {
    const message = await refusalOf(moved(from, to));
    assert.match(message, why, `${from} ${to}`);
    assert.ok(!message.includes('secret'), message);
  }
});

test('a move that can open no target closes its source, also where that can be read no more', async (t) => {
  const from = await filled(t, await newLog());
  const closes = t.mock.method(ReadableSchema.prototype, 'close');
  let looks = 0;
  t.mock.method(ReadableSchema.prototype, 'mark', async () => {
    // To open the source takes a look, and to say why there is no target takes another one.
    if (++looks > 1) throw new StoreError('failed', 'the source is gone');
    return null;
  });
  const notes = join(tempFolder(t), 'notes.txt');
  writeFileSync(notes, 'The minutes of the meeting, in plain text.\n'.repeat(200));
  const message = await refusalOf(openLogs({ from, to: `sqlite:${notes}` }, { allowsLoss: true }));
  assert.equal(looks, 2);
  assert.match(message, /is not an SQLite file/, 'what the target says is told');
  assert.equal(closes.mock.callCount(), 1);
});

test('a target that has policies or sources of its own is refused, and so is one whose ids are hashed under another secret', async (t) => {
  const source = await filled(t, await FILE(t));
  for (const make of Object.values(MOVABLE)) {
    const target = await make(t);
    const another = await make(t);
    const withPolicy = await openAt(t, target);
    await withPolicy.retention.put(policyWith());
    await withPolicy.close();
    const withSource = await openAt(t, another);
    await withSource.sources.put({ name: 'shop', definition: '{}' }, null);
    await withSource.close();
    for (const one of [target, another]) {
      assert.match(
        await refusalOf(moved(source, one)),
        /holds events, groups, retention policies or sources already/,
      );
    }
  }
  const old = await openAt(t, source);
  const target = await newLog();
  assert.equal((await moved(source, target)).kind, 'in_use');
  const client = await beside(t, target);
  await client.query("SELECT set_config('chronicleweaver.move', (SELECT name FROM move), false)");
  await client.query("UPDATE about SET secret = '\\x00112233445566778899aabbccddeeff'");
  assert.match(await refusalOf(moved(source, target)), /was begun by a move of an older version/);
  await old.close();
});

test('a target of another move is refused, and so is one that another move is filling now', async (t) => {
  const [one, other] = [await filled(t, await FILE(t)), await filled(t, await FILE(t))];
  const target = await newLog();
  const old = await openAt(t, one);
  assert.equal((await moved(one, target)).kind, 'in_use');
  assert.match(
    await refusalOf(moved(other, target)),
    /is being filled by a move from .*; name an empty store/,
  );
  const { promise: isWaiting, resolve: waits } = Promise.withResolvers<void>();
  const stop = new AbortController();
  const waiting = assert.rejects(
    moved(one, target, { wait: true, signal: stop.signal, waiting: () => waits() }),
    { name: 'AbortError' },
  );
  await isWaiting;
  assert.match(await refusalOf(moved(one, target)), /another move is filling/);
  stop.abort();
  await waiting;
  await old.close();
});

test('a move that cannot finish tells whom to stop: the one service of a file, or all instances', async (t) => {
  const STOP = {
    sqlite: /^a service is running on it: stop it$/,
    postgres: /sessions in its database: stop them$/,
  };
  for (const [named, stop] of Object.entries(STOP)) {
    const source = await filled(t, await MOVABLE[named]!(t));
    const old = await openAt(t, source);
    const outcome = await moved(source, await FILE(t));
    assert.ok(outcome.kind === 'in_use');
    assert.match(outcome.why, stop);
    await old.close();
  }
});

test('an instance that runs on the empty target cannot write until the move is done, and then works on', async (t) => {
  const [source, target] = [await filled(t, await FILE(t)), await newLog()];
  const instance = await openAt(t, target);
  const old = await openAt(t, source);
  assert.equal((await moved(source, target)).kind, 'in_use');
  await assert.rejects(
    instance.append([batchOf(eventWith())]),
    /the log is being filled by a move from sqlite:/,
  );
  await old.close();
  assert.equal((await moved(source, target)).kind, 'moved');
  const [again] = await instance.append([batchOf(eventWith(), eventWith({ event_id: 'fresh' }))]);
  assert.deepEqual([again!.accepted, again!.duplicates, ...again!.offsets], [1, 1, 1, 2]);
  assert.deepEqual(instance.epochs, old.epochs);
});

test('instances that run on the source are refused from the last moment on, whatever they write', async (t) => {
  const [source, target] = [await filled(t, await newLog()), await FILE(t)];
  const instance = await openAt(t, source);
  const definition = {
    name: 'g',
    topics: ['>'],
    start: 'earliest',
    leaseMs: 1000,
    deliveriesMax: 5,
    push: null,
  } as const;
  await instance.groups.apply([['create', definition]]);
  assert.equal((await moved(source, target)).kind, 'in_use');
  assert.equal((await moved(source, target, { fence: true })).kind, 'moved');
  const MOVED = /the log was moved to sqlite:/;
  await assert.rejects(instance.append([batchOf(eventWith({ event_id: 'late' }))]), MOVED);
  await assert.rejects(instance.groups.apply([['remove', 1]]), MOVED);
  await assert.rejects(instance.probe(), MOVED);
  const client = await beside(t, source);
  for (const change of ['DELETE FROM log', 'UPDATE head SET last_offset = 7', 'TRUNCATE key']) {
    await assert.rejects(client.query(change), MOVED);
  }
});

test('a target that was tampered with meanwhile is told from the source, which stays the one to serve', async (t) => {
  const [source, target] = [await FILE(t), await newLog()];
  const old = await openAt(t, source);
  await old.append([batchOf(...manyEvents(50))]);
  assert.equal((await moved(source, target)).kind, 'in_use');
  const client = await beside(t, target);
  await client.query("SELECT set_config('chronicleweaver.move', (SELECT name FROM move), false)");
  const differs = (why: RegExp) =>
    assert.rejects(
      moved(source, target),
      (error) => error instanceof DifferenceError && why.test(error.message),
    );
  await client.query('UPDATE key SET digest = digest # 1 WHERE place = 7');
  await differs(/offset 8 has another digest/);
  await client.query(
    'UPDATE key SET digest = digest # 1 WHERE place = 7; UPDATE log SET received_ms = received_ms + 1',
  );
  await differs(/its times differ/);
  await client.query('UPDATE log SET received_ms = received_ms - 1; DELETE FROM key WHERE place = 9');
  await differs(/offset 10 has no id/);
  await old.append([batchOf(eventWith({ event_id: 'later' }))]);
});
