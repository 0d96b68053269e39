import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { SeededRandom } from '../../../../../lab/random.ts';
import type { EventPage, PageQuery } from '../../../src/store/event-store.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { expireTo, onEachStore, policyWith, publishExpiring } from '../../support/letting-go.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import {
  type EventsAnswer,
  type StatsAnswer,
  TestServer,
  type TopicsAnswer,
  problemIn,
} from '../../support/server.ts';

const TOPICS = ['a', 'a', 'b', 'bare', 'a', 'b', 'a'];

onEachStore(
  'an event that is not kept is 410, with its offset and the time of its commit [RET-20]',
  async ({ server, retention }) => {
    await retention.put(policyWith({ topics: ['bare'], keep: 'ids' }));
    await server.publish(eventWith({ event_id: 'e/1', topic: 'a' }), eventWith({ topic: 'bare' }));
    const { received_at } = await server.get<{ received_at: string }>('/events/a/e%2F1');
    await expireTo(retention, 1);
    for (const [path, offset] of [
      ['/events/a/e%2F1', 1],
      ['/events/bare/e-1', 2],
    ] as const) {
      const problem = await problemIn(await fetch(server.url + path), 410, 'event_expired');
      assert.deepEqual([problem.offset, problem.received_at], [offset, received_at]);
      assert.match(problem.detail, new RegExp(`at offset ${offset} at ${received_at}`));
    }
    await problemIn(await fetch(`${server.url}/events/b/e-1`), 404, 'event_not_found');
  },
);

onEachStore(
  'topics and books tell what is kept and what is not, and they balance [RET-4, RET-21]',
  async ({ server, retention }) => {
    await retention.put(policyWith({ topics: ['bare'], keep: 'ids' }));
    await server.publish(...manyEvents(TOPICS.length, (i) => ({ topic: TOPICS[i]! })));
    await expireTo(retention, 4, 'a');
    const { topics } = await server.get<TopicsAnswer>('/topics');
    assert.deepEqual(
      topics.map((one) => [one.topic, one.events, one.expired, one.first_offset, one.last_offset]),
      [
        ['a', 2, 2, 5, 7],
        ['b', 2, 0, 3, 6],
        ['bare', 0, 1, null, 4],
      ],
    );
    const [a, b, bare] = topics.map(({ bytes }) => bytes);
    assert.ok(a! > 0 && a === b && bare === 0);
    const { stored, expired, unique_processed, first_offset, last_offset } = await server.stats();
    assert.deepEqual(
      { stored, expired, unique_processed, first_offset, last_offset },
      { stored: 4, expired: 3, unique_processed: 7, first_offset: 3, last_offset: 7 },
    );
    await expireTo(retention, 7);
    const gone = await server.stats();
    assert.deepEqual([gone.stored, gone.expired, gone.first_offset, gone.last_offset], [0, 7, null, 7]);
  },
);

test('a key with topics is told of the expired events of its topics alone [KEY-6, RET-21]', async (t) => {
  const store = new MemoryStore();
  const keys = new TestKeys(t, {
    all: { scopes: ['publish'] },
    b: { scopes: ['read'], topics: ['b', 'bare'] },
  });
  const server = await TestServer.startOn(t, () => store, { API_KEYS_FILE: keys.path });
  await store.retention.put(policyWith({ topics: ['bare'], keep: 'ids' }));
  const events = manyEvents(TOPICS.length, (i) => ({ topic: TOPICS[i]! }));
  assert.equal((await server.post({ events }, withKey('all'))).status, 200);
  await expireTo(store.retention, 3);
  const stats = (await (await fetch(`${server.url}/stats`, { headers: withKey('b') })).json()) as StatsAnswer;
  assert.deepEqual(
    [stats.unique_processed, stats.stored, stats.expired, stats.first_offset, stats.last_offset],
    [3, 1, 2, 6, 6],
  );
});

