import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cloudEventWith, sendStructured } from '../../support/cloud-events.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { expireTo } from '../../support/letting-go.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { TestServer, problemIn, sharedServer } from '../../support/server.ts';
import { StreamReader } from '../../support/stream-reader.ts';

const service = sharedServer();

const ONE = 'application/cloudevents+json; charset=utf-8';
const BATCH = 'application/cloudevents-batch+json; charset=utf-8';

async function read(
  server: TestServer,
  path: string,
  accept?: string,
): Promise<[type: string, text: string]> {
  const response = await fetch(server.url + path, { headers: accept === undefined ? {} : { accept } });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return [response.headers.get('content-type')!, text];
}

/** Two CloudEvents as they were sent, and what is given of an event of our own. */
async function three(server: TestServer, topic: string): Promise<string[]> {
  const sent = ['1', '2'].map(
    (id) => `{"data":1.0,"id":"${id}","specversion":"1.0","type":"${topic}","source":"/s"}`,
  );
  await sendStructured(server, sent[0]!);
  const answer = await server.publish(eventWith({ topic, payload: { n: 1 } }));
  await sendStructured(server, `[${sent[1]}]`, { headers: { 'content-type': BATCH } });
  const { offset } = answer.results![0]!;
  const [own] = (await server.events(`?topic=${topic}&after=${offset - 1}&limit=1`)).events;
  const mapped =
    `{"specversion":"1.0","id":"e-1","source":"web","type":"${topic}","time":"2025-10-28T10:00:00Z",` +
    `"datacontenttype":"application/json","chronicleoffset":"${offset}","chroniclereceived":"${own!.received_at}","data":{"n":1}}`;
  return [sent[0]!, mapped, sent[1]!];
}

test('one event is given as a CloudEvent to whoever asks for it [CE-6, CE-7]', async () => {
  const server = service();
  const [came, mapped] = await three(server, 'one');
  const path = `/events/one/${encodeURIComponent('/s 1')}`;
  for (const [at, accept] of [
    [path, 'application/cloudevents+json; charset=utf-8'],
    [path, 'text/html;q=0.1, Application/CloudEvents-Batch+json'],
    [`${path}?format=cloudevents`, undefined],
  ] as const) {
    assert.deepEqual(await read(server, at, accept), [ONE, came]);
  }
  assert.deepEqual(await read(server, '/events/one/e-1', 'application/cloudevents+json'), [ONE, mapped]);
  for (const accept of [undefined, '*/*', 'application/json', 'application/cloudevents+json;q=0']) {
    const [type, text] = await read(server, path, accept);
    assert.equal(type, 'application/json; charset=utf-8');
    assert.ok(text.startsWith('{"event_id"'), text);
  }
  const absent = await fetch(`${server.url}/events/one/x?format=cloudevents`);
  await problemIn(absent, 404, 'event_not_found');
  await problemIn(await fetch(`${server.url}${path}?format=xml`), 422, 'invalid_parameter');
});

test('pages and whole answers are batches, and lines are one each [CE-6, CE-8, READ-7]', async () => {
  const server = service();
  const all = await three(server, 'pages');
  for (const accept of ['application/cloudevents-batch+json', 'application/cloudevents+json']) {
    assert.deepEqual(await read(server, '/events?topic=pages', accept), [BATCH, `[${all.join()}]`]);
  }
  assert.deepEqual(await read(server, '/events?topic=pages&format=cloudevents&limit=10'), [
    BATCH,
    `[${all.join()}]`,
  ]);
  assert.deepEqual(await read(server, '/events?topic=none&format=cloudevents'), [BATCH, '[]']);
  assert.deepEqual(await read(server, '/events?topic=none&format=cloudevents&limit=5'), [BATCH, '[]']);
  const lines = all.map((one) => `${one}\n`).join('');
  const [type, text] = await read(server, '/events?topic=pages&format=cloudevents', 'application/x-ndjson');
  assert.deepEqual([type, text], ['application/x-ndjson; charset=utf-8', lines]);

  const texts: string[] = [];
  let next: string | undefined = '/events?topic=pages&limit=2&format=cloudevents';
  while (next !== undefined) {
    const page: Response = await fetch(server.url + next);
    texts.push(await page.text());
    next = /^<(.*)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1];
  }
  assert.deepEqual(texts, [`[${all.slice(0, 2).join()}]`, `[${all[2]}]`]);
  const head = await fetch(`${server.url}/events?format=cloudevents`, { method: 'HEAD' });
  assert.equal(head.headers.get('content-type'), BATCH);
});

test('a long answer is complete, and as long pages as others have hold as many events [CE-8, READ-5]', async () => {
  const server = service();
  await server.publish(
    ...manyEvents(8000, (i) => ({ topic: 'long', payload: { filler: 'x'.repeat(i % 500) } })),
  );
  const [, text] = await read(server, '/events?topic=long&format=cloudevents');
  const all = JSON.parse(text) as { id: string }[];
  assert.deepEqual(all.map(({ id }) => id), manyEvents(8000).map(({ event_id: id }) => id)); // prettier-ignore
  const [, desc] = await read(server, '/events?topic=long&format=cloudevents&order=desc&limit=10000');
  assert.deepEqual(JSON.parse(desc), all.toReversed());
});

test('a stream gives CloudEvents as data, stored and live, at the same offsets [CE-9, STR-3]', async (t) => {
  const server = service();
  const topic = 'live';
  const ours = await StreamReader.open(`${server.url}/events/stream?topic=${topic}`);
  const theirs = await StreamReader.open(`${server.url}/events/stream?topic=${topic}&format=cloudevents`);
  const accepts = { accept: 'text/event-stream, application/cloudevents+json' };
  const asked = await StreamReader.open(`${server.url}/events/stream?topic=${topic}`, accepts);
  const all = await three(server, topic);
  const later = await StreamReader.open(
    `${server.url}/events/stream?topic=${topic}&format=cloudevents&after=earliest`,
  );
  const readers = [ours, theirs, asked, later];
  t.after(() => Promise.all(readers.map((reader) => reader.cut())));
  for (const reader of readers) await reader.until(3);
  for (const reader of [theirs, asked, later]) {
    assert.deepEqual(reader.texts, all);
    assert.equal(reader.lastEventId, ours.lastEventId);
    assert.equal(reader.response.headers.get('content-type'), 'text/event-stream');
  }
  assert.notDeepEqual(ours.texts, all);
  await sendStructured(server, cloudEventWith({ type: topic, id: 'more' }));
  for (const reader of readers) await reader.until(4);
  assert.deepEqual(JSON.parse(later.texts.at(-1)!), cloudEventWith({ type: topic, id: 'more' }));
});

test('what has expired is told as to anybody else [CE-8, CE-9, RET-23, RET-25]', async (t) => {
  const log = new MemoryStore();
  const server = await TestServer.startOn(t, () => log);
  await server.publish(...manyEvents(3));
  await expireTo(log.retention, 2);
  const page = await fetch(`${server.url}/events?format=cloudevents`);
  assert.equal(page.headers.get('chronicle-expired'), '2');
  assert.equal(((await page.json()) as unknown[]).length, 1);
  const reader = await StreamReader.open(`${server.url}/events/stream?after=1&format=cloudevents`);
  await reader.until(1);
  assert.deepEqual(reader.gaps, [[0, { expired: 1, after: 1, next: 2 }]]);
  assert.equal((JSON.parse(reader.texts[0]!) as { id: string }).id, 'e-3');
  await reader.cut();
});
