import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GroupNews } from '../../../src/store/group-news.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { type Cut, CuttingProxy } from '../../support/cutting-proxy.ts';
import { batchOf, manyEvents } from '../../support/events.ts';
import { beside, newLog, sharedServer } from '../../support/postgres-server.ts';
import { StoredGroup, definition, handsOf, leases, said } from '../../support/stored-group.ts';
import { TestClock } from '../../support/stores.ts';

/** What is in the text that locks and loads, and in the one that writes and commits. */
const LOADING = 'SELECT apply_id FROM lane';
const COMMITTING = 'UPDATE lane SET apply_id';

const CUTS = ['before', 'after', 'late'] as const satisfies Cut[];

interface Proxied {
  readonly store: PostgresStore;
  readonly proxy: CuttingProxy;
  /** Another instance, which has no proxy. */
  readonly other: PostgresStore;
  readonly clock: TestClock;
  readonly address: string;
}

/** A store with ten events that reaches its server through a proxy. */
async function proxied(t: TestContext, marker: string): Promise<Proxied> {
  const { folder } = await sharedServer();
  const address = await newLog();
  const proxy = await CuttingProxy.start(t, `${folder}/.s.PGSQL.5432`, marker);
  const schema = new URL(address).searchParams.get('schema')!;
  const clock = new TestClock(1_000_000);
  const options = { now: clock.now, allowsLoss: true };
  const store = await PostgresStore.open(
    `postgres://postgres@127.0.0.1:${proxy.port}/postgres?schema=${schema}`,
    undefined,
    options,
  );
  const other = await PostgresStore.open(address, undefined, options);
  t.after(() => Promise.all([store.close(), other.close()]));
  await store.append([batchOf(...manyEvents(10))]);
  return { store, proxy, other, clock, address };
}

for (const [what, marker] of [
  ['its loading', LOADING],
  ['its commit', COMMITTING],
] as const) {
  for (const cut of CUTS) {
    // Its own test is below.
    if (marker === LOADING && cut === 'late') continue;
    test(`a step whose connection is cut ${cut} ${what} is done once, and its outcome is the first one's [GRP-5, GRP-7]`, async (t) => {
      const { store, proxy, other, clock } = await proxied(t, marker);
      const told: GroupNews[] = [];
      store.groups.watch((news) => told.push(news));
      const group = new StoredGroup({ store, clock });
      const cutting = async <T>(work: () => Promise<T>): Promise<T> => {
        const { done } = proxy;
        proxy.cuts.push(cut);
        const outcome = await work();
        assert.equal(proxy.done, done + 1);
        return outcome;
      };
      const created = await cutting(() => group.step('create', definition({ deliveriesMax: 2 })));
      assert.ok(created.kind === 'created', created.kind);
      group.id = created.state.id;
      assert.deepEqual(handsOf(await cutting(() => group.take([0, 3], 2, 1))), [[[1, 1], [2, 1]], [[3, 1]]]); // prettier-ignore
      const states = await cutting(() => group.step('acknowledge', group.id, leases([1, 1], [2, 3])));
      assert.deepEqual(said(states), ['done', 'done']);
      const given = await cutting(() => group.step('giveBack', group.id, leases([1, 2]), 0));
      assert.deepEqual(said(given), ['done']);
      assert.deepEqual(handsOf(await cutting(() => group.take([3, 4], 9))), [[[2, 2], [4, 1]]]); // prettier-ignore
      // One that comes late finds that it is too late.
      if (cut === 'late') await sleep(300);
      const there = new StoredGroup({ store: other, clock });
      there.id = group.id;
      const { deliveries, redeliveries, acknowledged, leased, position } = await there.state();
      assert.deepEqual(
        { deliveries, redeliveries, acknowledged, leased, position },
        { deliveries: 5, redeliveries: 1, acknowledged: 2, leased: 2, position: 4 },
      );
      assert.deepEqual(await group.state(), await there.state());
      assert.equal(await cutting(() => group.step('remove', group.id)), true);
      assert.deepEqual(
        told.map(({ kind }) => kind),
        ['made', 'moved', 'moved', 'moved', 'moved', 'removed'],
      );
    });
  }
}

