import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { DUPLICATE, StoreError } from '../../../src/store/event-store.ts';
import { move } from '../../../src/store/move/move.ts';
import { openLogs } from '../../../src/store/move/open-logs.ts';
import { FORMAT_MIN } from '../../../src/store/sqlite/move/source.ts';
import { batchOf, manyEvents } from '../../support/events.ts';
import { takeBack } from '../../support/older-format.ts';
import { beside } from '../../support/postgres-server.ts';
import {
  MOVABLE,
  QUIET,
  everythingIn,
  killed,
  moved,
  openAt,
  refusalOf,
  withCall,
} from '../../support/moving.ts';

const GROUP = {
  name: 'workers',
  topics: ['>'],
  start: 'earliest',
  leaseMs: 3_600_000,
  deliveriesMax: 5,
  push: null,
} as const;

/** The calls that change something, in the order in which a move makes them. */
const STEPS = [
  'begin',
  'write',
  'expire',
  'forget',
  'keyFault',
  'hold',
  'writeState',
  'writeStory',
  'leave',
  'complete',
] as const;

const CUT =
  "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'chronicleweaver move'";

test('a move from a file of an older format goes on after an interruption', async (t) => {
  const [from, to] = [await MOVABLE['sqlite']!(t), await MOVABLE['sqlite']!(t)];
  const old = await openAt(t, from);
  await old.append([batchOf(...manyEvents(10))]);
  const before = await everythingIn(old);
  await old.close();
  const db = new DatabaseSync(from.slice('sqlite:'.length));
  takeBack(db, FORMAT_MIN);
  db.close();
  // Until it is held nobody brings the file up to date.
  await killed(from, to, 'hold', false);
  assert.deepEqual(await moved(from, to), { kind: 'moved', lastOffset: 10 });
  assert.deepEqual(await everythingIn(await openAt(t, to)), before);
});

test('a move that cannot write to its file, as on a full disk, says so, and goes on later', async (t) => {
  const [from, to] = [await MOVABLE['sqlite']!(t), await MOVABLE['sqlite']!(t)];
  const old = await openAt(t, from);
  await old.append([batchOf(...manyEvents(10))]);
  await old.close();
  const db = new DatabaseSync(from.slice('sqlite:'.length));
  t.after(() => db.close());
  db.exec('UPDATE log SET is_copy = 1');
  // When it is held, and when it is left.
  for (const table of ['epoch', 'move']) {
    db.exec(`CREATE TRIGGER full BEFORE INSERT ON ${table} BEGIN SELECT RAISE(FAIL, 'full'); END`);
    await assert.rejects(moved(from, to), (error) => {
      return error instanceof StoreError && error.message.startsWith(`${from}: `);
    });
    db.exec('DROP TRIGGER full');
  }
  assert.deepEqual(await moved(from, to), { kind: 'moved', lastOffset: 10 });
});

test('what the old service took and let go of between the last copy and its end is moved, too', async (t) => {
  const [from, to] = [await MOVABLE['sqlite']!(t), await MOVABLE['postgres']!(t)];
  const old = await openAt(t, from);
  await old.append([batchOf(...manyEvents(10))]);
  const { source, target } = await openLogs({ from, to }, { allowsLoss: true });
  const late = withCall(source, 'hold', async (hold) => {
    await old.append([batchOf(...manyEvents(12))]);
    for (const [id, isForgotten] of [
      ['e-1', false],
      ['e-2', true],
      ['e-11', false],
    ] as const)
      // prettier-ignore
      assert.ok(await old.retention.erase('orders', id, isForgotten));
    await old.close();
    return hold();
  });
  assert.deepEqual(await move(late, target, QUIET), { kind: 'moved', lastOffset: 12 });
  await source.close();
  await target.close();
  const store = await openAt(t, to);
  const { books } = await everythingIn(store);
  assert.deepEqual([books.accepted, books.received, books.expired], [12, 22, 3]);
  assert.equal(await store.find('orders', 'e-2'), undefined);
});

