import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '@chronicleweaver/protocol';
import { DONE, EXPIRED } from '../../../src/store/group-store.ts';
import type { GroupNews } from '../../../src/store/group-news.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, manyEvents } from '../../support/events.ts';
import { newLog, sharedServer } from '../../support/postgres-server.ts';
import { definition, leases } from '../../support/stored-group.ts';
import { until } from '../../support/until.ts';

/** A way to the server of a log that a test can cut, with all that is on it. */
interface Way {
  readonly address: string;
  cut(): void;
}

async function wayTo(t: TestContext, address: string): Promise<Way> {
  const { folder } = await sharedServer();
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(`${folder}/.s.PGSQL.5432`);
    for (const one of [near, far]) {
      open.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        open.delete(one);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const one of open) one.destroy();
  };
  t.after(() => {
    cut();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const schema = new URL(address).searchParams.get('schema')!;
  return { address: `postgres://postgres@127.0.0.1:${port}/postgres?schema=${schema}`, cut };
}

function opened(address: string): Promise<PostgresStore> {
  return PostgresStore.open(address, undefined, { allowsLoss: true });
}

test('workers on instances whose connections are cut again and again get each event, one at a time, and each is acknowledged once [GRP-4, GRP-5, GRP-7]', async (t) => {
  const INSTANCES = 3;
  const EVENTS = 200;
  const CUTS = 15;
  const LEASE_MS = 60_000;
  const address = await newLog();
  const ways = await Promise.all(Array.from({ length: INSTANCES }, () => wayTo(t, address)));
  const stores = await Promise.all(ways.map((way) => opened(way.address)));
  t.after(() => Promise.all(stores.map((store) => store.close())));
  await stores[0]!.append([batchOf(...manyEvents(EVENTS))]);
  const [created] = await stores[0]!.groups.apply([
    ['create', definition({ leaseMs: LEASE_MS, deliveriesMax: 9 })],
  ]);
  assert.ok(created.kind === 'created');
  const { id } = created.state;
  const acknowledged = new Map<number, number>();
  const given = new Map<number, number>();

  const work = async (store: PostgresStore): Promise<void> => {
    for (;;) {
      const request = { demands: [3, 2], bytesMax: 100_000, readAhead: null, outstandingMax: 100 };
      const [taken] = await store.groups.apply([['take', id, request]]);
      const hands = taken!.hands.filter(({ offsets }) => offsets.length > 0);
      if (hands.length === 0) return;
      for (const { take, offsets } of hands) {
        for (const offset of offsets) given.set(offset, (given.get(offset) ?? 0) + 1);
        const pairs = leases(...Array.from(offsets, (offset): [number, number] => [take, offset]));
        const [states] = await store.groups.apply([['acknowledge', id, pairs]]);
        for (const [i, offset] of offsets.entries()) {
          assert.equal(states![i], DONE, `offset ${offset} of take ${take}`);
          acknowledged.set(offset, (acknowledged.get(offset) ?? 0) + 1);
        }
      }
    }
  };
  const done = new AbortController();
  const cutting = (async () => {
    for (let turn = 0; turn < CUTS && !done.signal.aborted; turn++) {
      await sleep(60);
      ways[turn % INSTANCES]!.cut();
    }
  })();
  await Promise.all(stores.flatMap((store) => [work(store), work(store)]));
  done.abort();
  await cutting;
  const expected = Array.from({ length: EVENTS }, (_, i) => [i + 1, 1]);
  const inOrder = (counts: Map<number, number>) => [...counts].toSorted(([a], [b]) => a - b);
  assert.deepEqual(inOrder(given), expected, 'each was given once: no lease has ended');
  assert.deepEqual(inOrder(acknowledged), expected);
  const [state] = await stores[1]!.groups.apply([['state', id]]);
  assert.deepEqual(
    [state!.acknowledged, state!.deliveries, state!.redeliveries, state!.leased, state!.cursor],
    [EVENTS, EVENTS, 0, 0, EVENTS],
  );
});

test('leases of an instance that died are worked on elsewhere when they end, and its late acknowledgement is told that', async (t) => {
  const address = await newLog();
  const way = await wayTo(t, address);
  const dying = await opened(way.address);
  const other = await opened(address);
  t.after(() => Promise.all([dying.close(), other.close()]));
  await other.append([batchOf(...manyEvents(2))]);
  const [created] = await other.groups.apply([['create', definition({ leaseMs: 150 })]]);
  assert.ok(created.kind === 'created');
  const { id } = created.state;
  const request = { demands: [9], bytesMax: 100_000, readAhead: null, outstandingMax: 100 };
  const [taken] = await dying.groups.apply([['take', id, request]]);
  assert.deepEqual([...taken!.hands[0]!.offsets], [1, 2]);
  way.cut();
  await until(
    () => 'they are due',
    async () => {
      const [again] = await other.groups.apply([['take', id, request]]);
      return again!.hands[0]!.offsets.length === 2 && again!.hands[0]!.deliveries[0] === 2;
    },
  );
  const [late] = await dying.groups.apply([['acknowledge', id, leases([1, 1])]]);
  assert.deepEqual([...late!], [EXPIRED]);
});

test('instances that make groups at once keep to the limit, and of one name make one', async (t) => {
  const address = await newLog();
  const stores = await Promise.all([opened(address), opened(address), opened(address)]);
  t.after(() => Promise.all(stores.map((store) => store.close())));
  const named = (name: string) => ['create', definition({ name })] as const;
  await stores[0].groups.apply(Array.from({ length: LIMITS.groupsMax - 2 }, (_, i) => named(`g-${i}`)));
  const made = await Promise.all(
    stores.map((store, i) => store.groups.apply([named('same'), named(`one of ${i}`)])),
  );
  const kinds = made.flatMap(([same, own]) => [same.kind, own.kind]);
  const count = (kind: string) => kinds.filter((one) => one === kind).length;
  assert.deepEqual([count('created'), count('same'), count('full')], [2, 2, 2], kinds.join());
  const [all] = await stores[2].groups.apply([['list']]);
  assert.equal(all.length, LIMITS.groupsMax);
});

test('news of groups that is lost with its connection is found by looking', async (t) => {
  const address = await newLog();
  const way = await wayTo(t, address);
  const [here, there] = await Promise.all([opened(address), opened(way.address)]);
  t.after(() => Promise.all([here.close(), there.close()]));
  const told: GroupNews[] = [];
  there.groups.watch((news) => told.push(news));
  const push = { url: 'https://example.org/hook', secrets: ['whsec_AAAA'] };
  const [old] = await here.groups.apply([['create', definition({ name: 'old' })]]);
  assert.ok(old.kind === 'created');
  const heard = (kind: GroupNews['kind'], id: number) =>
    until(
      () => `${kind} ${id}: ${JSON.stringify(told)}`,
      () => told.some((news) => news.kind === kind && news.id === id),
    );
  await heard('made', old.state.id);
  way.cut();
  const [created] = await here.groups.apply([
    ['create', definition({ push })],
    ['remove', old.state.id],
  ]);
  assert.ok(created.kind === 'created');
  await heard('made', created.state.id);
  await heard('removed', old.state.id);
});
