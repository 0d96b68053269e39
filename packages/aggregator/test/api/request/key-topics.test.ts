import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventWith, manyEvents } from '../../support/events.ts';
import { withKey } from '../../support/keys.ts';
import { StreamReader } from '../../support/stream-reader.ts';
import { type EventsAnswer, type StatsAnswer, problemIn } from '../../support/server.ts';
import { withKeys, ask } from '../../support/keyed-server.ts';

test('a key sees only its topics, in pages, streams, lookups, lists and statistics [KEY-4, KEY-6]', async (t) => {
  const { server } = await withKeys(t, {
    all: { scopes: ['publish', 'read'] },
    everything: { scopes: ['read'], topics: ['>', 'orders'] },
    orders: { scopes: ['read'], topics: ['orders.*', 'returns'] },
    none: { scopes: ['read'], topics: ['nothing.here'] },
  });
  const topics = ['orders.eu', 'orders.us', 'orders', 'returns', 'salaries'];
  const events = manyEvents(20, (i) => ({ topic: topics[i % 5]! }));
  for (let twice = 0; twice < 2; twice++) {
    assert.equal((await server.post({ events }, withKey('all'))).status, 200);
  }
  const get = async <T>(path: string, key: string): Promise<T> => {
    const response = await ask(server, path, key);
    assert.equal(response.status, 200, `${path} ${await response.clone().text()}`);
    return (await response.json()) as T;
  };
  const offsets = ({ events }: EventsAnswer) => events.map(({ offset }) => offset);
  const own = Array.from({ length: 20 }, (_, i) => i + 1).filter((offset) => [1, 2, 4].includes(offset % 5));

  const everything = await get<EventsAnswer>('/events', 'orders');
  assert.equal(everything.count, own.length);
  assert.deepEqual(offsets(everything), own);
  assert.deepEqual(offsets(await get<EventsAnswer>('/events?order=desc', 'orders')), own.toReversed());
  assert.equal((await get<EventsAnswer>('/events?source=web', 'orders')).count, own.length);
  const paged: number[] = [];
  let next: number | null = 0;
  while (next !== null) {
    const page: EventsAnswer = await get(`/events?limit=5&after=${next}`, 'orders');
    paged.push(...offsets(page));
    next = page.next ?? null;
  }
  assert.deepEqual(paged, own);
  const lines = await fetch(`${server.url}/events`, { headers: { ...withKey('orders'), accept: 'application/x-ndjson' } }); // prettier-ignore
  assert.equal((await lines.text()).trim().split('\n').length, own.length);

  assert.equal((await get<EventsAnswer>('/events?topic=orders.eu', 'orders')).count, 4);
  assert.equal((await get<EventsAnswer>('/events', 'none')).count, 0);
  for (const path of [
    '/events?topic=salaries',
    '/events?topic=unknown',
    '/events?topic=orders',
    '/events/salaries/e-5',
    '/events/salaries/none',
    '/events?topic=orders.*',
  ]) {
    // prettier-ignore
    const expected = path.endsWith('*') ? 200 : 403;
    const response = await ask(server, path, 'orders');
    if (expected === 403) await problemIn(response, 403, 'forbidden_topic');
    else assert.equal(((await response.json()) as EventsAnswer).count, 0);
  }
  assert.equal((await get<{ offset: number }>('/events/orders.us/e-2', 'orders')).offset, 2);
  await problemIn(await ask(server, '/events/orders.us/e-1', 'orders'), 404, 'event_not_found');

  const listed = await get<{ topics: { topic: string }[] }>('/topics', 'orders');
  assert.deepEqual(listed.topics.map(({ topic }) => topic), ['orders.eu', 'orders.us', 'returns']); // prettier-ignore

  const { uptime: _uptime, version: _version, epoch: _epoch, first_offset: _first, ...stats } = await get<StatsAnswer & { version: string; epoch: string }>('/stats', 'orders'); // prettier-ignore
  assert.deepEqual(stats, { unique_processed: 12, stored: 12, expired: 0, topics: ['orders.eu', 'orders.us', 'returns'], last_offset: 19 }); // prettier-ignore
  const { unique_processed, last_offset } = await get<StatsAnswer>('/stats', 'none');
  assert.deepEqual({ unique_processed, last_offset }, { unique_processed: 0, last_offset: 0 });
  for (const key of ['all', 'everything']) {
    const whole = await get<StatsAnswer>('/stats', key);
    assert.deepEqual([whole.received, whole.unique_processed, whole.duplicated_dropped], [40, 20, 20]);
    assert.equal((await get<EventsAnswer>('/events', key)).count, 20);
  }
});

