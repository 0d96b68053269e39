import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { eventWith, manyEvents } from '../support/events.ts';
import { Group, type GroupView } from '../support/group.ts';
import { Receiver, SECRET, secretOf } from '../support/receiver.ts';
import { problemIn } from '../support/server.ts';
import { until } from '../support/until.ts';
import { pushOf, serverWith, settled, webhook } from '../support/webhook.ts';

test('each event on the topics is sent once and in order, as in GET /events, signed according to Standard Webhooks [HOOK-1, HOOK-2, HOOK-3]', async (t) => {
  const server = await serverWith(t);
  const receiver = await Receiver.start(t);
  await server.publish(
    ...manyEvents(10, (i) => ({ topic: i % 2 === 0 ? 'orders.eu' : 'other', payload: { text: 'é 😀' } })),
  );
  const group = await webhook(server, receiver.url, { topics: ['orders.>'] });
  await until(() => `5 messages, there are ${receiver.offsets.length}`, () => receiver.offsets.length === 5); // prettier-ignore
  for (let i = 0; i < 20; i++) await server.publish(eventWith({ event_id: `live-${i}`, topic: 'orders.us' }));
  await settled(group, 25);
  assert.deepEqual(receiver.faults, []);
  const { events } = await server.events();
  assert.deepEqual(
    receiver.received.map(({ event }) => event),
    events.filter(({ topic }) => topic !== 'other'),
  );
  assert.equal(new Set(receiver.received.map(({ id }) => id)).size, 25);
  for (const { id, event, headers } of receiver.received) {
    assert.match(id, new RegExp(`^msg_[0-9a-f]{16}_${event.offset}$`));
    assert.equal(headers['content-type'], 'application/json');
    assert.ok(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000) < 60);
  }
  const { lag, cursor, redeliveries } = await group.view();
  assert.deepEqual({ lag, cursor, redeliveries }, { lag: 0, cursor: 30, redeliveries: 0 });
  assert.ok(receiver.connections <= 3, `${receiver.connections} connections for 25 messages`);
});

test('an event not answered with 2xx is sent again under the same id, and the next event waits for it [HOOK-4, HOOK-5]', async (t) => {
  const server = await serverWith(t, { retryMs: [20, 60] });
  const failures = [500, 404, 302];
  const receiver = await Receiver.start(t, ({ event }) =>
    event.offset === 2 ? (failures.shift() ?? 204) : 200,
  );
  await server.publish(...manyEvents(4));
  const group = await webhook(server, receiver.url);
  await settled(group, 4);
  assert.deepEqual(receiver.offsets, [1, 2, 2, 2, 2, 3, 4]);
  const ids = receiver.received.filter(({ event }) => event.offset === 2).map(({ id }) => id);
  assert.equal(new Set(ids).size, 1);
  const times = receiver.received.map(({ atMs }) => atMs);
  assert.ok(times[2]! - times[1]! >= 15, 'after the first failure about 20 ms');
  assert.ok(times[3]! - times[2]! >= 45, 'after the others about 60 ms');
  assert.ok(times[4]! - times[3]! >= 45);
  const { redeliveries, push } = await group.view();
  assert.equal(redeliveries, 3);
  assert.deepEqual(push, { url: receiver.url, secrets: 1, state: 'active', paused_by: null, failing_since: null, last_failure: null }); // prettier-ignore
});

test('a failure is shown until an attempt succeeds [HOOK-7]', async (t) => {
  const server = await serverWith(t, { retryMs: [100] });
  let isBroken = true;
  const receiver = await Receiver.start(t, () => (isBroken ? 503 : 200));
  await server.publish(eventWith());
  const group = await webhook(server, receiver.url, { max_deliveries: 1000 });
  await until(() => 'a failure', async () => pushOf(await group.view()).state === 'failing'); // prettier-ignore
  const { failing_since: since, last_failure: failure } = pushOf(await group.view());
  assert.equal(failure, 'HTTP 503');
  assert.ok(Math.abs(Date.parse(since!) - Date.now()) < 30_000);
  isBroken = false;
  await settled(group, 1);
  assert.equal(pushOf(await group.view()).state, 'active');
});

