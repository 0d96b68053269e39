import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { Document } from '../../support/api-document.ts';
import { manyEvents } from '../../support/events.ts';
import { expireTo, onEachStore } from '../../support/letting-go.ts';
import { Group, offsetsOf } from '../../support/group.ts';
import { TestServer } from '../../support/server.ts';

test('the books of a group tell what it lost, before it comes there and after [RET-30, GRP-15]', async (t) => {
  const store = new MemoryStore();
  const server = await TestServer.startOn(t, () => store);
  await server.publish(...manyEvents(9, (i) => ({ topic: i % 3 === 2 ? 'others' : 'orders' })));
  const group = new Group(server.url);
  await group.make({ topics: ['orders'] });
  const books = async () => {
    const { cursor, lag, acknowledged, expired } = await group.view();
    return { cursor, lag, acknowledged, expired };
  };
  await group.acknowledge(await group.pull({ max: 1 }));
  assert.deepEqual(await books(), { cursor: 1, lag: 5, acknowledged: 1, expired: 0 });
  await expireTo(store.retention, 6);
  // The first one had been finished. The rest are 2, 4 and 5.
  assert.deepEqual(await books(), { cursor: 1, lag: 2, acknowledged: 1, expired: 3 });
  assert.deepEqual(offsetsOf(await group.pull({ max: 1 })), [7]);
  assert.deepEqual(await books(), { cursor: 6, lag: 2, acknowledged: 1, expired: 3 });
});

onEachStore(
  'lag is what is still to come: what expired while it waits to be delivered again is lost, and what a worker has is not [GRP-15, RET-31, RET-32]',
  async ({ server, retention }) => {
    const group = new Group(server.url);
    await group.make({ topics: ['orders'] });
    await server.publish(...manyEvents(8));
    const books = async (): Promise<number[]> => {
      const { lag, in_flight: inFlight, returned, expired, acknowledged } = await group.view();
      return [lag, inFlight, returned, expired, acknowledged];
    };
    const held = await group.pull({ max: 6 });
    await group.acknowledge(held.slice(0, 1));
    await group.giveBack(held.slice(3));
    assert.deepEqual(await books(), [7, 2, 3, 0, 1]);
    // Of what was acknowledged, what is leased and what is returned two each, and one ahead.
    await retention.erase('orders', 'e-1', false);
    for (const id of ['e-2', 'e-4', 'e-6', 'e-8']) await retention.erase('orders', id, false);
    assert.deepEqual(await books(), [4, 2, 1, 3, 1]);
    await group.acknowledge(held.slice(1, 3));
    assert.deepEqual(await books(), [2, 0, 1, 3, 3]);
    assert.deepEqual(offsetsOf(await group.pull({ max: 9 })), [5, 7]);
    assert.deepEqual(await books(), [2, 2, 0, 3, 3], 'the pull has settled it, and nothing is counted twice');
  },
);

test('a dead event whose text is gone is listed without it, and a replay of it counts as expired [RET-34]', async (t) => {
  const store = new MemoryStore();
  const server = await TestServer.startOn(t, () => store);
  await server.publish(...manyEvents(4));
  const group = new Group(server.url);
  await group.make({ max_deliveries: 1 });
  await group.giveBack(await group.pull({ max: 3 }));
  await store.retention.erase('orders', 'e-2', false);
  const { count, events, next } = await group.dead();
  assert.deepEqual([count, next], [3, null]);
  assert.deepEqual(
    events.map(({ offset, event_id, expired, deliveries, reason }) => [
      offset,
      event_id,
      expired,
      deliveries,
      reason,
    ]),
    [
      [1, 'e-1', undefined, 1, 'given_back'],
      [2, undefined, true, 1, 'given_back'],
      [3, 'e-3', undefined, 1, 'given_back'],
    ],
  );
  const document = await Document.of(server);
  await document.check('get', '/subscriptions/{name}/dead', await group.get('/dead'));
  assert.deepEqual((await group.dead('?limit=2')).next, 2);

  assert.equal((await group.post('dead/replay', {})).status, 200);
  assert.deepEqual(offsetsOf(await group.pull({ max: 9 })), [1, 3, 4]);
  const { dead, expired, in_flight, returned } = await group.view();
  assert.deepEqual(
    { dead, expired, in_flight, returned },
    { dead: 0, expired: 1, in_flight: 3, returned: 0 },
  );
});

test('an event erased while it waits for a pull is not in the answer of any pull after that of the erasure [RET-33]', async (t) => {
  const store = new MemoryStore();
  const server = await TestServer.startOn(t, () => store);
  const group = new Group(server.url);
  await group.make();
  await server.publish(...manyEvents(3));
  await group.giveBack(await group.pull({ max: 1 }));
  await store.retention.erase('orders', 'e-2', true);
  assert.deepEqual(offsetsOf(await group.pull({ max: 3 })), [1, 3]);
  assert.equal((await group.view()).expired, 1);
});