test('a live stream gives a key only its topics, stored and new events, and ends when the key is revoked [KEY-4, KEY-8]', async (t) => {
  const { server, keys } = await withKeys(t, {
    all: { scopes: ['publish', 'read'] },
    orders: { scopes: ['read'], topics: ['orders.*'] },
  });
  const topics = ['orders.eu', 'salaries', 'orders.us', 'orders.eu.de'];
  const publish = async (run: number): Promise<void> => {
    const events = topics.map((topic) => eventWith({ topic, event_id: `${run}` }));
    assert.equal((await server.post({ events }, withKey('all'))).status, 200);
  };
  const follow = (query: string) => StreamReader.open(`${server.url}/events/stream?after=0${query}`, withKey('orders')); // prettier-ignore
  await publish(0);
  const [own, eu, none] = await Promise.all([follow(''), follow('&topic=*.eu&topic=orders.eu.*'), follow('&topic=salaries.>')]); // prettier-ignore
  await Promise.all([own.until(2), eu.until(1)]);
  await publish(1);
  await Promise.all([own.until(4), eu.until(2)]);
  assert.deepEqual([own.offsets, eu.offsets, none.offsets], [[1, 3, 5, 7], [1, 5], []]);
  await problemIn(await ask(server, '/events/stream?topic=orders.eu&topic=salaries', 'orders'), 403, 'forbidden_topic'); // prettier-ignore
  keys.write({ all: { scopes: ['publish', 'read'] } });
  await server.reload();
  await Promise.all([own.ended, eu.ended, none.ended]);
});

test("an event outside the key's topics is refused and named by its place, and nothing of the batch is stored [KEY-5, P-3]", async (t) => {
  const { server } = await withKeys(t, {
    shop: { scopes: ['publish'], topics: ['orders.>'] },
    read: { scopes: ['read'] },
  });
  const topics = ['orders.eu', 'orders.eu.de', 'orders', 'orders.eu', 'salaries'];
  const events = topics.map((topic, i) => eventWith({ topic, event_id: `${i}` }));
  const problem = await problemIn(await server.post({ events }, withKey('shop')), 403, 'forbidden_topic');
  assert.deepEqual(problem.errors?.map(({ index, field }) => [index, field]), [[2, 'topic'], [4, 'topic']]); // prettier-ignore
  assert.match(problem.detail, /^event 2, topic: .*shop.*"orders".*first of 2 errors.*nothing was stored$/);
  await problemIn(await server.post(events[4], withKey('shop')), 403, 'forbidden_topic');
  const many = manyEvents(150, () => ({ topic: 'other' }));
  const { errors, detail } = await problemIn(await server.post(many.length === 0 ? {} : { events: many }, withKey('shop')), 403, 'forbidden_topic'); // prettier-ignore
  assert.equal(errors?.length, 100);
  assert.match(detail, /first of 150/);
  const stats = (await (await ask(server, '/stats', 'read')).json()) as StatsAnswer;
  assert.deepEqual([stats.received, stats.unique_processed, stats.topics], [0, 0, []]);
  const allowed = await server.post({ events: [events[0], events[1], events[3]] }, withKey('shop'));
  assert.equal(((await allowed.json()) as { accepted: number }).accepted, 3);
});
