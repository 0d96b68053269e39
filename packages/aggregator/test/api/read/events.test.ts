import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { type Event, LIMITS, type StoredEvent } from '@chronicleweaver/protocol';
import * as fc from 'fast-check';
import { eventWith, manyEvents } from '../../support/events.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { type EventsAnswer, TestServer, problemIn } from '../../support/server.ts';

const MIB = 1024 * 1024;

interface Query {
  topic?: string;
  source?: string;
  from?: string;
  to?: string;
  after?: number;
  order?: 'asc' | 'desc';
  limit?: number;
}

function queryText(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) parameters.set(name, String(value));
  return parameters.size === 0 ? '' : `?${parameters.toString()}`;
}

const ids = (events: readonly Event[]) => events.map(({ event_id: id }) => id);

/** Events that differ in all that a reader can ask for. Their ids tell the order in which they are sent. */
const TOPICS = ['orders', 'Orders', 'a/b?c=d&e', 'größe 😀'];
const SOURCES = ['web', 'app', '+', ' '];
/** Each with the milliseconds that it means, written down here and not computed by what is tested; a leap second is between. */
const TIMES = new Map([
  ['2025-10-28', Date.UTC(2025, 9, 28)],
  ['2025-10-28T00:00:00.001Z', Date.UTC(2025, 9, 28) + 1],
  ['2025-10-28T00:00:00.0019Z', Date.UTC(2025, 9, 28) + 1.9],
  ['2025-10-28T07:00:00+07:00', Date.UTC(2025, 9, 28)],
  ['2025-10-27T21:00:00,0005-0300', Date.UTC(2025, 9, 28) + 0.5],
  ['2025-10-27T23:59:59,999Z', Date.UTC(2025, 9, 28) - 1],
  ['2025-10-28 10:00', Date.UTC(2025, 9, 28, 10)],
  ['1969-12-31T23:59:60Z', -0.5],
  ['1970-01-01t05:30z', 19_800_000],
  ['0000-01-01', -62_167_219_200_000],
  ['9999-12-31T23:59:59-23:59', Date.UTC(9999, 11, 31, 47, 58, 59)],
]);
/** Besides them bounds that no event has. */
const BOUNDS = new Map([
  ...TIMES,
  ['2025-10-28T00:00:00.0015Z', Date.UTC(2025, 9, 28) + 1.5],
  ['1969-12-31T23:59:59.999999Z', -0.6],
  ['1969-12-31T23:59:60.1Z', -0.4],
  ['2025-10-28T03:00:00-07', Date.UTC(2025, 9, 28, 10)],
  ['2000-01-01', Date.UTC(2000, 0, 1)],
  ['2100-01-01', Date.UTC(2100, 0, 1)],
]);
const LOG = manyEvents(300, (i) => ({
  topic: TOPICS[(i * 7) % 4]!,
  source: SOURCES[(i >> 2) % 4]!,
  timestamp: [...TIMES.keys()][(i * 5) % TIMES.size]!,
  payload: { i, text: 'é😀'.repeat(i % 5) },
}));

/** What a plain filter over all that was published answers; offsets are places in it, from 1. */
function expectedOf(log: readonly Event[], query: Query): { indexes: number[]; next: number | null } {
  const from = query.from === undefined ? -Infinity : BOUNDS.get(query.from)!;
  const to = query.to === undefined ? Infinity : BOUNDS.get(query.to)!;
  let matches = log.flatMap((event, i) => {
    const time = TIMES.get(event.timestamp)!;
    const matches =
      (query.topic ?? event.topic) === event.topic &&
      (query.source ?? event.source) === event.source &&
      from <= time &&
      time < to;
    return matches ? [i] : [];
  });
  if (query.order === 'desc') {
    matches = matches.toReversed().filter((i) => i + 1 < (query.after ?? Infinity));
  } else {
    matches = matches.filter((i) => i + 1 > (query.after ?? 0));
  }
  const indexes = matches.slice(0, query.limit);
  return { indexes, next: indexes.length < matches.length ? indexes.at(-1)! + 1 : null };
}

const queries: fc.Arbitrary<Query> = fc.record(
  {
    topic: fc.constantFrom(...TOPICS, 'unknown'),
    source: fc.constantFrom(...SOURCES, 'unknown'),
    from: fc.constantFrom(...BOUNDS.keys()),
    to: fc.constantFrom(...BOUNDS.keys()),
    after: fc.oneof(fc.integer({ min: 0, max: 301 }), fc.constantFrom(1000, Number.MAX_SAFE_INTEGER)),
    order: fc.constantFrom('asc' as const, 'desc' as const),
    limit: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(299, 300, 301, 10_000)),
  },
  { requiredKeys: [] },
);

