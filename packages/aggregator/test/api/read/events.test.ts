import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, StoredEvent } from '@chronicleweaver/protocol';
import * as fc from 'fast-check';
import { eventWith, manyEvents } from '../../support/events.ts';
import { type EventsAnswer, TestServer } from '../../support/server.ts';

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

/** Events that differ in everything that a reader can filter by. Their ids say in which order they are sent. */
const TOPICS = ['orders', 'Orders', 'a/b?c=d&e', 'größe 😀'];
const SOURCES = ['web', 'app', '+', ' '];
/** Times and their milliseconds, written down here and not computed by the code under test; one is a leap second. */
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
/** Additional bounds, which no event has as its time. */
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

/** The answer of a plain filter over everything published; offsets are places in it, counted from 1. */
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

test('any query gets the answer of a plain filter over the published events, to the last byte [READ-1, READ-3, READ-4, READ-5, READ-7, P-4]', async (t) => {
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

test('times are compared in all their digits, even those below a millisecond [READ-3, EVT-7]', async (t) => {
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

test('pages followed by next or by Link add up to the unlimited answer, in both directions [READ-5, READ-4]', async (t) => {
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
          // Only an empty answer has an empty page, because next promises at least one event.
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

test('a few matches among thousands of other events are all found, and the last page says so [READ-3, READ-5]', async (t) => {
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

test('a page that would exceed 4 MiB holds fewer events and has a next, and no event is lost [READ-5]', async (t) => {
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
