import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestKeys } from '../../aggregator/test/support/keys.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { ChronicleWeaver, type NewEvent, ProblemError } from '../src/index.ts';
import { idsOf, topicOf } from './support/orders.ts';
import { sharedServer } from './support/shared-server.ts';
import { ScriptedServer, accepted, problem } from './support/scripted-server.ts';

const server = await sharedServer();

test('a refused event fails alone; those sent with it are stored in order', async (t) => {
  const order = topicOf(t);
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const calls = [
    chronicle.publish(order(0)),
    chronicle.publish([order(1), { ...order(2), topic: '' }, order(3)]),
    chronicle.publish(order(4)),
    chronicle.publish({ ...order(5), payload: { message: 5 } }),
    chronicle.publish({ ...order(6), colour: 'red' } as NewEvent),
    chronicle.publish([order(7), order(8)]),
  ];
  const settled = await Promise.allSettled(calls);
  assert.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'rejected', 'fulfilled'],
  );
  const faults = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as ProblemError] : []));
  for (const fault of faults) {
    assert.ok(fault instanceof ProblemError);
    assert.equal(fault.code, 'invalid_event');
    assert.equal(fault.status, 422);
    assert.equal(fault.retryable, false);
  }
  // The index counts the events of the call, not those of the whole request.
  assert.deepEqual(
    faults.map(({ errors }) => errors.map(({ index, field }) => [index, field])),
    [[[1, 'topic']], [[0, 'payload.message']], [[0, 'colour']]],
  );
  assert.match(faults[0]!.message, /^POST http.*\/publish answered 422 invalid_event: event 1, topic: /);
  const stored = await idsOf(chronicle, t);
  assert.deepEqual(stored, ['order-0', 'order-4', 'order-7', 'order-8']);
});

test('if more events are refused than a problem document names, each still fails alone', async (t) => {
  const order = topicOf(t);
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const settled = await Promise.allSettled(
    Array.from({ length: 400 }, (_, n) =>
      chronicle.publish({ ...order(n), topic: n % 2 === 0 ? t.name : '' }),
    ),
  );
  for (const [n, { status }] of settled.entries()) {
    assert.equal(status, n % 2 === 0 ? 'fulfilled' : 'rejected', `event ${n}`);
  }
  assert.equal((await idsOf(chronicle, t)).length, 200);
});

test('a batch that is too large is split until it fits, and an event that is too large fails alone', async (t) => {
  const order = topicOf(t);
  const server = await TestServer.start(t, { BODY_BYTES_MAX: '1048576' });
  await using chronicle = new ChronicleWeaver({
    url: server.url,
    source: 'shop',
    batchBytesMax: 64 * 1024 * 1024,
  });
  const event = (n: number, size: number) => ({ ...order(n), payload: { text: 'x'.repeat(size) } });
  const many = chronicle.publish(Array.from({ length: 10 }, (_, n) => event(n, 300_000)));
  const tooLarge = chronicle.publish(event(10, 2_000_000));
  const small = chronicle.publish(event(11, 10));
  await assert.rejects(tooLarge, { name: 'ProblemError', code: 'body_too_large', status: 413 });
  assert.deepEqual(
    (await many).map(({ event_id, verdict }) => [event_id, verdict]),
    Array.from({ length: 10 }, (_, n) => [`order-${n}`, 'accepted']),
  );
  assert.equal((await small).verdict, 'accepted');
  const stored = await idsOf(chronicle, t);
  assert.deepEqual(
    stored,
    [...Array(10).keys(), 11].map((n) => `order-${n}`),
  );
});

test('a batch is also split if a proxy refuses its size without a problem document', async (t) => {
  const order = topicOf(t);
  const server = await ScriptedServer.start(t, (request) =>
    request.body.length > 300
      ? { status: 413, body: '<html>Request Entity Too Large</html>' }
      : accepted(request),
  );
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const calls = Array.from({ length: 9 }, (_, n) =>
    chronicle.publish(n === 4 ? { ...order(n), payload: { text: 'x'.repeat(300) } } : order(n)),
  );
  const settled = await Promise.allSettled(calls);
  for (const [n, one] of settled.entries()) {
    if (n === 4) assert.equal(one.status === 'rejected' && (one.reason as ProblemError).code, 'http_error');
    else assert.equal(one.status === 'fulfilled' && one.value.event_id, `order-${n}`);
  }
});

test('a refusal other than 413 and 422 is for every call of the request', async (t) => {
  const order = topicOf(t);
  const server = await ScriptedServer.start(t, () => problem(401, 'unauthorized'));
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const settled = await Promise.allSettled([1, 2, 3].map((n) => chronicle.publish(order(n))));
  for (const one of settled) {
    assert.equal(one.status === 'rejected' && (one.reason as ProblemError).code, 'unauthorized');
  }
  assert.equal(server.arrived.length, 1);
});

test('a key is sent, and an event of a topic that it may not publish to fails alone [KEY-1, KEY-5]', async (t) => {
  const order = topicOf(t);
  const keys = new TestKeys(t, { shop: { scopes: ['publish', 'read'], topics: [t.name] } });
  const server = await TestServer.start(t, { API_KEYS_FILE: keys.path });
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop', key: 'secret-of-shop' });
  const [first, other, last] = await Promise.allSettled([
    chronicle.publish(order(1)),
    chronicle.publish({ ...order(2), topic: 'users' }),
    chronicle.publish(order(3)),
  ]);
  assert.equal(first.status === 'fulfilled' && first.value.offset, 1);
  assert.equal(last.status === 'fulfilled' && last.value.offset, 2);
  assert.ok(other.status === 'rejected' && other.reason instanceof ProblemError);
  assert.deepEqual([other.reason.status, other.reason.code], [403, 'forbidden_topic']);
  assert.equal((await chronicle.stats()).unique_processed, 2);

  await using stranger = new ChronicleWeaver({ url: server.url, source: 'shop' });
  await assert.rejects(stranger.publish(order(4)), { code: 'unauthorized', status: 401 });
});
