import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { pino } from 'pino';
import { Commits } from '../../src/commits/commits.ts';
import { Groups } from '../../src/groups/groups.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import type { Group } from '../support/group.ts';
import { takeBack } from '../support/older-format.ts';
import { Receiver, SECRET, secretOf } from '../support/receiver.ts';
import { type TestServer, problemIn } from '../support/server.ts';
import { until } from '../support/until.ts';
import { FAST, pushOf, serverWith, settled, webhook } from '../support/webhook.ts';

const HOUR_MS = 3_600_000;

async function restart(server: TestServer, group: Group): Promise<void> {
  await server.restart();
  group.url = server.url;
}

/** Sets the target of its events, and returns the service's answer. */
async function change(group: Group, push: Record<string, unknown>, definition = {}) {
  const put = await group.put({ topics: ['>'], start: 'earliest', push, ...definition });
  assert.equal(put.status, 200, await put.clone().text());
  return pushOf((await put.json()) as Awaited<ReturnType<Group['view']>>);
}

test('a secret is replaced without losing an event or sending it under two ids, across restarts [HOOK-3, HOOK-10]', async (t) => {
  const server = await serverWith(t);
  const receiver = await Receiver.start(t);
  const { url } = receiver;
  const [first, second] = [SECRET, secretOf(1)];
  const group = await webhook(server, url);
  let published = 0;
  const sendMore = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await server.publish(eventWith({ event_id: `e-${published++}` }));
    await settled(group, published);
  };
  await sendMore();
  // Both sign: the target may switch to the new one at any time.
  assert.equal((await change(group, { url, secrets: [second, first] })).secrets, 2);
  await sendMore();
  await restart(server, group);
  await sendMore();
  receiver.trust(second);
  await sendMore();
  assert.equal((await change(group, { url, secrets: [second] })).secrets, 1);
  await sendMore();
  receiver.trust(first);
  await server.publish(eventWith({ event_id: `e-${published++}` }));
  await until(() => 'a refusal', () => receiver.faults.length > 0); // prettier-ignore
  receiver.trust(second);
  await settled(group, published);
  await restart(server, group);
  await sendMore();

  assert.deepEqual(
    receiver.offsets,
    Array.from({ length: published }, (_, i) => i + 1),
  );
  const ids = receiver.received.map(({ id }) => id.replace(/_\d+$/, ''));
  assert.equal(new Set(ids).size, 1, 'they are of one group');
  assert.equal((await group.view()).cursor, published);
});

test('a waiting event is sent to a changed url at once, as the same message, even after a pause [HOOK-10]', async (t) => {
  const server = await serverWith(t, { retryMs: [HOUR_MS] });
  const ids: string[] = [];
  const broken = await Receiver.start(t, ({ id }) => (ids.push(id), 500));
  const gone = await Receiver.start(t, ({ id }) => (ids.push(id), 410));
  const good = await Receiver.start(t, ({ id }) => (ids.push(id), 200));
  await server.publish(...manyEvents(2));
  const group = await webhook(server, broken.url);
  await until(() => 'a failure', async () => pushOf(await group.view()).state === 'failing'); // prettier-ignore
  await change(group, { url: gone.url, secret: SECRET });
  await until(() => 'the pause', async () => pushOf(await group.view()).state === 'paused'); // prettier-ignore
  await restart(server, group);
  // Changing the secret of a target that is gone resumes it as well.
  await change(group, { url: gone.url, secrets: [SECRET, secretOf(1)] });
  await until(() => 'the second message', () => gone.received.length === 2); // prettier-ignore
  await until(() => 'the pause', async () => pushOf(await group.view()).state === 'paused'); // prettier-ignore
  const push = await change(group, { url: good.url, secret: SECRET });
  assert.deepEqual(push, { url: good.url, secrets: 1, state: 'active', paused_by: null, failing_since: null, last_failure: null }); // prettier-ignore
  await settled(group, 2);
  assert.deepEqual(good.received.map(({ event }) => event.offset), [1, 2]); // prettier-ignore
  assert.equal(new Set(ids.slice(0, 4)).size, 1);
});

test('the same definition changes nothing: a waiting event keeps waiting [GRP-1, HOOK-10]', async (t) => {
  const server = await serverWith(t, { retryMs: [HOUR_MS] });
  const receiver = await Receiver.start(t, () => 500);
  await server.publish(eventWith());
  const group = await webhook(server, receiver.url, { push: { url: receiver.url, secrets: [SECRET, secretOf(1)] } }); // prettier-ignore
  await until(() => 'a failure', async () => pushOf(await group.view()).state === 'failing'); // prettier-ignore
  for (const secrets of [[SECRET, secretOf(1)], [secretOf(1), SECRET]]) {
    assert.equal((await change(group, { url: receiver.url, secrets })).state, 'failing');
  } // prettier-ignore
  const { returned, in_flight: inFlight } = await group.view();
  assert.deepEqual({ returned, inFlight }, { returned: 1, inFlight: 0 });
  const other = { topics: ['>'], push: { url: `${receiver.url}2`, secret: SECRET } };
  await problemIn(await group.put({ ...other, lease_ms: 20_000 }), 409, 'subscription_differs');
  assert.equal(pushOf(await group.view()).url, receiver.url);
});

