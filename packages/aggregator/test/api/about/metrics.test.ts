import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { Group } from '../../support/group.ts';
import { Policies } from '../../support/policies.ts';
import { TestClock } from '../../support/stores.ts';
import { ask, withKeys } from '../../support/keyed-server.ts';
import { scraped, seriesOf } from '../../support/metrics.ts';
import { Receiver } from '../../support/receiver.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer, problemIn, sharedServer } from '../../support/server.ts';
import { StreamReader } from '../../support/stream-reader.ts';
import { until } from '../../support/until.ts';
import { serverWith, settled, webhook } from '../../support/webhook.ts';

const service = sharedServer({ METRICS_TOPICS: 'metered.*, payments' });

test('the page comes in the format that Accept prefers, with the same series [MET-1]', async () => {
  const { url } = service();
  const text = await fetch(`${url}/metrics`);
  assert.equal(text.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const open = await fetch(`${url}/metrics`, { headers: { accept: 'application/openmetrics-text' } });
  assert.equal(
    open.headers.get('content-type'),
    'application/openmetrics-text; version=1.0.0; charset=utf-8',
  );
  const [inText, inOpen] = [await text.text(), await open.text()];
  assert.ok(inOpen.endsWith('# EOF\n') && !inText.includes('# EOF'));
  assert.deepEqual([...seriesOf(inOpen).keys()], [...seriesOf(inText).keys()]);
});

test('every figure says whether it is of the process or of the store [MET-2]', async () => {
  const { text } = await scraped(service().url);
  const helps = [...text.matchAll(/^# HELP (chronicleweaver_\S+) (.*)$/gm)];
  assert.ok(helps.length > 30, `${helps.length}`);
  for (const [, name, help] of helps) {
    if (/_(build_info|metrics_part_up)$/.test(name!)) continue;
    const isShared = /^chronicleweaver_(store|topics|groups?)(_|$)/.test(name!);
    assert.equal(help!.includes('The same from every process on this store'), isShared, name!);
    if (!isShared) assert.match(help!, /this process/, name!);
  }
});

test('each event counts once by its verdict, in the process and in the store [MET-2, MET-3]', async (t) => {
  const server = await TestServer.start(t);
  const [first, second, third] = manyEvents(3);
  await server.publish(first!, second!, third!);
  await server.publish(first!, { ...second!, source: 'other' });
  const verdicts = (series: Map<string, number>, name: string) =>
    ['accepted', 'duplicate', 'conflict'].map((one) =>
      series.get(`chronicleweaver_${name}{verdict="${one}"}`),
    );
  const { series } = await scraped(server.url);
  assert.deepEqual(verdicts(series, 'events_total'), [3, 1, 1]);
  assert.deepEqual(verdicts(series, 'store_events_total'), [3, 1, 1]);
  assert.equal(series.get('chronicleweaver_store_keys'), 3);
  assert.equal(series.get('chronicleweaver_store_last_offset'), 3);
  assert.equal(series.get('chronicleweaver_commit_events_count'), 2);
  assert.equal(series.get('chronicleweaver_commit_events_sum'), 5);
  for (const name of ['commit', 'sync']) {
    assert.equal(series.get(`chronicleweaver_${name}_duration_seconds_count`), 2, name);
    assert.ok(series.get(`chronicleweaver_${name}_duration_seconds_sum`)! > 0, name);
  }

  await server.restart();
  const { series: restarted } = await scraped(server.url);
  assert.deepEqual(verdicts(restarted, 'events_total'), [0, 0, 0]);
  assert.deepEqual(verdicts(restarted, 'store_events_total'), [3, 1, 1]);
});

test('each answer to a publish counts by its status, and each refusal by its code [MET-3]', async (t) => {
  const server = await TestServer.start(t);
  await server.post(eventWith());
  await server.post('{');
  await server.post(eventWith(), { 'content-type': 'text/plain' });
  await server.post({ events: [{}] });
  for (const path of ['/nothing', '/events/a/%ff', '/events?limit=0']) await fetch(server.url + path);
  await exchange(server.url, 'no HTTP\r\n\r\n');
  await exchange(server.url, requestText('CONNECT a:1'));
  const { series } = await scraped(server.url);
  const counted = (name: string) =>
    Object.fromEntries(
      [...series]
        .filter(([key, value]) => key.startsWith(`chronicleweaver_${name}{`) && value > 0)
        .map(([key, value]) => [/="(.*)"/.exec(key)![1], value]),
    );
  assert.deepEqual(counted('publish_requests_total'), { 200: 1, 400: 1, 415: 1, 422: 1 });
  assert.deepEqual(counted('refusals_total'), {
    invalid_json: 1,
    unsupported_media_type: 1,
    invalid_event: 1,
    not_found: 1,
    invalid_request: 2,
    invalid_parameter: 1,
    method_not_allowed: 1,
  });
  assert.equal(series.get('chronicleweaver_publish_duration_seconds_count'), 4);
  assert.ok(series.get('chronicleweaver_publish_duration_seconds_sum')! > 0);
});

test('queue and followers are shown with their bounds, and how far the slowest follower is behind', async (t) => {
  const server = await TestServer.start(t, {
    QUEUE_EVENTS_MAX: '11',
    QUEUE_BYTES_MAX: '12',
    FOLLOWERS_MAX: '13',
  });
  const reader = await StreamReader.open(`${server.url}/events/stream`);
  t.after(() => reader.cut());
  await until(
    () => 'one follower that has seen everything',
    async () => {
      const { series } = await scraped(server.url);
      return (
        series.get('chronicleweaver_followers') === 1 &&
        series.get('chronicleweaver_followers_behind_offsets') === 0
      );
    },
  );
  const { series } = await scraped(server.url);
  const shown = (name: string) => series.get(`chronicleweaver_${name}`);
  assert.deepEqual(
    ['queue_events', 'queue_limit_events', 'queue_bytes', 'queue_limit_bytes', 'followers_limit'].map(shown),
    [0, 11, 0, 12, 13],
  );
});

test('a group shows what it has to do, and how old the oldest event is that it has not done [MET-5]', async () => {
  const server = service();
  const group = new Group(server.url, 'g.1');
  await group.make({ topics: ['worked'], max_deliveries: 1 });
  const figures = async () => {
    const { series } = await scraped(server.url);
    const shown = (name: string) => series.get(`chronicleweaver_group_${name}{group="g.1"}`)!;
    return { shown, age: shown('oldest_unacknowledged_age_seconds') };
  };
  assert.equal((await figures()).age, 0);
  const [done, ...rest] = manyEvents(4, () => ({ topic: 'worked' }));
  await server.publish(done!);
  await sleep(50);
  const publishedMs = Date.now();
  await server.publish(...rest);
  const [one, two, three] = await group.pull({ max: 3 });
  await group.acknowledge([one!]);
  await group.giveBack([two!]);
  assert.ok(three);
  await until(
    () => 'the figures of a look after the steps',
    async () => (await figures()).shown('dead_events') === 1,
  );
  const { shown, age } = await figures();
  const names = ['lag', 'in_flight', 'returned', 'dead', 'expired'].map((name) => `${name}_events`);
  assert.deepEqual(names.map(shown), [2, 1, 0, 1, 0]);
  assert.deepEqual(
    ['deliveries_total', 'redeliveries_total', 'acknowledged_events_total'].map(shown),
    [3, 0, 1],
  );
  assert.ok(age > 0 && age <= (Date.now() - publishedMs) / 1000 + 0.001, `${age}`);
});

test('attempts to send to a webhook count by their outcome, and a group shows that it fails', async (t) => {
  let isTaken = false;
  const receiver = await Receiver.start(t, () => (response) => response.writeHead(isTaken ? 204 : 500).end());
  const server = await serverWith(t);
  const group = await webhook(server, receiver.url, { max_deliveries: 1000 });
  await server.publish(eventWith());
  const attempts = (series: Map<string, number>, outcome: string) =>
    series.get(`chronicleweaver_webhook_attempts_total{outcome="${outcome}"}`)!;
  const failing = (series: Map<string, number>) =>
    series.get('chronicleweaver_group_webhook_failing{group="hook"}');
  await until(
    () => 'a refused attempt',
    async () => {
      const { series } = await scraped(server.url);
      return attempts(series, 'refused') > 0 && failing(series) === 1;
    },
  );
  isTaken = true;
  await settled(group, 1);
  await until(
    () => 'no failure',
    async () => failing((await scraped(server.url)).series) === 0,
  );
  const { series } = await scraped(server.url);
  assert.deepEqual([attempts(series, 'taken'), attempts(series, 'unanswered')], [1, 0]);
});

test('no topic is a label, but patterns in METRICS_TOPICS have figures together [MET-4]', async () => {
  const server = service();
  const topics = ['metered.eu', 'metered.us', 'metered.eu.paid', 'payments', 'a "quoted"\ntopic'];
  await server.publish(...manyEvents(topics.length, (i) => ({ topic: topics[i]! })));
  let { text, series } = await scraped(server.url);
  // A scrape may be told what was found for the one before it.
  await until(
    () => 'figures of the new topics',
    async () => {
      ({ text, series } = await scraped(server.url));
      return series.get('chronicleweaver_topics_accepted_events_total{topics="metered.*"}') === 2;
    },
  );
  assert.equal(series.get('chronicleweaver_topics_kept_events{topics="payments"}'), 1);
  assert.ok(series.get('chronicleweaver_store_topics')! >= 5);
  assert.doesNotMatch(text, /metered\.eu|quoted/);
});

test('a policy has figures: what it let go of, what is due, and who holds it up since when [MET-8]', async (t) => {
  const clock = new TestClock(Date.parse('2026-01-01T00:00:00Z'));
  const store = new MemoryStore(clock.now);
  const server = await TestServer.startOn(t, () => store, {}, {}, { now: clock.now, tickMs: 5 });
  await server.publish(...manyEvents(4));
  await new Group(server.url, 'slow').make({ start: 3 });
  const policies = new Policies(server);
  clock.ms += 60_000;
  await policies.put('short', { topics: ['orders'], max_age: '30s', ids: '45s' });
  await policies.put('other', { topics: ['bills'], max_age: '1h' });
  const figure = async (name: string, labels = 'policy="short"') =>
    (await scraped(server.url)).series.get(`chronicleweaver_${name}{${labels}}`);
  await until(
    () => 'the ids are forgotten',
    async () => (await figure('retention_forgotten_ids_total')) === 2,
  );
  const held = 'policy="short",group="slow"';
  assert.equal(await figure('retention_expired_events_total'), 2);
  assert.ok((await figure('retention_expired_bytes_total'))! > 0);
  assert.equal(await figure('retention_due_events'), 2);
  assert.equal(await figure('retention_held_events', held), 2);
  const since = await figure('retention_held_since_timestamp_seconds', held);
  assert.equal(since, Date.parse('2026-01-01T00:00:30Z') / 1000);
  assert.equal(await figure('retention_expired_events_total', 'policy="other"'), 0);
  await until(
    () => 'the keys that are left',
    async () => (await scraped(server.url)).series.get('chronicleweaver_store_keys') === 2,
  );
  // A change of the policy does not begin its counts anew, and what nobody holds any more is not told.
  await policies.put('short', { topics: ['orders'], max_age: '30s', past_groups: true });
  await until(
    () => 'all have expired',
    async () => (await figure('retention_expired_events_total')) === 4,
  );
  assert.deepEqual([await figure('retention_held_events', held), await figure('retention_due_events')], [undefined, 0]); // prettier-ignore
  await policies.delete('short');
  await until(
    () => 'the policy is gone',
    async () => (await figure('retention_due_events')) === undefined,
  );
});

test('metrics take a key with the scope read or admin, and without topics [MET-1, KEY-3, KEY-4]', async (t) => {
  const { server } = await withKeys(t, {
    reader: { scopes: ['read'] },
    admin: { scopes: ['admin'] },
    publisher: { scopes: ['publish'] },
    some: { scopes: ['read'], topics: ['orders.>'] },
  });
  const statuses = ['reader', 'admin', 'publisher', 'some', undefined].map(
    async (key) => (await ask(server, '/metrics', key)).status,
  );
  assert.deepEqual(await Promise.all(statuses), [200, 200, 403, 403, 401]);
  const { detail } = await problemIn(await ask(server, '/metrics', 'some'), 403, 'forbidden');
  assert.match(detail, /topics/);
});

test('a port of its own tells the metrics to everyone, and nothing else [MET-7, ERR-4]', async (t) => {
  const { server } = await withKeys(t, { reader: { scopes: ['read'] } }, { METRICS_PORT: '0' });
  const { metricsUrl } = server;
  const { series } = await scraped(metricsUrl);
  assert.ok(series.has('chronicleweaver_queue_events'));
  const head = await fetch(`${metricsUrl}/metrics`, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
  await problemIn(await fetch(`${metricsUrl}/stats`), 404, 'not_found');
  const odd = await problemIn(await fetch(`${metricsUrl}/metrics?x=1`), 422, 'invalid_parameter');
  assert.deepEqual(odd.errors, [{ index: null, field: 'x', message: 'unknown parameter: this takes none' }]);
  const refused = await fetch(`${metricsUrl}/metrics`, { method: 'POST', body: 'x' });
  assert.equal(refused.headers.get('allow'), 'GET, HEAD');
  await problemIn(refused, 405, 'method_not_allowed');
  assert.equal((await ask(server, '/metrics')).status, 401);
});

test('what the store cannot tell is left out, and the page says so [MET-6]', async (t) => {
  class Silent extends MemoryStore {
    override stats(): never {
      throw new Error('the database does not answer');
    }
  }
  const server = await TestServer.startOn(t, () => new Silent());
  const { text, series } = await scraped(server.url);
  assert.equal(series.get('chronicleweaver_metrics_part_up{part="store"}'), 0);
  assert.equal(series.get('chronicleweaver_metrics_part_up{part="groups"}'), 1);
  assert.doesNotMatch(text, /chronicleweaver_store_/);
  assert.ok(series.has('chronicleweaver_queue_events'));
});
