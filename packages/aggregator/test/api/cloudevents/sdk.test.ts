import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CloudEvent,
  type CloudEventV1,
  type EmitterFunction,
  HTTP,
  Mode,
  emitterFor,
  httpTransport,
} from 'cloudevents';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { eventWith } from '../../support/events.ts';
import { type TestServer, sharedServer } from '../../support/server.ts';
import { StreamReader } from '../../support/stream-reader.ts';

/** npm's `cloudevents`, unmodified. It does not retry by itself, so its users do. */

const service = sharedServer();

/** The port of a proxy that cuts the next three publishes: before they arrive, and twice after they were stored. */
async function cuttingPort(
  t: Parameters<typeof CuttingProxy.start>[0],
  server: TestServer,
): Promise<CuttingProxy> {
  const proxy = await CuttingProxy.start(t, Number(new URL(server.url).port), '/publish');
  proxy.cuts.push('after', 'before', 'after');
  return proxy;
}

async function untilAnswered<T>(send: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await send();
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
}

function eventsOf(type: string): CloudEvent<unknown>[] {
  return [
    new CloudEvent({ type, source: '/shop', data: { amount: 12.5, text: 'å "q" 漢' } }),
    new CloudEvent({
      type,
      source: 'https://shop.example/a?b=c',
      subject: 'one',
      data: [1, 2],
      traceid: 'x-1',
    }),
    new CloudEvent({ type, source: '/shop', datacontenttype: 'text/plain', data: 'plain "text"' }),
    new CloudEvent({
      type,
      source: '/shop',
      datacontenttype: 'application/octet-stream',
      data: Uint8Array.of(0, 255, 10),
    }),
    new CloudEvent({ type, source: '/shop', data: 'text that is said to be JSON' }),
  ];
}

/** The events of a topic as the client reads them in a batch. */
async function readBy(server: TestServer, topic: string): Promise<CloudEventV1<unknown>[]> {
  const response = await fetch(`${server.url}/events?topic=${topic}`, {
    headers: { accept: 'application/cloudevents-batch+json' },
  });
  const message = { headers: Object.fromEntries(response.headers), body: await response.text() };
  return HTTP.toEvent(message) as CloudEventV1<unknown>[];
}

const EMITTERS: Readonly<Record<string, (url: string) => EmitterFunction>> = {
  binary: (url) => emitterFor(httpTransport(url), { mode: Mode.BINARY }),
  structured: (url) => emitterFor(httpTransport(url), { mode: Mode.STRUCTURED }),
};

for (const [mode, emitterTo] of Object.entries(EMITTERS)) {
  test(`what the client sends in ${mode} mode is stored once, however often its connection is cut [CE-1, CE-2, P-2]`, async (t) => {
    const server = service();
    const proxy = await cuttingPort(t, server);
    const emit = emitterTo(`http://127.0.0.1:${proxy.port}/publish`);
    const sent = eventsOf(mode);
    for (const event of sent) await untilAnswered(() => emit(event));
    assert.equal(proxy.done, 3);
    const read = await readBy(server, mode);
    assert.deepEqual(
      read.map(({ id, source }) => [id, source]),
      sent.map(({ id, source }) => [id, source]),
    );
    for (const [i, event] of read.entries()) {
      assert.equal(event.time, sent[i]!.time);
      assert.equal(event.subject, sent[i]!.subject);
      assert.equal(event['traceid'], sent[i]!['traceid']);
    }
    const data = read.map((one) =>
      one.data_base64 === undefined ? one.data : Buffer.from(one.data_base64, 'base64'),
    );
    assert.deepEqual(data.slice(0, 3), sent.slice(0, 3).map((one) => one.data)); // prettier-ignore
    assert.deepEqual(data[3], Buffer.of(0, 255, 10));
    // In binary mode the client calls a text JSON without making it so; then its bytes are kept.
    assert.equal(String(data[4]), 'text that is said to be JSON');
  });
}

test('a batch that is cut off and sent again is stored once [CE-1, P-2, P-3]', async (t) => {
  const server = service();
  const proxy = await cuttingPort(t, server);
  const sent = eventsOf('batched');
  const headers = { 'content-type': 'application/cloudevents-batch+json' };
  const url = `http://127.0.0.1:${proxy.port}/publish`;
  const response = await untilAnswered(() =>
    fetch(url, { method: 'POST', headers, body: JSON.stringify(sent) }),
  );
  assert.equal(((await response.json()) as { duplicates: number }).duplicates, sent.length);
  assert.equal(proxy.done, 3);
  const read = await readBy(server, 'batched');
  assert.deepEqual(
    read.map((event) => JSON.stringify(event)),
    sent.map((event) => JSON.stringify(event)),
  );
});

test('the client reads one event, and one out of a stream, also of our own kind [CE-6, CE-7, CE-9]', async () => {
  const server = service();
  const [sent] = eventsOf('one') as [CloudEvent<unknown>];
  await emitterFor(httpTransport(`${server.url}/topics/elsewhere/cloudevents`))(sent);
  const path = `/events/elsewhere/${encodeURIComponent(`/shop ${sent.id}`)}?format=cloudevents`;
  const response = await fetch(server.url + path);
  const message = { headers: Object.fromEntries(response.headers), body: await response.text() };
  const read = HTTP.toEvent(message) as CloudEventV1<unknown>;
  assert.deepEqual([read.id, read.type, read.data], [sent.id, 'one', sent.data]);

  const payload = { message: 'hi', amount: 12.5 };
  await server.publish(
    eventWith({ topic: 'elsewhere', source: 'sensor 1', timestamp: '2025-10-28 10:00', payload }),
  );
  const stream = await StreamReader.open(
    `${server.url}/events/stream?topic=elsewhere&after=earliest&format=cloudevents`,
  );
  await stream.until(2);
  await stream.cut();
  // The client checks an event by the schema of the specification when it makes one.
  const [, own] = stream.texts.map(
    (text) => new CloudEvent<unknown>(JSON.parse(text) as CloudEventV1<unknown>),
  );
  assert.deepEqual(
    [own!.id, own!.source, own!.type, own!.time, own!.data],
    ['e-1', 'sensor%201', 'elsewhere', '2025-10-28T10:00:00Z', payload],
  );
});
