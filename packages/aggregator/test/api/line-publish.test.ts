import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Event, EventResult, Problem, PublishAnswer } from '@chronicleweaver/protocol';
import { eventWith, manyEvents } from '../support/events.ts';
import { withKeys } from '../support/keyed-server.ts';
import { withKey } from '../support/keys.ts';
import { TestServer, problemIn, sharedServer } from '../support/server.ts';
import { until } from '../support/until.ts';

const service = sharedServer();

const LINES = { 'content-type': 'application/x-ndjson' };

function linesOf(events: readonly unknown[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}

function send(
  server: TestServer,
  body: string | Uint8Array<ArrayBuffer>,
  { query = '', headers = {} }: { query?: string; headers?: Record<string, string> } = {},
): Promise<Response> {
  return fetch(`${server.url}/publish${query}`, { method: 'POST', body, headers: { ...LINES, ...headers } });
}

async function toldIn(response: Response): Promise<unknown[]> {
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'application/x-ndjson; charset=utf-8');
  const text = await response.text();
  assert.ok(text.endsWith('\n'));
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

test('lines are events, empty ones are passed over, and the last one may lack its end [PUB-12]', async () => {
  const server = service();
  const topic = 't1';
  const body = `\ufeff${linesOf(manyEvents(2, () => ({ topic })))}\r\n  \n${JSON.stringify(eventWith({ topic, event_id: 'last' }), null, 1).replaceAll('\n', ' ')}`;
  const response = await send(server, body);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), {
    status: 'success',
    message: 'Published 3 events',
    events_count: 3,
    accepted: 3,
    duplicates: 0,
    conflicts: 0,
  });
  assert.deepEqual((await server.events(`?topic=${encodeURIComponent(topic)}`)).events.map(({ event_id: id }) => id), ['e-1', 'e-2', 'last']); // prettier-ignore
  assert.equal(((await (await send(server, '')).json()) as PublishAnswer).events_count, 0);
  assert.equal((await server.get<{ queued_bytes: number }>('/stats')).queued_bytes, 0);
});

test('each name and coding of a body of lines is understood [PUB-12, PUB-8]', async () => {
  const server = service();
  const topic = 't2';
  const body = linesOf(manyEvents(5000, () => ({ topic })));
  for (const type of [
    'application/x-ndjson; charset=utf-8',
    'application/ndjson',
    'application/jsonl',
    'application/x-jsonlines',
    'application/jsonl; charset="UTF-8"',
  ]) {
    const answer = await send(server, body, { headers: { 'content-type': type } });
    assert.equal(((await answer.json()) as PublishAnswer).events_count, 5000, type);
  }
  for (const type of ['application/x-ndjson; charset=latin1', 'application/jsonl;charset=utf-16; a=b']) {
    const answer = await send(server, body, { headers: { 'content-type': type } });
    const { detail } = await problemIn(answer, 415, 'unsupported_media_type');
    assert.match(detail, /^charset: expected utf-8, got "(latin1|utf-16)": send the body in UTF-8$/);
  }
  const codings = { gzip: gzipSync(body), br: brotliCompressSync(body), zstd: zstdCompressSync(body) };
  for (const [coding, packed] of Object.entries(codings)) {
    const answer = await send(server, Uint8Array.from(packed), { headers: { 'content-encoding': coding } });
    assert.equal(((await answer.json()) as PublishAnswer).duplicates, 5000, coding);
    const broken = Uint8Array.from(packed).fill(1, 20, 60);
    await problemIn(
      await send(server, broken, { headers: { 'content-encoding': coding } }),
      400,
      'invalid_encoding',
    );
  }
  const unknown = await send(server, body, { headers: { 'content-encoding': 'snappy' } });
  await problemIn(unknown, 415, 'unsupported_media_type');
});

test('with results each line is told, and the answer comes last [PUB-13]', async () => {
  const server = service();
  const topic = 't3';
  const events = manyEvents(2000, (i) => ({ topic, payload: { filler: 'x'.repeat(300), i } }));
  const told = await toldIn(await send(server, linesOf([...events, events[0]]), { query: '?results=true' }));
  const answer = told.pop() as PublishAnswer;
  assert.deepEqual([answer.status, answer.accepted, answer.duplicates], ['success', 2000, 1]);
  const results = told as EventResult[];
  const [{ offset: first }] = results as [EventResult];
  assert.deepEqual(results.map(({ event_id: id, offset }) => [id, offset - first]), [...events.map(({ event_id: id }, i) => [id, i]), ['e-1', 0]]); // prettier-ignore
  assert.equal(results.at(-1)!.verdict, 'duplicate');
});

const BAD_LINES: readonly [what: string, line: string, code: string, status: number, field: string | null][] =
  [
    ['half a line', '{"event_id":"e-3","topic":"or', 'invalid_json', 400, null],
    ['two events', JSON.stringify(eventWith()).repeat(2), 'invalid_json', 400, null],
    ['an event over two lines', JSON.stringify(eventWith(), null, 2), 'invalid_json', 400, null],
    ['no event', '[]', 'invalid_event', 422, null],
    ['a field of a wrong type', JSON.stringify({ ...eventWith(), topic: 7 }), 'invalid_event', 422, 'topic'],
    [
      'too deep',
      JSON.stringify(eventWith()).replace('12.5', '['.repeat(2000)),
      'invalid_event',
      422,
      'payload',
    ],
  ];