/** A page, in either type, with what its header says. */
async function page(server: TestServer, query: string, accept = 'application/json') {
  const response = await fetch(`${server.url}/events${query}`, { headers: { accept } });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const isJson = accept === 'application/json';
  const next = /[?&]after=(\d+)[^>]*>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1];
  const answer = isJson
    ? (JSON.parse(text) as EventsAnswer)
    : {
        events: text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as StoredEvent),
      };
  const told = Number(response.headers.get('chronicle-expired'));
  if ('count' in answer) assert.equal(answer.expired ?? 0, told);
  return {
    offsets: answer.events.map(({ offset }) => offset),
    expired: told,
    next: next === undefined ? null : Number(next),
  };
}

onEachStore(
  'pages that follow each other count every expired event of their topics once [RET-23]',
  async (service) => {
    const { server, retention } = service;
    await retention.put(policyWith({ topics: ['bare'], keep: 'ids' }));
    const random = new SeededRandom(7);
    const topics = Array.from({ length: 90 }, () => random.of(['a', 'a', 'b', 'bare']));
    const gone = new Set(topics.keys().filter((i) => i < 12 || i > 80 || random.whole(0, 2) > 0).map((i) => i + 1)); // prettier-ignore
    const events = manyEvents(topics.length, (i) => ({ topic: topics[i]!, source: i % 3 === 0 ? 'x' : 'y' }));
    await publishExpiring(service, events, (offset) => gone.has(offset));
    for (const query of ['', '&topic=a', '&order=desc', '&topic=b&order=desc', '&source=x', '&topic=bare']) {
      const meant = events.flatMap(({ topic, source }, i) => {
        if (topic === 'bare' || !['', topic].includes(/topic=(\w+)/.exec(query)?.[1] ?? '')) return [];
        return [
          { offset: i + 1, isMatch: !gone.has(i + 1) && (source === 'x' || !query.includes('source')) },
        ];
      });
      if (query.includes('desc')) meant.reverse();
      for (const limit of [1, 3, 1000]) {
        for (const accept of ['application/json', 'application/x-ndjson']) {
          const read: number[] = [];
          let expired = 0;
          for (let after: number | null = null; ;) {
            const cursor: string = after === null ? '' : `&after=${after}`;
            const one = await page(server, `?limit=${limit}${query}${cursor}`, accept);
            assert.ok(one.offsets.length > 0 || one.next === null);
            const isPassed = ({ offset }: { offset: number }): boolean =>
              query.includes('desc')
                ? offset < (after ?? 1e9) && offset >= (one.next ?? 0)
                : offset > (after ?? 0) && offset <= (one.next ?? 1e9);
            const passed = meant.filter(isPassed);
            assert.equal(one.expired, passed.filter(({ offset }) => gone.has(offset)).length);
            read.push(...one.offsets);
            expired += one.expired;
            if (one.next === null) break;
            after = one.next;
          }
          assert.deepEqual(read, meant.filter(({ isMatch }) => isMatch).map(({ offset }) => offset)); // prettier-ignore
          assert.equal(expired, meant.filter(({ offset }) => gone.has(offset)).length);
        }
      }
    }
  },
);