for (const cut of CUTS) {
  test(`what another instance does to a group after a take that is cut ${cut} its commit does not hide what became of it [GRP-4]`, async (t) => {
    const { store, proxy, other, clock } = await proxied(t, COMMITTING);
    const here = await StoredGroup.make({ store, clock });
    const there = new StoredGroup({ store: other, clock });
    there.id = here.id;
    const given: number[] = [];
    const pull = async (group: StoredGroup): Promise<void> => {
      for (const hand of handsOf(await group.take(null, 1))) given.push(...hand.map(([offset]) => offset));
    };
    proxy.cuts.push(cut, cut, cut);
    await Promise.all([
      (async () => {
        for (let i = 0; i < 5; i++) await pull(here);
      })(),
      (async () => {
        for (let i = 0; i < 5; i++) await pull(there);
      })(),
    ]);
    assert.equal(proxy.done, 3);
    assert.deepEqual(given.toSorted((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]); // prettier-ignore
    assert.equal((await there.state()).deliveries, 10);
  });
}

test('a session that a server without its client still holds in the middle of a step gives the group free again', async (t) => {
  const { store, proxy, clock } = await proxied(t, LOADING);
  const group = await StoredGroup.make({ store, clock });
  proxy.cuts.push('late');
  assert.deepEqual(handsOf(await group.take([0, 2], 2)), [[[1, 1], [2, 1]]]); // prettier-ignore
  // By now the server has done what came late, and holds the locks.
  await sleep(300);
  assert.deepEqual(handsOf(await group.take([2, 3], 2)), [[[3, 1]]]);
});

test('a step at whose commit the server warns is not taken for done until a later commit is confirmed', async (t) => {
  const { store, clock, address } = await proxied(t, COMMITTING);
  const group = await StoredGroup.make({ store, clock });
  const client = await beside(t, address);
  await client.query(`
    CREATE SEQUENCE warned;
    CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF nextval('warned') <= 2 THEN
        RAISE WARNING 'canceling wait for synchronous replication due to user request';
      END IF;
      RETURN NULL;
    END $$;
    CREATE TRIGGER warn AFTER UPDATE ON lane FOR EACH ROW EXECUTE FUNCTION warn();
    CREATE TRIGGER warn AFTER UPDATE ON head FOR EACH ROW EXECUTE FUNCTION warn()`);
  assert.deepEqual(handsOf(await group.take(null, 2)), [[[1, 1], [2, 1]]]); // prettier-ignore
  const { rows } = await client.query<{ last_value: string }>('SELECT last_value FROM warned');
  // The commit, the session that was begun next and warned at, too, and one that was not.
  assert.ok(Number(rows[0]!.last_value) >= 3, rows[0]!.last_value);
  assert.equal((await group.state()).deliveries, 2);
});

test('a step that finds the row of its lane gone is done in the same session again', async (t) => {
  const { store, clock, address } = await proxied(t, LOADING);
  const client = await beside(t, address);
  const group = await StoredGroup.make({ store, clock });
  assert.deepEqual(handsOf(await group.take(null, 2)), [[[1, 1], [2, 1]]]); // prettier-ignore
  const sessions = async (): Promise<unknown[]> => {
    const { rows } = await client.query(
      "SELECT pid, backend_start FROM pg_stat_activity WHERE query LIKE '%lane SET apply_id%' AND pid <> pg_backend_pid()",
    );
    return rows;
  };
  const before = await sessions();
  assert.equal(before.length, 1);
  await client.query('DELETE FROM lane');
  assert.deepEqual(handsOf(await group.take(null, 2)), [[[3, 1], [4, 1]]]); // prettier-ignore
  assert.deepEqual(await sessions(), before);
});