for (const [what, line, code, status, field] of BAD_LINES) {
  test(`a bad line is named, the events before it are stored, and none after it: ${what} [PUB-14]`, async () => {
    const server = service();
    const topic = what;
    const body = `${linesOf(manyEvents(2, () => ({ topic })))}\n${line}\n${linesOf([eventWith({ topic, event_id: 'behind' })])}`;
    const problem = await problemIn(await send(server, body), status, code);
    assert.equal(problem.errors![0]!.line, 4);
    assert.equal(problem.errors![0]!.index, 2);
    assert.equal(problem.errors![0]!.field, field);
    assert.match(
      problem.detail,
      /^line 4.*; the 2 events before it are stored: correct this line and send it and the rest$/,
    );
    assert.deepEqual(problem.published, { events_count: 2, accepted: 2, duplicates: 0, conflicts: 0 });
    assert.equal((await server.events(`?topic=${encodeURIComponent(topic)}`)).count, 2);
    const told = await toldIn(await send(server, body, { query: '?results=true' }));
    assert.deepEqual(told.map((one) => (one as EventResult).verdict ?? (one as Problem).code), ['duplicate', 'duplicate', code]); // prettier-ignore
  });
}

test('bytes that are not UTF-8 are named by their line, too [PUB-14, BODY-1]', async () => {
  const server = service();
  const topic = 't5';
  const good = Buffer.from(linesOf(manyEvents(3, () => ({ topic }))));
  const problem = await problemIn(
    await send(
      server,
      Uint8Array.from(Buffer.concat([good, Buffer.from('{"event_id":"\xff"}\n', 'latin1')])),
    ),
    400,
    'invalid_encoding',
  );
  assert.equal(problem.errors![0]!.line, 4);
  assert.equal((await server.events(`?topic=${encodeURIComponent(topic)}`)).count, 3);
});

test('a bad first line stores nothing and says so [PUB-14]', async () => {
  const server = service();
  const topic = 't6';
  const problem = await problemIn(
    await send(server, '{}\n', { query: '?results=true' }),
    422,
    'invalid_event',
  );
  assert.match(problem.detail, /^line 1, .*; nothing was stored/);
  assert.equal((await server.events(`?topic=${encodeURIComponent(topic)}`)).count, 0);
});

test('a long body is committed in parts while it comes, and a cut one keeps what was committed [PUB-12]', async () => {
  const server = service();
  const topic = 'cut';
  const outgoing = request(`${server.url}/publish?results=true`, { method: 'POST', headers: LINES });
  outgoing.on('error', () => undefined);
  const events = manyEvents(3000, (i) => ({ topic, payload: { filler: 'x'.repeat(300), i } }));
  outgoing.write(linesOf(events));
  const [incoming] = (await once(outgoing, 'response')) as [AsyncIterable<Buffer> & { destroy(): void }];
  let text = '';
  for await (const piece of incoming) {
    text += piece.toString();
    if (text.split('\n').length > 1000) break;
  }
  assert.match(text, /^\{"event_id":"e-1","topic":"cut","verdict":"accepted","offset":\d+\}\n/);
  outgoing.destroy();
  await until(
    () => 'the first part is stored',
    async () => (await server.events('?topic=cut')).count >= 500,
  );
  const answer = (await (await send(server, linesOf(events))).json()) as PublishAnswer;
  assert.equal(answer.events_count, 3000);
  assert.ok(answer.duplicates >= 500);
  assert.equal((await server.events(`?topic=${encodeURIComponent(topic)}`)).count, 3000);
});

test('a line longer than a body may be is refused, and many short ones are not [PUB-12, PUB-9]', async (t) => {
  const server = await TestServer.start(t, { BODY_BYTES_MAX: '1048576' });
  const events = manyEvents(4000, (i) => ({ payload: { filler: 'x'.repeat(300), i } }));
  assert.equal((await send(server, linesOf(events))).status, 200);
  const problem = await problemIn(
    await send(server, linesOf(events.slice(0, 1)) + ' '.repeat(3_000_000)),
    413,
    'body_too_large',
  );
  assert.equal(problem.published!.events_count, 1);
  assert.deepEqual([problem.errors![0]!.line, problem.errors![0]!.index], [2, 1]);
  assert.equal(
    problem.detail,
    'line 2: is more than 1048576 bytes long, which is the limit of a line; the event before it is stored: ' +
      'correct this line and send it and the rest',
  );
  const tooSoon = await problemIn(await send(server, ' '.repeat(3_000_000)), 413, 'body_too_large');
  assert.match(
    tooSoon.detail,
    /^line 1: .*; nothing was stored: correct this line and send all of them again$/,
  );
  assert.equal((await server.get<{ queued_bytes: number }>('/stats')).queued_bytes, 0);
});

test('a key is held to its topics line by line, and to its rate [PUB-14, KEY-5, KEY-7]', async (t) => {
  const { server } = await withKeys(t, {
    phone: { scopes: ['publish'], topics: ['orders'], rate_limit: { events_per_second: 1000, burst: 100 } },
    reader: { scopes: ['read'] },
  });
  const key = { headers: withKey('phone') };
  const foreign: Event = eventWith({ topic: 'bills' });
  const problem = await problemIn(
    await send(server, linesOf([eventWith(), foreign]), key),
    403,
    'forbidden_topic',
  );
  assert.deepEqual([problem.errors![0]!.line, problem.published!.events_count], [2, 1]);
  await problemIn(await send(server, linesOf([foreign])), 401, 'unauthorized');
  const begunMs = performance.now();
  assert.equal((await send(server, linesOf(manyEvents(400)), key)).status, 200);
  assert.ok(performance.now() - begunMs > 200, 'a long body is slowed to the rate of its key');
});