onEachStore('a whole answer tells first how many events it passes over [RET-23]', async (service) => {
  const { server } = service;
  await publishExpiring(service, manyEvents(9), (offset) => offset < 4 || offset === 6);
  for (const [query, offsets, expired] of [
    ['', [4, 5, 7, 8, 9], 4],
    ['?after=2', [4, 5, 7, 8, 9], 2],
    ['?order=desc&after=6', [5, 4], 3],
    ['?after=7', [8, 9], 0],
    ['?topic=none', [], 0],
  ] as const) {
    for (const accept of ['application/json', 'application/x-ndjson']) {
      assert.deepEqual(await page(server, query, accept), { offsets, expired, next: null });
    }
  }
  const text = await (await fetch(`${server.url}/events`)).text();
  assert.match(text, /^\{"count":5,"expired":4,"events":\[/);
  const head = await fetch(`${server.url}/events?after=2`, { method: 'HEAD' });
  assert.equal(head.headers.get('chronicle-expired'), '2');
});

async function refusal(server: TestServer, query: string) {
  const { expired, next, kept, detail } = await problemIn(
    await fetch(`${server.url}/events${query}`),
    410,
    'cursor_expired',
  );
  const [events, come] = [expired === 1 ? 'event' : 'events', kept === 1 ? 'event that is kept comes' : 'events that are kept come']; // prettier-ignore
  const before =
    kept === undefined ? '' : ` \\(${kept} ${come} before that: read with limit to get it all\\)`;
  assert.match(detail, new RegExp(`^${expired} ${events} beyond .* after=${next}${before}, or without`));
  return { expired, next, ...(kept !== undefined && { kept }) };
}

onEachStore(
  'with expired=refuse a page never passes over an event behind its cursor [RET-24]',
  async (service) => {
    const { server } = service;
    await publishExpiring(
      service,
      manyEvents(12, (i) => ({ topic: i % 2 === 0 ? 'a' : 'b' })),
      (offset) => offset <= 3 || offset === 7 || offset === 9 || offset >= 11,
    );
    const strict = (query: string) => page(server, `${query}&expired=refuse`);
    // Without a cursor it begins with what is kept, and says what was before.
    assert.deepEqual(await strict('?limit=100'), { offsets: [4, 5, 6], expired: 3, next: 6 });
    assert.deepEqual(await strict('?limit=2'), { offsets: [4, 5], expired: 3, next: 5 });
    assert.deepEqual(await strict('?limit=100&after=0'), { offsets: [4, 5, 6], expired: 3, next: 6 });
    assert.deepEqual(await refusal(server, '?limit=100&expired=refuse&after=1'), { expired: 2, next: 3 });
    assert.deepEqual(await refusal(server, '?limit=100&expired=refuse&after=6'), { expired: 1, next: 7 });
    assert.deepEqual(await strict('?limit=100&after=7'), { offsets: [8], expired: 0, next: 8 });
    // Of one topic alone.
    assert.deepEqual(await refusal(server, '?limit=1&expired=refuse&topic=a&after=5'), {
      expired: 3,
      next: 12,
    });
    assert.deepEqual(await refusal(server, '?limit=1&expired=refuse&after=10'), { expired: 2, next: 12 });
    assert.deepEqual(await strict('?limit=1&after=12'), { offsets: [], expired: 0, next: null });
    // In descending order.
    assert.deepEqual(await strict('?limit=100&order=desc'), { offsets: [10], expired: 2, next: 10 });
    assert.deepEqual(await refusal(server, '?limit=9&expired=refuse&order=desc&after=10'), {
      expired: 1,
      next: 9,
    });
    assert.deepEqual(await strict('?limit=9&order=desc&after=7'), {
      offsets: [6, 5, 4],
      expired: 0,
      next: 4,
    });
    assert.deepEqual(await refusal(server, '?limit=9&expired=refuse&order=desc&after=4'), {
      expired: 3,
      next: 0,
    });
  },
);

onEachStore(
  'with expired=refuse a whole answer is refused if it would pass over any event behind its cursor [RET-24]',
  async (service) => {
    const { server } = service;
    await publishExpiring(service, manyEvents(9), (offset) => offset <= 3 || offset === 6);
    assert.deepEqual(await refusal(server, '?expired=refuse&after=1'), { expired: 3, next: 6, kept: 2 });
    // What is kept behind the cursor would be missed by going on behind what is gone.
    assert.deepEqual(await refusal(server, '?expired=refuse&after=4'), { expired: 1, next: 6, kept: 1 });
    assert.deepEqual(await refusal(server, '?expired=refuse&after=5'), { expired: 1, next: 6 });
    const descending = '?expired=refuse&order=desc&after=';
    assert.deepEqual(await refusal(server, `${descending}8`), { expired: 4, next: 1, kept: 3 });
    assert.deepEqual(await refusal(server, `${descending}4`), { expired: 3, next: 1 });
    assert.equal((await server.events('?expired=refuse&after=6')).count, 3);
    const { count, expired } = await server.events('?expired=refuse');
    assert.deepEqual([count, expired], [5, 4]);
    const head = await fetch(`${server.url}/events?expired=refuse&after=1`, { method: 'HEAD' });
    assert.equal(head.status, 410);
    await problemIn(await fetch(`${server.url}/events?expired=ignore`), 422, 'invalid_parameter');
  },
);

onEachStore(
  'whoever follows `next` of refusals, page or whole answer, comes to an answer with everything behind it [RET-24]',
  async (service) => {
    const { server } = service;
    const random = new SeededRandom(11);
    const topics = Array.from({ length: 60 }, () => random.of(['a', 'b']));
    const gone = new Set(topics.keys().map((i) => i + 1).filter(() => random.whole(0, 2) === 0)); // prettier-ignore
    const events = manyEvents(60, (i) => ({ topic: topics[i]!, source: random.of(['x', 'y']) }));
    await publishExpiring(service, events, (offset) => gone.has(offset));
    for (const [order, begin] of [
      ['asc', 1],
      ['desc', 60],
    ] as const) {
      // prettier-ignore
      for (const filter of ['', '&topic=a', '&topic=b&source=x', '&source=y']) {
        const isMeant = (offset: number): boolean =>
          new URLSearchParams(filter).get('topic') === null || filter.includes(`topic=${topics[offset - 1]!}`);
        const ahead = (offset: number, cursor: number): boolean =>
          isMeant(offset) && (order === 'asc' ? offset > cursor : offset < cursor);
        for (const limit of ['', '&limit=5']) {
          let after: number = begin;
          for (let refused = 0; ; refused++) {
            assert.ok(refused <= gone.size, 'no cursor is given twice');
            const query = `?expired=refuse&order=${order}&after=${after}${filter}${limit}`;
            const answer = await fetch(`${server.url}/events${query}`);
            if (answer.status === 200) break;
            const { expired, next, kept = 0 } = await problemIn(answer, 410, 'cursor_expired');
            const passed = [...gone].filter((one) => ahead(one, after) && !ahead(one, next!));
            assert.equal(expired, passed.length, query);
            assert.ok(order === 'asc' ? next! > after : next! < after, query);
            const between = events.filter(({ source }, i) => {
              const isThere = ahead(i + 1, after) && !ahead(i + 1, next!) && !gone.has(i + 1);
              return isThere && source === (new URLSearchParams(filter).get('source') ?? source);
            });
            assert.equal(kept, between.length, query);
            after = next!;
          }
          if (limit === '') assert.deepEqual([...gone].filter((one) => ahead(one, after)), [], `${order}${filter}`); // prettier-ignore
        }
      }
    }
  },
);

/** Examines few events at a time, as a store does where there are millions of them. */
class StoreOfShortScans extends MemoryStore {
  override async read(query: PageQuery): Promise<EventPage> {
    const { after, upTo } = query;
    const end = Math.min(upTo, after + 4);
    const page = await super.read({ ...query, upTo: end });
    return { ...page, resumeAfter: page.resumeAfter ?? (end < Math.min(upTo, this.lastOffset) ? end : null) };
  }
}

test('what takes many looks at the store is passed over in one answer [RET-23, RET-24]', async (t) => {
  const store = new StoreOfShortScans();
  const server = await TestServer.startOn(t, () => store);
  const isExpired = (offset: number): boolean => offset <= 20 || offset > 24;
  await publishExpiring({ server, store, retention: store.retention }, manyEvents(40), isExpired);
  assert.deepEqual(await page(server, '?limit=3'), { offsets: [21, 22, 23], expired: 20, next: 23 });
  assert.deepEqual(await page(server, '?limit=3&after=23'), { offsets: [24], expired: 16, next: null });
  assert.deepEqual(await page(server, '?limit=1&after=23'), { offsets: [24], expired: 16, next: null });
  assert.deepEqual(await page(server, ''), { offsets: [21, 22, 23, 24], expired: 36, next: null });
  assert.deepEqual(await refusal(server, '?limit=3&expired=refuse&after=2'), { expired: 18, next: 20 });
  assert.deepEqual(await refusal(server, '?expired=refuse&after=24'), { expired: 16, next: 40 });
});
