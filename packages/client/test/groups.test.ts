import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChronicleWeaver, type DeliveredEvent } from '../src/index.ts';
import { groupsOn } from './support/groups.ts';
import { sharedServer } from './support/shared-server.ts';

const TIMEOUT = { timeout: 60_000 };

const server = await sharedServer();
const groupOf = groupsOn(server);

test('groups are created, listed, and consumed step by step [GRP-1, GRP-4, GRP-15]', TIMEOUT, async (t) => {
  const { chronicle, name, first, group } = await groupOf(t, 5);
  const { groups } = chronicle;
  const definition = { topics: [t.name], start: 'earliest' } as const;
  assert.equal((await groups.create(name, definition)).name, name);
  await assert.rejects(groups.create(name, { topics: ['users'] }), {
    code: 'subscription_differs',
    status: 409,
  });
  assert.ok((await groups.list()).some((one) => one.name === name));

  const leased = await groups.pull(name, { max: 3 });
  assert.deepEqual(
    leased.map(({ offset, delivery, topic }: DeliveredEvent) => [offset, delivery, topic]),
    [first, first + 1, first + 2].map((offset) => [offset, 1, t.name]),
  );
  const [a, b, c] = leased.map(({ lease_id }) => lease_id);
  await groups.extend(name, [a!, b!, c!], { leaseMs: 60_000 });
  await groups.ack(name, [a!]);
  await groups.nack(name, [b!], { delayMs: 60_000 });
  await assert.rejects(groups.ack(name, [b!, c!]), (error: { code: string; errors: { index: number }[] }) => {
    assert.equal(error.code, 'lease_expired');
    assert.deepEqual(
      error.errors.map(({ index }) => index),
      [0],
    );
    return true;
  });
  const { acknowledged, returned, lag } = await group();
  assert.deepEqual({ acknowledged, returned, lag }, { acknowledged: 2, returned: 1, lag: 3 });
  assert.equal(await groups.seek(name, { offset: first + 4 }), first + 3);
  assert.deepEqual(
    (await groups.pull(name)).map(({ offset }) => offset),
    [first + 4],
  );
  assert.deepEqual(await groups.pull(name, { waitMs: 20 }), []);
});

test('a pull gives each event as `parse` makes it, with its delivery', TIMEOUT, async (t) => {
  const { chronicle, name } = await groupOf(t, 0);
  const exact = `{"event_id":"1","topic":${JSON.stringify(t.name)},"source":"s","payload":{"n":1.50,"delivery":7},"timestamp":"2025-10-28"}`;
  await chronicle.publish(exact);
  const texts = new ChronicleWeaver({ url: server.url, parse: (text) => ({ text }) as never });
  t.after(() => texts.close());
  const [event] = (await texts.groups.pull(name)) as unknown as Record<string, unknown>[];
  const { text, delivery, lease_id, ...nothing } = event!;
  assert.match(String(text), /"payload":\{"n":1\.50,"delivery":7\}.*,"received_at":"[^"]+"\}$/);
  assert.deepEqual([delivery, typeof lease_id, nothing], [1, 'string', {}]);
});

test(
  'a group with a push target is created, and nobody can consume it [HOOK-1, HOOK-9]',
  TIMEOUT,
  async (t) => {
    const push = {
      url: 'https://example.com/hook',
      secret: `whsec_${Buffer.alloc(32, 7).toString('base64')}`,
    };
    const { chronicle, name, group } = await groupOf(t, 0, { push });
    const { url, state } = (await group()).push!;
    assert.deepEqual({ url, state }, { url: push.url, state: 'active' });
    await chronicle.groups.pause(name);
    assert.equal((await group()).push!.paused_by, 'request');
    await chronicle.groups.resume(name);
    assert.equal((await group()).push!.paused_by, null);
    await assert.rejects(
      chronicle.consume(name, () => {}),
      { code: 'subscription_pushes', status: 409 },
    );
  },
);
