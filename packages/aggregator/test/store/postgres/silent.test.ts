import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Network } from '../../../../../lab/network.ts';
import { StoreError } from '../../../src/store/event-store.ts';
import { readAddress } from '../../../src/store/postgres/address.ts';
import { Hearing } from '../../../src/store/postgres/hearing.ts';
import { Sessions } from '../../../src/store/postgres/sessions.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { beside, isWaitedFor, newLog, sharedServer } from '../../support/postgres-server.ts';
import { until } from '../../support/until.ts';

/** Longer than a close may take that waits for nobody, also on a busy machine. */
const CLOSE_MS_MAX = 60_000;

/** A network before the server of a log, the log's address through it, and a connection of the test's own past it. */
async function networked(t: TestContext) {
  const { folder, port } = await sharedServer();
  const direct = await newLog();
  const network = await Network.open({ path: `${folder}/.s.PGSQL.${port}` });
  t.after(() => network[Symbol.asyncDispose]());
  const schema = new URL(direct).searchParams.get('schema')!;
  const address = `postgres://postgres@127.0.0.1:${network.port}/postgres?schema=${schema}`;
  return { network, address, besides: () => beside(t, direct) };
}

async function opened(t: TestContext) {
  const { address, ...parts } = await networked(t);
  const merging = { waitingMax: 8, largeEvents: 6 };
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true, merging });
  t.after(() => store.close());
  let next = 0;
  const append = () => store.append([batchOf(eventWith({ event_id: `n-${next++}` }))]);
  return { store, append, ...parts };
}

function sessionsAt(address: string): Sessions {
  return new Sessions(readAddress(address), {
    allowsLoss: true,
    known: () => ({ lastOffset: 0, epochId: 0, append: null }),
    began: async () => {},
  });
}

test('a store is closed soon while its database does not answer', async (t) => {
  const { store, network } = await opened(t);
  await store.append([batchOf(...manyEvents(2))]);
  assert.equal(await store.retention.claim(), true);
  // The connection for the vacuum after it is yet to be made.
  await store.retention.erase('orders', 'e-1', false);
  network.stall();
  const closed = store.close().then(() => true);
  const late = new AbortController();
  const isClosed = await Promise.race([closed, sleep(CLOSE_MS_MAX, false, { signal: late.signal })]);
  late.abort();
  // The end of the test closes it, too.
  network.flow();
  assert.equal(isClosed, true);
});

test('a store whose database stops answering while it is opened is refused', async (t) => {
  const refusedAt = async (lock: string) => {
    const { network, address, besides } = await networked(t);
    await (await PostgresStore.open(address, undefined, { allowsLoss: true })).close();
    const client = await besides();
    await client.query(`BEGIN; ${lock}`);
    let refused: unknown;
    PostgresStore.open(address, undefined, { allowsLoss: true }).catch((error: unknown) => (refused = error));
    await until(
      () => `it waits for ${lock}`,
      () => isWaitedFor(client),
    );
    network.stall();
    await until(
      () => `it is refused at ${lock}`,
      () => refused !== undefined,
    );
    assert.ok(refused instanceof StoreError);
    assert.equal(refused.code, 'unusable');
  };
  // Where its first session begins, and where others have begun that are idle.
  await Promise.all(['SELECT FROM head FOR UPDATE', 'LOCK TABLE retention'].map(refusedAt));
});

test('blocks are merged again once the connection was lost on which they were, and nobody told of it', async (t) => {
  const { store, append, network, besides } = await opened(t);
  const client = await besides();
  for (let i = 0; i < 8; i++) await append();
  await client.query('BEGIN; SELECT FROM merging FOR UPDATE');
  let given: unknown;
  store.merge().catch((error: unknown) => (given = error));
  await until(
    () => 'the merge waits for the lock',
    () => isWaitedFor(client),
  );
  network.lose();
  await client.query('COMMIT');
  await until(
    () => 'the lost one is given up',
    () => given !== undefined,
  );
  await store.merge();
  assert.equal((await client.query('SELECT FROM merged_block')).rowCount, 1);
});

test("topics' counts are settled again once the connection was lost on which they were, and nobody told of it", async (t) => {
  const { append, network, besides } = await opened(t);
  const client = await besides();
  const settledTo = async () =>
    (await client.query<{ to: number }>('SELECT last_offset::int AS to FROM settled')).rows[0]!.to;
  await append();
  await client.query('BEGIN; SELECT FROM topic FOR UPDATE');
  await until(
    () => 'the settling waits for the lock',
    async () => {
      await append();
      return isWaitedFor(client);
    },
  );
  network.lose();
  await client.query('COMMIT');
  await until(
    () => 'the lost one has settled',
    async () => (await settledTo()) > 0,
  );
  const before = await settledTo();
  await until(
    () => `settled above ${before}`,
    async () => {
      await append();
      return (await settledTo()) > before;
    },
  );
});

test('a connection that is idle does not outlive a store whose database does not answer', async (t) => {
  const { network, address } = await networked(t);
  await (await PostgresStore.open(address, undefined, { allowsLoss: true })).close();
  const sessions = sessionsAt(address);
  await sessions.read((client) => client.query('SELECT'));
  const open = () => process.getActiveResourcesInfo().filter((one) => one === 'TCPSocketWrap').length;
  network.stall();
  const before = open();
  await sessions.close();
  // The near end in the network, which stands still, is left.
  await until(
    () => `${before} open, one of them too many`,
    () => open() === before - 1,
  );
});

test('an instance hears of the others again once the connection was lost on which it did, and nobody told of it', async (t) => {
  const { network, address } = await networked(t);
  const sessions = sessionsAt(address);
  const hearing = new Hearing(sessions, () => {});
  t.after(async () => {
    await hearing.close();
    await sessions.close();
  });
  hearing.on('news', () => {});
  await until(
    () => 'it hears',
    () => hearing.listen(),
  );
  network.lose();
  await until(
    () => 'it hears again',
    async () => (await hearing.listen()) && hearing.begun === 2,
  );
});
