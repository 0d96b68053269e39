import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cloudEventWith, sendStructured } from '../support/cloud-events.ts';
import { eventWith } from '../support/events.ts';
import { Receiver, SECRET } from '../support/receiver.ts';
import { problemIn } from '../support/server.ts';
import { until } from '../support/until.ts';
import { pushOf, serverWith, settled, webhook } from '../support/webhook.ts';

const TYPE = 'application/cloudevents+json; charset=utf-8';

test('a webhook that asks for CloudEvents gets what came as one as it came, and others mapped, signed like any message, and is not asked before [CE-10, CE-12, HOOK-3]', async (t) => {
  const server = await serverWith(t);
  const receiver = await Receiver.start(t);
  const sent = cloudEventWith({ type: 'orders', ext: 5, data: [1] });
  await sendStructured(server, sent);
  const payload = { n: 1 };
  await server.publish(eventWith({ payload }));
  const group = await webhook(server, receiver.url, {
    push: { url: receiver.url, secret: SECRET, format: 'cloudevents' },
  });
  await settled(group, 2);
  // An OPTIONS request would be a fault.
  assert.deepEqual(receiver.faults, []);
  const [first, second] = receiver.received.map(({ event }) => event as unknown as Record<string, unknown>);
  assert.deepEqual(first, sent);
  assert.deepEqual([second!['id'], second!['type'], second!['data']], ['e-1', 'orders', payload]);
  assert.equal(second!['chronicleoffset'], '2');
  for (const { headers, id } of receiver.received) {
    assert.equal(headers['content-type'], TYPE);
    assert.equal(headers['origin'], undefined);
    assert.match(id, /^msg_[0-9a-f]{16}_[12]$/);
  }
  assert.equal(pushOf(await group.view()).format, 'cloudevents');
});

test('the format of a webhook can change, and survives a restart [CE-10, HOOK-10]', async (t) => {
  const server = await serverWith(t);
  let isBroken = true;
  const receiver = await Receiver.start(t, () => (isBroken ? 503 : 200));
  await sendStructured(server, cloudEventWith({ type: 'orders' }));
  const group = await webhook(server, receiver.url, { max_deliveries: 1000 });
  await until(() => 'an attempt', () => receiver.received.length > 0); // prettier-ignore
  const push = { url: receiver.url, secret: SECRET, format: 'cloudevents' };
  const definition = { topics: ['>'], start: 'earliest', max_deliveries: 1000 };
  assert.equal((await group.put({ ...definition, push })).status, 200);
  await server.restart();
  group.url = server.url;
  isBroken = false;
  await settled(group, 1);
  const types = receiver.received.map(({ headers }) => headers['content-type']);
  assert.equal(types[0], 'application/json');
  assert.equal(types.at(-1), TYPE);
  assert.equal(new Set(receiver.received.map(({ id }) => id)).size, 1);
  const { format: _format, ...plain } = push;
  assert.equal((await group.put({ ...definition, push: plain })).status, 200);
  assert.equal(pushOf(await group.view()).format, undefined);
  const odd = await group.put({ ...definition, push: { ...push, format: 'xml' } });
  const { errors } = await problemIn(odd, 422, 'invalid_parameter');
  assert.equal(errors![0]!.field, 'push.format');
});