test('any question is answered as a plain filter over the published events does, to the last byte [READ-1, READ-3, READ-4, READ-5, READ-7, P-4]', async (t) => {
  const server = await TestServer.start(t);
  for (let i = 0; i < LOG.length; i += 100) await server.publish(...LOG.slice(i, i + 100));
  const whole = await fetch(`${server.url}/events`, { headers: { accept: 'application/x-ndjson' } });
  const lines = (await whole.text()).trimEnd().split('\n');
  for (const [i, line] of lines.entries()) {
    const sent = JSON.stringify(LOG[i]);
    assert.match(
      line.slice(sent.length - 1),
      new RegExp(`^,"offset":${i + 1},"received_at":"\\d{4}-\\d\\d-\\d\\dT[\\d:.]{12}Z"\\}$`),
    );
    assert.equal(line.slice(0, sent.length - 1), sent.slice(0, -1));
  }
  assert.equal(lines.length, LOG.length);

  await fc.assert(
    fc.asyncProperty(queries, fc.boolean(), async (query, ndjson) => {
      const { indexes, next } = expectedOf(LOG, query);
      const expected = indexes.map((i) => lines[i]!);
      const response = await fetch(`${server.url}/events${queryText(query)}`, {
        headers: { accept: ndjson ? 'application/x-ndjson' : 'application/json' },
      });
      assert.equal(response.status, 200);
      const text = await response.text();
      const tail = query.limit === undefined ? '' : `,"next":${next}`;
      if (ndjson) assert.equal(text, expected.map((line) => `${line}\n`).join(''));
      else assert.equal(text, `{"count":${expected.length},"events":[${expected.join()}]${tail}}`);
      assert.equal(response.headers.has('link'), query.limit !== undefined && next !== null);
    }),
    { numRuns: 300 },
  );
});

test('times are compared by all digits that were sent, beyond the millisecond too [READ-3, EVT-7]', async (t) => {
  const server = await TestServer.start(t);
  const at = (decimals: string) => `2025-10-28T10:00:00.${decimals}Z`;
  await server.publish(
    eventWith({ event_id: 't1', timestamp: at('123456788') }),
    eventWith({ event_id: 't2', timestamp: at('123456789') }),
  );
  const cases: [Query, string[]][] = [
    [{ from: at('123456788'), to: at('123456790') }, ['t1', 't2']],
    [{ from: at('123456789') }, ['t2']],
    [{ to: at('123456789') }, ['t1']],
    [{ from: at('1239') }, []],
    [{ to: at('1239') }, ['t1', 't2']],
    [{ from: at('12345678900000000000000000001') }, []],
    [{ from: at('123'), to: at('123456788') }, []],
    [{ from: at('123456788').replace('T10', 'T17').replace('Z', '+07:00') }, ['t1', 't2']],
  ];
  for (const [query, expected] of cases) {
    for (const limit of [undefined, 10]) {
      const asked = limit === undefined ? query : { ...query, limit };
      const { events } = await server.get<EventsAnswer>(`/events${queryText(asked)}`);
      assert.deepEqual(ids(events), expected, JSON.stringify(asked));
    }
  }
});

test('pages followed by next, and by Link, are together the unlimited answer, both ways [READ-5, READ-4]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...LOG);
  for (const filter of [
    {},
    { topic: 'größe 😀' },
    { source: '+', from: '2025-10-28T07:00:00+07:00' },
    { topic: 'unknown' },
  ]) {
    for (const order of ['asc', 'desc'] as const) {
      const all = await server.events(queryText({ ...filter, order }));
      assert.equal('next' in all, false);
      for (const limit of [1, 7, all.count, all.count + 1].filter((limit) => limit > 0)) {
        if (limit === 1 && all.count === 300) continue;
        const pages: EventsAnswer[] = [];
        let after: number | null | undefined;
        do {
          const page = await server.events(
            queryText({ ...filter, order, limit, ...(typeof after === 'number' && { after }) }),
          );
          assert.ok(page.count === page.events.length && page.count <= limit);
          // No page but that of an empty answer is empty: next says that there is more.
          assert.ok(page.count > 0 || all.count === 0);
          pages.push(page);
          after = page.next;
          assert.notEqual(after, undefined);
        } while (after !== null);
        assert.deepEqual(
          pages.flatMap(({ events }) => events),
          all.events,
        );
        assert.equal(pages.length, Math.max(1, Math.ceil(all.count / limit)));
        assert.deepEqual(await followingLinks(queryText({ ...filter, order, limit })), all.events);
      }
    }
  }

  async function followingLinks(query: string): Promise<StoredEvent[]> {
    const events: StoredEvent[] = [];
    let path: string | undefined = `/events${query}`;
    while (path !== undefined) {
      const response: Response = await fetch(server.url + path);
      events.push(...((await response.json()) as EventsAnswer).events);
      const link: string | null = response.headers.get('link');
      path = link === null ? undefined : /^<(\/events\?[^>]+)>; rel="next"$/.exec(link)?.[1];
      assert.equal(path === undefined, link === null, link ?? '');
    }
    return events;
  }
});