test('an attempt under way stays with the old target: if accepted it is not repeated, if failed it does not count [HOOK-10]', async (t) => {
  const server = await serverWith(t, { retryMs: [HOUR_MS] });
  const held: ServerResponse[] = [];
  const old = await Receiver.start(t, () => (response) => held.push(response));
  const next = await Receiver.start(t);
  await server.publish(...manyEvents(2));
  const once = { max_deliveries: 1 };
  const group = await webhook(server, old.url, once);

  await until(() => 'a message', () => held.length === 1); // prettier-ignore
  await change(group, { url: next.url, secret: SECRET }, once);
  held[0]!.writeHead(200).end();
  await settled(group, 2);
  assert.deepEqual([old.offsets, next.offsets], [[1], [2]]);

  await change(group, { url: old.url, secret: SECRET }, once);
  await server.publish(eventWith({ event_id: 'last' }));
  await until(() => 'a message', () => held.length === 2); // prettier-ignore
  await change(group, { url: next.url, secret: SECRET }, once);
  held[1]!.writeHead(410).end();
  await settled(group, 3);
  assert.deepEqual([old.offsets, next.offsets], [[1, 3], [2, 3]]); // prettier-ignore
  assert.equal(old.received[1]!.id, next.received[1]!.id);
  const { dead, deliveries, redeliveries, push } = await group.view();
  assert.deepEqual({ dead, deliveries, redeliveries, state: push!.state }, { dead: 0, deliveries: 3, redeliveries: 0, state: 'active' }); // prettier-ignore
});

test('a failure that arrives while the change is being stored counts for the old target [HOOK-10]', async (t) => {
  const store = new MemoryStore();
  const old = await Receiver.start(t, () => (response) => held.push(response));
  const next = await Receiver.start(t);
  const held: ServerResponse[] = [];
  const groups = await Groups.open({
    store,
    commits: new Commits(store, 0),
    push: { allowPrivate: true, timing: { ...FAST, retryMs: [HOUR_MS] }, attempted: () => {} },
    log: pino({ enabled: false }),
  });
  t.after(() => groups.close());
  const definition = { name: 'hook', topics: ['>'], start: 'earliest', leaseMs: 60_000, deliveriesMax: 1 } as const; // prettier-ignore
  const pushTo = ({ url }: Receiver) => ({ ...definition, push: { url, secrets: [SECRET] } });
  await groups.put(pushTo(old));
  await store.append([batchOf(eventWith())]);
  await until(() => 'a message', () => held.length === 1); // prettier-ignore

  const stored = Promise.withResolvers<void>();
  const apply = store.groups.apply.bind(store.groups);
  store.groups.apply = async (steps) => (await stored.promise, apply(steps));
  const put = groups.put(pushTo(next));
  held[0]!.writeHead(410).end();
  // The answer has reached the service once this later one, over the same loop and sockets, has been seen.
  await fetch(next.url, { method: 'POST', body: '{}' });
  await new Promise((resolve) => setTimeout(resolve, 50));
  stored.resolve();
  assert.equal((await put).kind, 'changed');
  const hook = (await groups.find('hook'))!;
  await until(() => 'the event', async () => (await groups.view(hook)).acknowledged === 1); // prettier-ignore
  assert.deepEqual(next.offsets, [1]);
  assert.equal((await groups.view(hook)).push!.pausedBy, null);
});

test('one of several concurrent changes takes effect as a whole, and decides how messages are sent [HOOK-10]', async (t) => {
  const server = await serverWith(t);
  const receivers = [await Receiver.start(t), await Receiver.start(t), await Receiver.start(t)];
  for (const [i, receiver] of receivers.entries()) receiver.trust(secretOf(i));
  const group = await webhook(server, receivers[0]!.url, { push: { url: receivers[0]!.url, secret: secretOf(0) } }); // prettier-ignore
  for (let round = 0; round < 5; round++) {
    await Promise.all(
      [...receivers.entries()].flatMap(([i, { url }]) => [
        change(group, { url, secret: secretOf(i) }),
        server.publish(eventWith({ event_id: `${round}-${i}` })),
      ]),
    );
  }
  await settled(group, 15);
  const { url } = pushOf(await group.view());
  await restart(server, group);
  await server.publish(eventWith({ event_id: 'last' }));
  await settled(group, 16);
  for (const receiver of receivers) {
    assert.deepEqual(receiver.faults, []);
    assert.equal(receiver.offsets.includes(16), receiver.url === url);
  }
});

test('a webhook in a file of the previous version continues with its secret and ids', async (t) => {
  const server = await serverWith(t, { retryMs: [HOUR_MS] });
  let isBroken = true;
  const receiver = await Receiver.start(t, () => (isBroken ? 500 : 200));
  await server.publish(...manyEvents(2));
  const group = await webhook(server, receiver.url);
  await until(() => 'a failure', async () => pushOf(await group.view()).state === 'failing'); // prettier-ignore
  await server.close();
  const db = new DatabaseSync(server.databasePath);
  takeBack(db, 8);
  assert.equal(db.prepare('SELECT push_secret FROM event_group').get()!['push_secret'], SECRET);
  db.close();
  isBroken = false;
  await restart(server, group);
  await group.post('resume');
  await settled(group, 2);
  assert.deepEqual(receiver.faults, []);
  assert.deepEqual(receiver.offsets, [1, 1, 2]);
  assert.equal(receiver.received[0]!.id, receiver.received[1]!.id);
});