test('a target that asks for a later retry gets one [HOOK-5]', async (t) => {
  const server = await serverWith(t, { retryMs: [1, 3_600_000] });
  let isFirst = true;
  const receiver = await Receiver.start(t, () => {
    if (!isFirst) return 200;
    isFirst = false;
    return (response) => response.writeHead(429, { 'retry-after': '1' }).end();
  });
  await server.publish(eventWith());
  await settled(await webhook(server, receiver.url), 1);
  const [first, second] = receiver.received;
  assert.ok(second!.atMs - first!.atMs >= 950, `${second!.atMs - first!.atMs} ms`);
});

test('an event is dead after its last delivery, the next one is sent, and a replay sends the dead one again [HOOK-6]', async (t) => {
  const server = await serverWith(t);
  let isPoison = true;
  const receiver = await Receiver.start(t, ({ event }) => (isPoison && event.offset === 1 ? 500 : 200));
  await server.publish(...manyEvents(3));
  const group = await webhook(server, receiver.url, { max_deliveries: 3 });
  await settled(group, 2);
  assert.deepEqual(receiver.offsets, [1, 1, 1, 2, 3]);
  const { events } = await group.dead();
  assert.deepEqual(events.map(({ offset, deliveries, reason }) => [offset, deliveries, reason]), [[1, 3, 'given_back']]); // prettier-ignore
  isPoison = false;
  assert.deepEqual(await (await group.post('dead/replay')).json(), { replayed: 1, dead: 0 });
  await settled(group, 3);
  assert.deepEqual(receiver.offsets.slice(5), [1]);
});

test('after a day of failures, even across a restart, a webhook is paused, and continues when it is resumed [HOOK-7]', async (t) => {
  const server = await serverWith(t, { retryMs: [50], pauseAfterMs: 200 });
  let isBroken = true;
  const receiver = await Receiver.start(t, () => (isBroken ? 500 : 200));
  await server.publish(...manyEvents(2));
  const group = await webhook(server, receiver.url, { max_deliveries: 1000 });
  await until(() => 'the pause', async () => pushOf(await group.view()).state === 'paused'); // prettier-ignore
  const attempts = receiver.received.length;
  assert.ok(attempts >= 2, `${attempts} attempts`);
  await server.restart();
  group.url = server.url;
  isBroken = false;
  await sleep(200);
  assert.equal(receiver.received.length, attempts);
  const { push, lag } = await group.view();
  assert.equal(lag, 2);
  assert.equal(push!.state, 'paused');
  assert.equal(push!.paused_by, 'failures');
  assert.equal(push!.last_failure, 'HTTP 500');

  const resumed = await group.post('resume');
  assert.equal(resumed.status, 200);
  assert.equal(pushOf((await resumed.json()) as GroupView).state, 'active');
  await settled(group, 2);
  assert.equal(pushOf(await group.view()).failing_since, null);
});

test('a webhook whose target answers 410 is paused at once, and sends at once when it is resumed [HOOK-7]', async (t) => {
  const server = await serverWith(t, { retryMs: [3_600_000] });
  const answers = [410, 500];
  const receiver = await Receiver.start(t, () => answers.shift() ?? 200);
  await server.publish(eventWith());
  const group = await webhook(server, receiver.url);
  await until(() => 'the pause', async () => pushOf(await group.view()).state === 'paused'); // prettier-ignore
  assert.equal(pushOf(await group.view()).last_failure, 'HTTP 410');
  await group.post('resume');
  await until(() => 'the second attempt', async () => pushOf(await group.view()).state === 'failing'); // prettier-ignore
  await group.post('resume');
  await settled(group, 1);
  assert.deepEqual(receiver.offsets, [1, 1, 1]);
});

