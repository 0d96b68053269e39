import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import { eventWith, manyEvents } from '../support/events.ts';
import { TestKeys, withKey } from '../support/keys.ts';
import { oddlySpelt } from '../support/publish-way.ts';
import { MIB } from '../support/publishing.ts';
import { exchange, requestText } from '../support/raw-http.ts';
import { TestServer } from '../support/server.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const CLOSE = { connection: 'close' };
const EVENT = JSON.stringify(eventWith());

/** How often Fastify called a handler meanwhile, as reported on its tracing channel. */
async function handledByFastify(work: () => Promise<unknown>): Promise<number> {
  let handled = 0;
  const count = (): void => void (handled += 1);
  subscribe('tracing:fastify.request.handler:start', count);
  await work();
  unsubscribe('tracing:fastify.request.handler:start', count);
  return handled;
}

test('a plain publish bypasses Fastify, and any other goes through it', async (t) => {
  const server = await TestServer.start(t);
  const seen: [string, number][] = [];
  for (const [path, headers] of [
    ['/publish', {}],
    ['/publish?results=true', {}],
    ['/publish?results=false', {}],
    ['/publish', { 'content-type': 'application/json; charset=UTF-8' }],
    ['/%70ublish', {}],
    ['/publish?', {}],
    ['/publish', { origin: 'https://a.example' }],
    ['/publish', { 'content-type': 'application/json;charset="utf-8"' }],
  ] as const) {
    const handled = await handledByFastify(async () =>
      assert.equal((await server.post(EVENT, headers, path)).status, 200),
    );
    seen.push([`${path} ${Object.values(headers).join()}`.trim(), handled]);
  }
  assert.deepEqual(seen, [
    ['/publish', 0],
    ['/publish?results=true', 0],
    ['/publish?results=false', 0],
    ['/publish application/json; charset=UTF-8', 0],
    ['/%70ublish', 1],
    ['/publish?', 1],
    ['/publish https://a.example', 1],
    ['/publish application/json;charset="utf-8"', 1],
  ]);
});

type Row = readonly [what: string, headers: Record<string, string>, body: string, path?: string];

const ANYBODYS: readonly Row[] = [
  ['an event', {}, EVENT],
  ['the same again, with results', {}, EVENT, '/publish?results=true'],
  [
    'results of text that is not ASCII',
    {},
    JSON.stringify(eventWith({ topic: 'é/😀' })),
    '/publish?results=true',
  ],
  ['a batch', {}, JSON.stringify({ events: manyEvents(3) }), '/publish?results=false'],
  ['an empty batch', {}, '{"events":[]}'],
  ['no body', {}, ''],
  ['no JSON', {}, '{'],
  ['an event that is not valid', {}, '{"topic":"a"}'],
  ['too many events', {}, JSON.stringify({ events: manyEvents(10_001) })],
  ['an unknown coding', { 'content-encoding': 'lzma' }, EVENT],
  ['rubbish for gzip', { 'content-encoding': 'gzip' }, EVENT],
  ['a large body announced', { 'content-length': `${999 * MIB}` }, ''],
  [
    'a large body announced, with a request to send it',
    { expect: '100-continue', 'content-length': `${999 * MIB}` },
    '',
  ],
  ['a charset', { 'content-type': 'application/json; charset=latin1' }, EVENT],
  ['chunks', { 'transfer-encoding': 'chunked' }, `5\r\n{"eve\r\n9\r\nnts":[]} \r\n0\r\n\r\n`],
  ['an unknown expectation', { expect: 'a miracle' }, EVENT],
  ['an unknown header', { 'accept-version': '7', 'x-http-method-override': 'PUT' }, EVENT],
];

const OF_KEYS: readonly Row[] = [
  ['no key', {}, EVENT],
  ['an unknown key', { authorization: 'Bearer nobody' }, EVENT],
  ['another scope', withKey('reader'), EVENT],
  ['another topic', withKey('sensor'), EVENT],
  ['an own topic', withKey('sensor'), JSON.stringify(eventWith({ topic: 'sensors/1' }))],
  ['all of the rate', withKey('slow'), JSON.stringify({ events: manyEvents(10) })],
  ['more than the rate', withKey('slow'), EVENT],
];

/** The answer, without the parts that change every second. */
async function answerTo(server: TestServer, [, headers, body, path = '/publish']: Row, isOdd: boolean) {
  const target = `POST ${isOdd ? oddlySpelt(path) : path}`;
  // Chunks may differ while the body is the same.
  const length = 'transfer-encoding' in headers ? {} : { 'content-length': `${Buffer.byteLength(body)}` };
  const request = requestText(target, { ...CLOSE, ...JSON_TYPE, ...length, ...headers });
  const answers = await exchange(server.url, request + body);
  return Promise.all(
    answers.map(async (response) => {
      response.headers.delete('date');
      return { status: response.status, headers: [...response.headers], body: await response.text() };
    }),
  );
}

async function assertAlike(rows: readonly Row[], short: TestServer, framework: TestServer): Promise<void> {
  const seen = new Set<number>();
  for (const row of rows) {
    const answers = await answerTo(short, row, false);
    assert.deepEqual(await answerTo(framework, row, true), answers, row[0]);
    assert.equal(answers.length, 1, row[0]);
    seen.add(answers[0]!.status);
  }
  assert.ok(seen.size > 3, [...seen].join());
}

test('both ways give the same answer: status, headers and body [PUB-1, ERR-1]', async (t) => {
  await assertAlike(ANYBODYS, await TestServer.start(t), await TestServer.start(t));
});

test('a publish without a Host is accepted only over HTTP/1.0 [ERR-1]', async (t) => {
  const { url } = await TestServer.start(t);
  const lines = `content-type: application/json\r\nconnection: close\r\ncontent-length: ${EVENT.length}\r\n\r\n`;
  const statuses: number[] = [];
  for (const version of ['1.1', '1.0']) {
    const answers = await exchange(url, `POST /publish HTTP/${version}\r\n${lines}${EVENT}`);
    statuses.push(...answers.map(({ status }) => status));
  }
  assert.deepEqual(statuses, [400, 200]);
});

test('both ways accept and refuse the same keys, with the same headers [KEY-1]', async (t) => {
  const keys = new TestKeys(t, {
    reader: { scopes: ['read'] },
    sensor: { scopes: ['publish'], topics: ['sensors/*'] },
    slow: { scopes: ['publish'], rate_limit: { events_per_second: 1, burst: 10 } },
  });
  const start = () => TestServer.start(t, { API_KEYS_FILE: keys.path });
  await assertAlike(OF_KEYS, await start(), await start());
});