test('a few matches among thousands of others are all found, and told when there are no more [READ-3, READ-5]', async (t) => {
  const server = await TestServer.start(t);
  const RARE = [1, 4999, 5000, 5001, 10_000, 12_345, 17_500];
  const log = manyEvents(18_000, (i) =>
    RARE.includes(i + 1) ? { source: 'rare', timestamp: '2030-01-01' } : {},
  );
  await server.publish(...log);
  for (const filter of ['source=rare', 'from=2029-12-31&topic=orders']) {
    for (const [order, offsets] of [
      ['asc', RARE],
      ['desc', RARE.toReversed()],
    ] as const) {
      const all = await server.events(`?${filter}&order=${order}`);
      assert.deepEqual([all.count, all.events.map(({ offset }) => offset)], [RARE.length, offsets]);
      for (const limit of [1, 3, RARE.length]) {
        const seen: number[] = [];
        for (let after: number | null = order === 'asc' ? 0 : 99_999; after !== null;) {
          const page: EventsAnswer = await server.events(
            `?${filter}&order=${order}&limit=${limit}&after=${after}`,
          );
          assert.equal(page.count, Math.min(limit, RARE.length - seen.length));
          seen.push(...page.events.map(({ offset }) => offset));
          after = page.next!;
        }
        assert.deepEqual(seen, offsets);
      }
    }
  }
  assert.deepEqual(await server.events('?source=none&limit=5'), { count: 0, events: [], next: null });
});

