import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { eventWith, manyEvents } from '../../support/events.ts';
import { TestServer, type TopicsAnswer } from '../../support/server.ts';

test('a read without a match gets an empty list, even from an empty log [READ-1, READ-5]', async (t) => {
  const server = await TestServer.start(t);
  for (const published of [false, true]) {
    if (published) await server.publish(eventWith());
    for (const [query, answer] of [
      ['?topic=none', { count: 0, events: [] }],
      ['?topic=none&order=desc', { count: 0, events: [] }],
      ['?topic=none&limit=1', { count: 0, events: [], next: null }],
      ['?after=1', { count: 0, events: [] }],
      ['?after=1&order=desc', { count: 0, events: [] }],
      ['?after=1&limit=5&order=desc', { count: 0, events: [], next: null }],
      ['?after=9007199254740991', { count: 0, events: [] }],
      ['?from=2025-10-28T10:00:00.001Z', { count: 0, events: [] }],
      ['?to=2025-10-28T10:00:00Z', { count: 0, events: [] }],
      ['?from=2025-10-29&to=2025-10-01', { count: 0, events: [] }],
    ] as const) {
      assert.deepEqual(await server.events(query), answer, query);
    }
  }
  assert.equal((await server.events('?from=2025-10-28T10:00:00Z&to=2025-10-28T10:00:00.001Z')).count, 1);
});

test('an event is returned as it was sent, member by member and digit by digit [EVT-6, READ-1, READ-8]', async (t) => {
  const server = await TestServer.start(t);
  const sent =
    '{"timestamp":"2025-10-28","source":"w\\u0065b","payload":{"n":9007199254740993,"one":1.0,"e":1E+2,"z":-0,' +
    '"huge":1e999,"__proto__":{"x":[]},"esc":"\\u0041\\/\\ud83d\\ude00","b":1,"a":2,"10":3,"9":4},"topic":"orders","event_id":"digits"}';
  assert.equal((await server.post(sent.replaceAll(',"', ' ,\n "'))).status, 200);
  const found = await (await fetch(`${server.url}/events/orders/digits`)).text();
  assert.ok(found.startsWith(`${sent.slice(0, -1)},"offset":1,"received_at":"20`), found);
  for (const [query, tail] of [
    ['', ''],
    ['?limit=1', ',"next":null'],
    ['?order=desc', ''],
  ]) {
    const text = await (await fetch(`${server.url}/events${query}`)).text();
    assert.equal(text, `{"count":1,"events":[${found}]${tail}}`);
  }
});

test('received_at is the time of the commit and never goes back [READ-1]', async (t) => {
  const server = await TestServer.start(t);
  const before = Date.now();
  for (let i = 0; i < 5; i++) {
    await server.publish(eventWith({ event_id: `${i}` }));
    await wait(2);
  }
  const after = Date.now();
  const times = (await server.events()).events.map(({ received_at: at }) => Date.parse(at));
  assert.ok(times.every((time, i) => before <= time && time <= after && time >= (times[i - 1] ?? 0)));
  assert.ok(times.at(-1)! > times[0]!);
});

test('NDJSON has one event per line and nothing else [READ-7]', async (t) => {
  const server = await TestServer.start(t);
  const ndjson = (query: string, accept = 'application/x-ndjson') =>
    fetch(`${server.url}/events${query}`, { headers: { accept } });
  assert.equal(await (await ndjson('')).text(), '');
  await server.publish(...manyEvents(50, () => ({ payload: { text: 'line\nbreak\u2028', n: 1 } })));
  for (const query of ['', '?order=desc', '?limit=50', '?limit=20']) {
    const response = await ndjson(query);
    assert.equal(response.headers.get('content-type'), 'application/x-ndjson; charset=utf-8');
    const text = await response.text();
    assert.ok(text.endsWith('}\n'));
    const events = text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as StoredEvent);
    assert.deepEqual(events, (await server.events(query)).events);
    assert.equal(response.headers.has('link'), query === '?limit=20');
  }
  for (const [accept, type] of [
    ['*/*', 'application/json'],
    ['application/json', 'application/json'],
    ['text/html', 'application/json'],
    ['application/x-ndjson;q=0.5, application/json', 'application/json'],
    ['application/json;q=0.5, application/x-ndjson', 'application/x-ndjson'],
  ] as const) {
    const response = await ndjson('?limit=1', accept);
    assert.equal(response.headers.get('content-type'), `${type}; charset=utf-8`, accept);
  }
});

test('topics are listed with their counts and last offsets, in the order of their UTF-8 bytes [READ-9]', async (t) => {
  const server = await TestServer.start(t);
  assert.deepEqual(await server.get('/topics'), { count: 0, topics: [] });
  // By UTF-16 units 😀 would come before \ue000.
  const names = ['b', 'B', 'a', 'é', '\ue000', '😀', '漢', 'aa', ' ', '\u0001', '__proto__', 'z'];
  await server.publish(...names.map((topic) => eventWith({ topic })));
  await server.publish(eventWith({ topic: 'b', event_id: 'more' }), eventWith({ topic: 'a' }));
  const sorted = names.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
  assert.notDeepEqual(sorted, names.toSorted());
  const listed = await server.get<TopicsAnswer>('/topics');
  assert.equal(listed.count, names.length);
  assert.deepEqual(
    listed.topics.map(({ topic, events, last_offset }) => ({ topic, events, last_offset })),
    sorted.map((topic) => ({
      topic,
      events: topic === 'b' ? 2 : 1,
      last_offset: topic === 'b' ? names.length + 1 : names.indexOf(topic) + 1,
    })),
  );
  assert.deepEqual((await server.stats()).topics, sorted);
});
