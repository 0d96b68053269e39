import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestContext, test } from 'node:test';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import type { Definition, OutcomesOf, Step } from '../../../src/store/group-store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { Group } from '../../support/group.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { TestServer, problemIn } from '../../support/server.ts';

// What may happen between the moment when a request looks up its group and the moment when it acts on it.

const MADE: Definition = {
  name: 'workers',
  topics: ['a'],
  start: 'earliest',
  leaseMs: 30_000,
  deliveriesMax: 5,
  push: null,
};

/** A service that does not know its group yet, on a store that reports when the group is looked up. */
async function setting(t: TestContext, env: Record<string, string> = {}) {
  const store = new MemoryStore();
  const apply = store.groups.apply.bind(store.groups);
  await apply([['create', MADE]]);
  const lookedUp = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  store.groups.apply = async <const S extends readonly Step[]>(steps: S): Promise<OutcomesOf<S>> => {
    const outcomes = await apply(steps);
    if (steps[0]?.[0] === 'find') {
      lookedUp.resolve();
      await goOn.promise;
    }
    return outcomes;
  };
  const server = await TestServer.startOn(t, () => store, env);
  return { store, apply, server, lookedUp: lookedUp.promise, goOn: goOn.resolve };
}

test('a request does not act on a group with other topics that replaced its own meanwhile [GRP-19, KEY-4]', async (t) => {
  const keys = new TestKeys(t, { narrow: { scopes: ['read'], topics: ['a'] } });
  const { apply, server, lookedUp, goOn, store } = await setting(t, { API_KEYS_FILE: keys.path });
  const group = new Group(server.url, MADE.name, withKey('narrow'));
  const pull = group.post('pull', {});
  await lookedUp;
  const [found] = await apply([['find', MADE.name]]);
  await apply([
    ['remove', found!.id],
    ['create', { ...MADE, topics: ['b'] }],
  ]);
  await store.append([batchOf(eventWith({ topic: 'b' }))]);
  goOn();
  await problemIn(await pull, 404, 'subscription_not_found');
  assert.equal((await group.delete()).status, 404);
  const [foreign] = await apply([['find', MADE.name]]);
  assert.deepEqual([foreign!.leased, foreign!.position], [0, 0], 'the new group is unchanged');
});

test('a pull whose client leaves during the lookup of its group leases nothing [GRP-17]', async (t) => {
  const { apply, server, lookedUp, goOn } = await setting(t);
  const leaving = new AbortController();
  const pull = new Group(server.url).post('pull', { wait_ms: 20_000 }, leaving.signal);
  await lookedUp;
  leaving.abort();
  await assert.rejects(pull);
  await sleep(50);
  goOn();
  await sleep(50);
  await server.publish(eventWith({ topic: 'a' }));
  await sleep(50);
  const [state] = await apply([['find', MADE.name]]);
  assert.deepEqual([state!.leased, state!.deliveries], [0, 0]);
});

test('a pull that looks up its group while the server stops is answered with no events [GRP-17]', async (t) => {
  const { server, lookedUp, goOn } = await setting(t);
  const pull = new Group(server.url).post('pull', { wait_ms: 20_000 });
  await lookedUp;
  const closed = server.close();
  await sleep(50);
  goOn();
  const response = await pull;
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { count: 0, events: [] });
  await closed;
});