test('an empty log, and one without a match, answer an empty list [READ-1, READ-5]', async (t) => {
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

test('an event comes back as it was sent, member by member and digit by digit [EVT-6, READ-1, READ-8]', async (t) => {
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

test('NDJSON is one event a line and nothing else [READ-7]', async (t) => {
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

test('a page that would exceed 4 MiB holds fewer events and has a next, and all are reached [READ-5]', async (t) => {
  const server = await TestServer.start(t);
  const text = 'x'.repeat(MIB - 300);
  const large = manyEvents(22, (i) => ({ payload: { text: i < 18 ? text : 'small' } }));
  await server.publish(...large.slice(0, 11));
  await server.publish(...large.slice(11));
  for (const order of ['asc', 'desc'] as const) {
    const seen: string[] = [];
    let query: Query = { order, limit: 100 };
    let pages = 0;
    for (;;) {
      const body = await (await fetch(`${server.url}/events${queryText(query)}`)).text();
      assert.ok(body.length <= 4 * MIB, `${body.length} bytes`);
      const { events, next } = JSON.parse(body) as EventsAnswer;
      assert.ok(events.length > 0);
      seen.push(...ids(events));
      pages += 1;
      if (next === null) break;
      query = { ...query, after: next! };
    }
    assert.ok(pages >= 5 && pages <= 9, `${pages} pages`);
    assert.deepEqual(seen, ids(order === 'asc' ? large : large.toReversed()));
  }
});

test('an event is found by its names, whatever is in them [READ-8]', async (t) => {
  const server = await TestServer.start(t);
  const NAMES = [
    'plain',
    'a/b',
    '/',
    '//',
    'a?b#c',
    '%',
    '%2F',
    '%zz',
    '100%',
    'a b',
    'a+b',
    '&=;',
    '..',
    '.',
    '../..',
    'größe',
    'e\u0301',
    '漢字',
    '😀',
    '\u{10ffff}',
    '"',
    '\\',
    '\t\r\n',
    '\u0001',
    '\u007f',
    '\u2028',
    ':id',
    '*',
    '__proto__',
    'constructor',
    "'; DROP TABLE event; --",
  ];
  const pairs = NAMES.flatMap((name, i): [string, string][] => [
    [name, NAMES[(i + 1) % NAMES.length]!],
    ['orders', name],
  ]);
  pairs.push(['😀'.repeat(LIMITS.topicCharsMax), '\u{10ffff}'.repeat(LIMITS.eventIdCharsMax)]);
  const events = pairs.map(([topic, id]) => eventWith({ topic, event_id: id }));
  await server.publish(...events);
  const { events: stored } = await server.events();
  for (const [i, [topic, id]] of pairs.entries()) {
    const path = `/events/${encodeURIComponent(topic)}/${encodeURIComponent(id)}`;
    // Sent as it stands: fetch would resolve "..".
    const [response] = await exchange(server.url, requestText(`GET ${path}`, { connection: 'close' }));
    const text = await response!.text();
    assert.equal(response!.status, 200, `${path} ${text}`);
    assert.deepEqual(JSON.parse(text), stored[i], path);
    assert.equal(response!.headers.get('content-type'), 'application/json; charset=utf-8');
  }
});

test('an event that is not stored is 404, also where its id or its topic is [READ-8]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(eventWith({ topic: 'a', event_id: '1' }), eventWith({ topic: 'b', event_id: '2' }));
  for (const [topic, id] of [
    ['a', '2'],
    ['b', '1'],
    ['c', '1'],
    ['A', '1'],
    ['a', '1 '],
    ['a', '%00'],
    ['1', 'a'],
    ['a%2F1', 'x'],
    ['😀', '\u{10ffff}'.repeat(LIMITS.eventIdCharsMax)],
  ] as const) {
    const path = `/events/${encodeURI(topic)}/${encodeURI(id)}`.replaceAll('%25', '%');
    await problemIn(await fetch(server.url + path), 404, 'event_not_found');
  }
  const { detail } = await problemIn(await fetch(`${server.url}/events/a/%22%0A`), 404, 'event_not_found');
  assert.equal(detail, 'topic "a" has no event "\\"\\n"');
  await problemIn(await fetch(`${server.url}/events/a/1/`), 404, 'not_found');
  await problemIn(await fetch(`${server.url}/events/a`), 404, 'not_found');
});

test('names that no event can have are refused as parameters [READ-8, ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  for (const [path, field] of [
    [`/events/a/${'x'.repeat(LIMITS.eventIdCharsMax + 1)}`, 'event_id'],
    [`/events/${'x'.repeat(LIMITS.topicCharsMax + 1)}/a`, 'topic'],
    ['/events/a/', 'event_id'],
    ['/events//a', 'topic'],
  ] as const) {
    const { errors } = await problemIn(await fetch(server.url + path), 422, 'invalid_parameter');
    assert.deepEqual(
      errors?.map((error) => error.field),
      [field],
      path,
    );
  }
  const tooLong = `${server.url}/events/a/${'x'.repeat(LIMITS.eventIdCharsMax * 12 + 1)}`;
  await problemIn(await fetch(tooLong), 414, 'uri_too_long');
});

test('a parameter that is unknown, given twice or out of range is refused by its name [ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(eventWith());
  const rows: [query: string, ...fields: string[]][] = [
    ['limt=10', 'limt'],
    ['Limit=10', 'Limit'],
    ['offset=1', 'offset'],
    ['topic[]=a', 'topic[]'],
    ['__proto__=1', '__proto__'],
    ['constructor=1', 'constructor'],
    ['=1', ''],
    ['limit=1&limit=1', 'limit'],
    ['limit=1&limit=2&limit=3', 'limit'],
    ['after=0&after=1', 'after'],
    ['topic=a&topic=a', 'topic'],
    ['source=a&source=b', 'source'],
    ['order=asc&order=desc', 'order'],
    ['from=2025-10-28&from=2025-10-28', 'from'],
    ['to=2025-10-28&to=2025-10-28', 'to'],
    ['limit=0', 'limit'],
    ['limit=-1', 'limit'],
    ['limit=10001', 'limit'],
    ['limit=99999999999999999999', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=ten', 'limit'],
    ['limit=1,2', 'limit'],
    ['limit=0x10', 'limit'],
    ['limit=1e3', 'limit'],
    ['limit=%201', 'limit'],
    ['limit=+1', 'limit'],
    ['limit=1.0', 'limit'],
    ['limit=NaN', 'limit'],
    ['limit=Infinity', 'limit'],
    ['limit=null', 'limit'],
    ['limit=true', 'limit'],
    ['limit=', 'limit'],
    ['limit', 'limit'],
    ['after=-1', 'after'],
    ['after=9007199254740992', 'after'],
    ['after=9007199254740993', 'after'],
    ['after=1e400', 'after'],
    ['after=0.1', 'after'],
    ['after=x', 'after'],
    ['after=', 'after'],
    ['order=', 'order'],
    ['order=ASC', 'order'],
    ['order=down', 'order'],
    ['topic=', 'topic'],
    ['source=', 'source'],
    [`topic=${'x'.repeat(LIMITS.topicCharsMax + 1)}`, 'topic'],
    [`source=${'x'.repeat(LIMITS.sourceCharsMax + 1)}`, 'source'],
    ['from=', 'from'],
    ['from=yesterday', 'from'],
    ['from=2025-02-30', 'from'],
    ['from=1761645600', 'from'],
    [`from=2025-10-28T10:00:00.${'0'.repeat(45)}`, 'from'],
    // A plus that is not escaped is a space.
    ['to=2025-10-28T10:00:00+07:00', 'to'],
    ['to=2025-10-28T24:00', 'to'],
    ['limit=0&order=x&to=now&x=1', 'x', 'to', 'limit', 'order'],
  ];
  for (const [query, ...fields] of rows) {
    const { errors, detail } = await problemIn(
      await fetch(`${server.url}/events?${query}`),
      422,
      'invalid_parameter',
    );
    assert.deepEqual(
      errors?.map(({ index, field }) => [index, field ?? '']),
      fields.map((field) => [null, field]),
      query,
    );
    for (const { field, message } of errors) {
      assert.ok(message.length > 0);
      assert.ok(detail.includes(`${field ?? ''}: ${message}`), detail);
    }
  }
  assert.equal((await server.events(`?topic=${'%F0%9F%98%80'.repeat(LIMITS.topicCharsMax)}`)).count, 0);
});

test('a % in the query that begins no byte of UTF-8 is refused, not taken for itself [ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  for (const query of [
    'topic=%',
    'topic=100%&limit=1',
    'topic=%zz',
    'topic=%ff',
    '%c3=1',
    'source=%ed%a0%80',
  ]) {
    const problem = await problemIn(await fetch(`${server.url}/events?${query}`), 400, 'invalid_request');
    assert.match(problem.detail, /holds a %/);
  }
  assert.equal((await server.events('?topic=100%25&source=a%3Fb')).count, 0);
});