test('a webhook that is paused on request sends nothing more, even after a restart, until it is resumed [HOOK-11]', async (t) => {
  const server = await serverWith(t, { retryMs: [1] });
  const held: ServerResponse[] = [];
  const receiver = await Receiver.start(t, () =>
    held.length === 0 ? (response) => held.push(response) : 200,
  );
  await server.publish(...manyEvents(2));
  const group = await webhook(server, receiver.url);
  await until(() => 'a message', () => held.length === 1); // prettier-ignore
  for (let turn = 0; turn < 2; turn++) {
    const paused = await group.post('pause');
    assert.equal(paused.status, 200);
    const { state, paused_by: by } = pushOf((await paused.json()) as GroupView);
    assert.deepEqual([state, by], ['paused', 'request']);
  }
  // The attempt under way is not cut off, and counts.
  held[0]!.writeHead(503).end();
  await until(() => 'its outcome', async () => pushOf(await group.view()).last_failure === 'HTTP 503'); // prettier-ignore
  await server.publish(eventWith({ event_id: 'later' }));
  await server.restart();
  group.url = server.url;
  await sleep(100);
  assert.deepEqual(receiver.offsets, [1]);
  const { lag, push } = await group.view();
  assert.deepEqual([lag, push!.state, push!.last_failure], [3, 'paused', 'HTTP 503']);
  await group.post('resume');
  await settled(group, 3);
  assert.deepEqual(receiver.offsets, [1, 1, 2, 3]);
  assert.equal(pushOf(await group.view()).paused_by, null);
});

test('a pause on request outlives another secret, so that both can be changed before anything is sent [HOOK-10, HOOK-11]', async (t) => {
  const server = await serverWith(t);
  const receiver = await Receiver.start(t);
  receiver.trust(secretOf(1));
  const group = await webhook(server, receiver.url);
  await group.post('pause');
  await server.publish(eventWith());
  const definition = { topics: ['>'], start: 'earliest', push: { url: receiver.url, secret: secretOf(1) } };
  assert.equal((await group.put(definition)).status, 200);
  await sleep(50);
  assert.deepEqual(receiver.offsets, []);
  await group.post('resume');
  await settled(group, 1);
  assert.deepEqual(receiver.faults, []);
});

test('a webhook cannot be pulled from, and a pull group is no webhook [HOOK-9]', async (t) => {
  const server = await serverWith(t);
  const receiver = await Receiver.start(t);
  const hook = await webhook(server, receiver.url);
  const lease = { lease_ids: ['1.1.aaaaaaaaaaaaaaaa'] };
  for (const [resource, body] of [['pull', {}], ['ack', lease], ['nack', lease], ['extend', lease]] as const) {
    await problemIn(await hook.post(resource, body), 409, 'subscription_pushes');
  } // prettier-ignore
  const group = new Group(server.url);
  await group.make();
  assert.equal((await group.view()).push, undefined);
  await problemIn(await group.post('resume'), 409, 'subscription_pulls');
  await problemIn(await new Group(server.url, 'nobody').post('resume'), 404, 'subscription_not_found');
});