test('a database that goes away while it is read or written is told in one line', async (t) => {
  for (const [from, to] of [
    ['sqlite', 'postgres'],
    ['postgres', 'sqlite'],
  ] as const) {
    const addresses = { from: await MOVABLE[from]!(t), to: await MOVABLE[to]!(t) };
    await (await openAt(t, addresses.from)).close();
    const { source, target } = await openLogs(addresses, { allowsLoss: true });
    const client = await beside(t, from === 'postgres' ? addresses.from : addresses.to);
    const cut = withCall(source, 'hold', async (hold) => {
      await client.query(CUT);
      return hold();
    });
    assert.match(await refusalOf(move(cut, target, QUIET)), /the database does not answer as it should/);
    await Promise.allSettled([source.close(), target.close()]);
    assert.equal((await moved(addresses.from, addresses.to)).kind, 'moved');
  }
});

for (const [from, to] of [
  ['sqlite', 'postgres'],
  ['postgres', 'sqlite'],
] as const) {
  test(`from ${from} to ${to}: a move goes on from wherever it was killed, and at no moment are both stores served`, async (t) => {
    const [source, target] = [await MOVABLE[from]!(t), await MOVABLE[to]!(t)];
    let sent = manyEvents(6000, (i) => ({ topic: `t-${i % 3}` }));
    let isLeft = false;
    let takes = 0;
    let repeats = 0;
    /** The offsets of events whose texts are gone, and of those whose ids are. */
    const [gone, forgotten] = [new Set<number>(), new Set<number>()];
    /** The old store takes more, if it can, and lets go of what was copied before. */
    const served = async (more: number): Promise<void> => {
      const old = await openAt(t, source);
      const events = manyEvents(more, (i) => ({ event_id: `${sent.length}-${i}` }));
      for (const event of events) await old.append([batchOf(event)]);
      sent = [...sent, ...events];
      await old.append([batchOf(sent[0]!)]);
      repeats += 1;
      for (const isForgotten of [false, true]) {
        const next = 1001 + gone.size;
        const { topic, event_id: id } = sent[next - 1]!;
        assert.equal((await old.retention.erase(topic, id, isForgotten))!.offset, next);
        gone.add(next);
        if (isForgotten) forgotten.add(next);
      }
      await old.groups.apply([['create', GROUP]]);
      const request = { demands: [1], bytesMax: 1e6, readAhead: null, outstandingMax: 1000 };
      const [taken] = await old.groups.apply([['take', 1, request]]);
      assert.equal(taken!.hands[0]!.offsets[0], ++takes);
      await old.close();
    };
    const first = await openAt(t, source);
    await first.append([batchOf(...sent)]);
    await first.close();
    for (const step of STEPS) {
      for (const isDone of [false, true]) {
        if (step === 'complete' && isDone) continue;
        await killed(source, target, step, isDone);
        isLeft ||= step === 'leave' && isDone;
        if (isLeft) assert.match(await refusalOf(openAt(t, source)), /was moved to/, step);
        else await served(4);
        if (step !== 'begin' || isDone)
          assert.match(await refusalOf(openAt(t, target)), /is being filled/, step);
      }
    }
    await killed(source, target, 'complete', true);
    assert.equal((await moved(source, target)).kind, 'moved_before');

    const store = await openAt(t, target);
    const { books: before } = await everythingIn(store);
    assert.deepEqual([before.accepted, before.expired], [sent.length, gone.size]);
    for (const offset of forgotten) {
      const { topic, event_id: id } = sent[offset - 1]!;
      assert.equal(await store.find(topic, id), undefined);
    }
    const { duplicates } = await store.repeats.ages({});
    assert.equal(duplicates.reduce((sum, count) => sum + count, 0), repeats); // prettier-ignore
    const known = [...sent.keys()].map((i) => i + 1).filter((offset) => !forgotten.has(offset));
    const [again] = await store.append([batchOf(...known.map((offset) => sent[offset - 1]!))]);
    assert.deepEqual(new Set(again!.verdicts), new Set([DUPLICATE]));
    assert.deepEqual([...again!.offsets], known);
    const [group] = await store.groups.apply([['find', GROUP.name]]);
    assert.deepEqual([group!.leased, group!.deliveries, group!.position], [takes, takes, takes]);
    const { books } = await everythingIn(store);
    assert.deepEqual([books.accepted, books.received], [sent.length, sent.length + repeats + known.length]);
  });
}