test('HEAD answers what GET does, without the body [SYS-5, READ-1]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...manyEvents(3));
  for (const path of [
    '/events',
    '/events?limit=2',
    '/events?limit=0',
    '/events/orders/e-1',
    '/events/orders/none',
  ]) {
    const head = await fetch(server.url + path, { method: 'HEAD' });
    const get = await fetch(server.url + path);
    assert.equal(head.status, get.status, path);
    for (const name of ['content-type', 'content-length', 'link']) {
      assert.equal(head.headers.get(name), get.headers.get(name), `${path} ${name}`);
    }
    assert.equal(await head.text(), '');
  }
});

test('an answer in progress does not get what is committed after it began, and keeps its count [READ-2]', async (t) => {
  const server = await TestServer.start(t);
  const large = manyEvents(24, () => ({ payload: { text: 'x'.repeat(MIB - 300) } }));
  await server.publish(...large.slice(0, 12));
  await server.publish(...large.slice(12));
  const published = ids(large);
  for (const [query, accept] of [
    ['', 'application/json'],
    ['?order=desc', 'application/json'],
    ['?topic=orders', 'application/x-ndjson'],
  ] as const) {
    const expected = query === '?order=desc' ? published.toReversed() : [...published];
    const response = await fetch(`${server.url}/events${query}`, { headers: { accept } });
    const reader = response.body!.getReader();
    const pieces = [(await reader.read()).value!];
    // More than what connection and reader hold is still to be read from the store.
    const late = manyEvents(10, (i) => ({ event_id: `late ${query} ${i}` }));
    await server.publish(...late);
    published.push(...ids(late));
    await wait(20);
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) pieces.push(piece.value);
    const text = Buffer.concat(pieces).toString();
    const events =
      accept === 'application/json'
        ? (JSON.parse(text) as EventsAnswer).events
        : text
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line) as StoredEvent);
    assert.deepEqual(ids(events), expected);
    if (accept === 'application/json') assert.equal((JSON.parse(text) as EventsAnswer).count, events.length);
  }
  assert.equal((await server.events('?after=24')).count, 30);
});