test("a webhook's secrets are never shown, it cannot switch between push and pull, and bad secrets are refused [HOOK-1, HOOK-2, HOOK-10]", async (t) => {
  const server = await serverWith(t);
  const receiver = await Receiver.start(t);
  const definition = { topics: ['>'], push: { url: receiver.url, secret: SECRET } };
  const group = new Group(server.url, 'hook');
  const key = SECRET.slice('whsec_'.length);
  for (const response of [await group.put(definition), await group.put(definition), await group.get(), await fetch(`${server.url}/subscriptions`)]) {
    const text = await response.text();
    assert.ok(response.ok, text);
    assert.ok(!text.includes(key) && text.includes(JSON.stringify(receiver.url)), text);
  } // prettier-ignore
  const pulled = new Group(server.url);
  await pulled.put({ topics: ['>'] });
  for (const put of [
    await group.put({ ...definition, push: undefined }),
    await pulled.put({ ...definition }),
  ]) {
    const problem = await problemIn(put, 409, 'subscription_differs');
    assert.equal(problem.errors![0]!.field, 'push');
    assert.ok(!JSON.stringify(problem).includes(key));
  }
  const other = secretOf(1);
  // 32 bytes leave spare bits in the last character: A and B encode the same bytes.
  const [zeros, zerosAgain] = ['A=', 'B='].map((end) => `whsec_${'A'.repeat(42)}${end}`);
  const bad: [Record<string, unknown>, string][] = [
    [{ push: { url: 'not an address', secret: SECRET } }, 'push.url'],
    [{ push: { url: 'ftp://example.org/', secret: SECRET } }, 'push.url'],
    [{ push: { url: 'https://user:pw@example.org/', secret: SECRET } }, 'push.url'],
    [{ push: { url: 'https://example.org/#x', secret: SECRET } }, 'push.url'],
    [{ push: { url: receiver.url, secret: 'whsec_short' } }, 'push.secret'],
    [{ push: { url: receiver.url, secret: key } }, 'push.secret'],
    [{ push: { url: receiver.url, secret: `${SECRET} ` } }, 'push.secret'],
    [{ push: { url: receiver.url, secret: `whsec_${Buffer.alloc(65).toString('base64')}` } }, 'push.secret'],
    [{ push: { url: receiver.url } }, 'push.secrets'],
    [{ push: { url: receiver.url, secret: SECRET, secrets: [SECRET] } }, 'push.secrets'],
    [{ push: { url: receiver.url, secrets: [] } }, 'push.secrets'],
    [{ push: { url: receiver.url, secrets: [SECRET, other, SECRET] } }, 'push.secrets'],
    [{ push: { url: receiver.url, secrets: [zeros, zerosAgain] } }, 'push.secrets'],
    [{ push: { url: receiver.url, secrets: [SECRET, 'whsec_short'] } }, 'push.secrets'],
    [{ push: { url: receiver.url, secrets: [1, 2, 3, 4].map(secretOf) } }, 'push.secrets'],
    [{ push: { url: receiver.url, secret: SECRET }, lease_ms: 19_999 }, 'lease_ms'],
  ];
  for (const [change, field] of bad) {
    const put = await new Group(server.url, 'bad').put({ ...definition, ...change });
    const problem = await problemIn(put, 422, 'invalid_parameter');
    assert.equal(problem.errors![0]!.field, field, JSON.stringify(change));
    assert.ok(!JSON.stringify(problem).includes(key), 'not even an invalid secret is repeated');
  }
});

test('a webhook deleted while sending ends, and one stopped while sending sends the event again as the same delivery [HOOK-4, HOOK-6]', async (t) => {
  const server = await serverWith(t);
  let isStuck = true;
  const receiver = await Receiver.start(t, () => (isStuck ? () => undefined : 200));
  await server.publish(...manyEvents(2));
  const group = await webhook(server, receiver.url, { max_deliveries: 1 });
  await until(() => 'a message', () => receiver.received.length === 1); // prettier-ignore
  await server.restart();
  group.url = server.url;
  await until(() => 'the message again', () => receiver.received.length === 2); // prettier-ignore
  assert.equal((await group.delete()).status, 204);
  isStuck = false;
  await group.make({ push: { url: receiver.url, secret: SECRET } });
  await settled(group, 2);
  assert.deepEqual(receiver.offsets, [1, 1, 1, 2]);
  assert.equal(receiver.received[0]!.id, receiver.received[1]!.id);
  assert.notEqual(receiver.received[1]!.id, receiver.received[2]!.id, 'it is a different group');
});
