import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Analytics } from '@segment/analytics-node';
import { pino } from 'pino';
import { pinoLoki } from 'pino-loki';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { cutting, define, ran } from '../../support/collecting.ts';
import { TestServer, problemIn, sharedServer } from '../../support/server.ts';
import { until } from '../../support/until.ts';

const service = sharedServer();

test("Segment's library sends a batch again after a cut, and each message is stored once [COL-10, KEY-9, P-2]", async (t) => {
  const server = service();
  const proxy = await cutting(t, server, '/v1/batch', 'after');
  const analytics = new Analytics({
    writeKey: 'no-keys-are-in-force',
    host: `http://127.0.0.1:${proxy.port}`,
    flushInterval: 50,
  });
  const sent = ['track', 'identify', 'page'];
  analytics.track({ userId: 'u-1', event: 'Order Placed', properties: { total: 12.5 } });
  analytics.identify({ anonymousId: 'a-1', traits: { plan: 'free' } });
  analytics.page({ userId: 'u-1', name: 'Home' });
  await analytics.closeAndFlush();
  assert.equal(proxy.done, 1);
  for (const type of sent) {
    const { events } = await server.events(`?topic=segment.${type}`);
    assert.equal(events.length, 1, type);
    const message = events[0]!.payload['body'] as Record<string, unknown>;
    assert.deepEqual(
      [events[0]!.event_id, events[0]!.timestamp],
      [message['messageId'], message['timestamp']],
    );
    assert.equal(message['type'], type);
  }
});

for (const [example, topic, count] of [
  ['loki/log.js', 'logs.shop', 3],
  ['segment/track.js', 'segment.track', 1],
] as const) {
  test(`the example ${example} runs as it stands [COL-9, COL-10]`, async (t) => {
    const server = await TestServer.startOn(t, () => new MemoryStore());
    let [before, stored] = [0, 0];
    // pino-loki sends in a thread, and once in some hundred runs its process ended before a line had left.
    for (let run = 0; run < 3 && stored - before !== count; run++) {
      before = stored;
      await ran(t, process.execPath, [`examples/${example}`], { CHRONICLEWEAVER_URL: server.url });
      ({ count: stored } = await server.events(`?topic=${topic}`));
    }
    assert.equal(stored - before, count);
  });
}

test('what pino-loki pushes arrives line by line, and again as duplicates [COL-9]', async () => {
  const server = service();
  const stream = pinoLoki({ host: server.url, labels: { app: 'shop' }, batching: false });
  const log = pino({ base: { hostname: 'box' } }, stream);
  for (const n of [1, 2, 3]) log.info({ n }, 'hello');
  const stored = async () => (await server.events('?topic=logs.shop')).events;
  await until(
    () => 'three lines',
    async () => (await stored()).length === 3,
  );
  for (const [i, { source, payload, timestamp }] of (await stored()).entries()) {
    assert.equal(source, 'box');
    const line = JSON.parse(payload['body'] as string) as { n: number; time: number };
    assert.equal(line.n, i + 1);
    assert.equal(Date.parse(timestamp), line.time);
    assert.equal((payload['labels'] as { app: string }).app, 'shop');
  }
});

test('a push is answered as Loki answers it; protobuf is refused [COL-9, P-3]', async () => {
  const server = service();
  const push = (body: string, type = 'application/json', path = '/loki/api/v1/push') =>
    server.post(body, { 'content-type': type }, path);
  const line = '["1761645600000000000","hello"]';
  const body = `{"streams":[{"stream":{"service_name":"push"},"values":[${line},${line}]}]}`;
  for (let n = 0; n < 2; n++) {
    const response = await push(body);
    assert.deepEqual([response.status, await response.text()], [204, '']);
  }
  assert.equal((await server.events('?topic=logs.push')).count, 2);
  await problemIn(await push(body, 'application/x-protobuf'), 415, 'unsupported_media_type');
  const cut = body.replace(`${line},`, '["now","x"],');
  const { errors } = await problemIn(await push(cut), 422, 'invalid_delivery');
  assert.equal(errors![0]!.field, 'streams[0].values[0]');
  // Any address can be one of these.
  await define(server, 'loki-2', { kind: 'loki', topic: 'second.{service_name}' });
  assert.equal((await push(body, 'application/json', '/in/loki-2')).status, 204);
  assert.equal((await server.events('?topic=second.push')).count, 2);
});

test('topics of the two addresses are named by settings [COL-9, COL-10]', async (t) => {
  const server = await TestServer.start(t, {
    LOKI_TOPIC: 'l.{env|none}',
    SEGMENT_TOPIC: 's.{userId|nobody}',
  });
  const push = '{"streams":[{"stream":{"env":"test"},"values":[["1","x"]]}]}';
  assert.equal((await server.post(push, {}, '/loki/api/v1/push')).status, 204);
  const response = await server.post('{"batch":[{"messageId":"m-1"}],"sentAt":"now"}', {}, '/v1/batch');
  assert.deepEqual([response.status, await response.text()], [200, '{"success":true}']);
  const { topics } = await server.stats();
  assert.deepEqual(topics, ['l.test', 's.nobody']);
});

test('labels that leave no room for a line are not read again for each of many lines [COL-9]', async () => {
  const lines = Array.from({ length: 2000 }, (_, i) => `["${i}","x"]`).join();
  const body = `{"streams":[{"stream":{"app":"${'x'.repeat(1_048_500)}"},"values":[${lines}]}]}`;
  const answer = service().post(body, {}, '/loki/api/v1/push');
  await problemIn(await answer, 413, 'batch_too_large');
});