test('readers that go away in the middle of a long answer leave the server as it was [READ-2]', async (t) => {
  const server = await TestServer.start(t);
  const large = manyEvents(15, () => ({ payload: { text: 'x'.repeat(MIB - 300) } }));
  await server.publish(...large);
  const { hostname, port } = new URL(server.url);
  await Promise.all(
    Array.from({ length: 40 }, (_, i) => {
      const query = i % 2 === 0 ? '' : '?limit=100';
      return new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () =>
          socket.write(requestText(`GET /events${query}`)),
        );
        socket.once('data', () => (i % 3 === 0 ? socket.resetAndDestroy() : socket.destroy()));
        socket.on('error', () => socket.destroy());
        socket.on('close', () => resolve());
      });
    }),
  );
  assert.equal((await server.publish(eventWith({ event_id: 'after' }))).accepted, 1);
  const { count, events } = await server.events();
  assert.deepEqual([count, events.length], [16, 16]);
  assert.deepEqual(await server.get('/health'), { message: 'healthy' });
});

test('what a publish stored is there for every read that begins after its answer [READ-10]', async (t) => {
  const server = await TestServer.start(t);
  await Promise.all(
    Array.from({ length: 4 }, async (_, p) => {
      for (let i = 0; i < 15; i++) {
        const event = eventWith({ topic: `t${p}`, event_id: `${i}` });
        const offset = (await server.publish(event)).results![0]!.offset;
        const reads = await Promise.all([
          server.events(`?after=${offset - 1}&limit=1`).then(({ events }) => events[0]),
          server.events(`?topic=t${p}`).then(({ events }) => events.at(-1)),
          server.get<StoredEvent>(`/events/t${p}/${i}`),
        ]);
        for (const read of reads)
          assert.deepEqual([read?.event_id, read?.topic, read?.offset], [`${i}`, `t${p}`, offset]);
        const { topics } = await server.get<{ topics: { topic: string; events: number }[] }>('/topics');
        assert.equal(topics.find(({ topic }) => topic === `t${p}`)?.events, i + 1);
        assert.ok((await server.stats()).last_offset >= offset);
      }
    }),
  );
});

test('one who follows the log sees every event once and in order while many publish [READ-6, P-4]', async (t) => {
  const server = await TestServer.start(t);
  const TOTAL = 4 * 20 * 25;
  const publishing = Promise.all(
    Array.from({ length: 4 }, async (_, p) => {
      for (let i = 0; i < 20; i++)
        await server.publish(...manyEvents(25, (n) => ({ event_id: `${p}-${i}-${n}` })));
    }),
  );
  const followers = [40, 70, 10_000, undefined].map(async (limit) => {
    const seen: StoredEvent[] = [];
    while (seen.length < TOTAL) {
      const after = seen.at(-1)?.offset ?? 0;
      const { events } = await server.events(queryText({ after, ...(limit !== undefined && { limit }) }));
      seen.push(...events);
    }
    return seen;
  });
  await publishing;
  for (const seen of await Promise.all(followers)) {
    assert.ok(seen.every(({ offset }, i) => i === 0 || offset > seen[i - 1]!.offset));
    assert.equal(new Set(ids(seen)).size, TOTAL);
  }
});

test('topics are told with their counts and last offsets, in the order of their UTF-8 bytes [READ-9]', async (t) => {
  const server = await TestServer.start(t);
  assert.deepEqual(await server.get('/topics'), { count: 0, topics: [] });
  // In UTF-16 units 😀 would stand before \ue000.
  const names = ['b', 'B', 'a', 'é', '\ue000', '😀', '漢', 'aa', ' ', '\u0001', '__proto__', 'z'];
  await server.publish(...names.map((topic) => eventWith({ topic })));
  await server.publish(eventWith({ topic: 'b', event_id: 'more' }), eventWith({ topic: 'a' }));
  const sorted = names.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
  assert.notDeepEqual(sorted, names.toSorted());
  assert.deepEqual(await server.get('/topics'), {
    count: names.length,
    topics: sorted.map((topic) => ({
      topic,
      events: topic === 'b' ? 2 : 1,
      last_offset: topic === 'b' ? names.length + 1 : names.indexOf(topic) + 1,
    })),
  });
  assert.deepEqual((await server.stats()).topics, sorted);
});
