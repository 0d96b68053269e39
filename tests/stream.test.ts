import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import type { Event, StoredEvent } from '@chronicleweaver/protocol';
import { EventSourcePolyfill } from 'event-source-polyfill';
import { EventSource } from 'eventsource';
import { StreamReader } from '../packages/aggregator/test/support/stream-reader.ts';
import { type AggregatorProcess, Site } from '../lab/aggregator-process.ts';
import { type Program, until } from '../lab/program.ts';
import { type SeededRandom, withSeedOf } from '../lab/random.ts';

/** Events published while followers come and go. STREAM_EVENTS=200000 makes it a long run. */
const COUNT = Number(process.env['STREAM_EVENTS'] || 2_000);
const FOLLOWERS = 8;
const TIMEOUT = { timeout: 60_000 + COUNT };

const TOPICS = ['orders.eu', 'orders.us', 'orders.eu.paid', 'payments.eu', 'audit'] as const;

/** What followers ask for, and the topics that this means. */
const ASKED = [
  ['', TOPICS],
  ['topic=audit', ['audit']],
  ['topic=orders.*', ['orders.eu', 'orders.us']],
  ['topic=orders.%3E&topic=*.eu', ['orders.eu', 'orders.us', 'orders.eu.paid', 'payments.eu']],
] as const satisfies readonly (readonly [string, readonly string[]])[];

function eventOf(random: SeededRandom, id: number): Event {
  return {
    event_id: `e-${id}`,
    topic: random.of(TOPICS),
    source: 'test',
    payload: { text: 'x'.repeat(random.chance(0.02) ? 30_000 : random.whole(0, 200)) },
    timestamp: '2025-10-28T10:00:00Z',
  };
}

/** Publishes in batches of any size, as fast as they are answered, and retries those without an answer. */
async function publishAll(aggregator: () => AggregatorProcess, random: SeededRandom): Promise<void> {
  let sent = 0;
  while (sent < COUNT) {
    const count = Math.min(random.whole(1, 60), COUNT - sent);
    const from = sent;
    const events = Array.from({ length: count }, (_, i) => eventOf(random, from + i));
    sent += count;
    for (;;) {
      const response = await aggregator()
        .post({ events })
        .catch(() => null);
      if (response?.status === 200) break;
      await sleep(20);
    }
  }
}

/** The data of every stored event of these topics, as a follower gets it. */
async function storedTexts(aggregator: AggregatorProcess, topics: readonly string[]): Promise<string[]> {
  const headers = { accept: 'application/x-ndjson' };
  const text = await (await fetch(`${aggregator.url}/events`, { headers })).text();
  return text
    .trimEnd()
    .split('\n')
    .filter((line) => topics.includes((JSON.parse(line) as StoredEvent).topic));
}

/** Follows until it has the last event, cut off again and again on the way. Returns what it got. */
async function followWithCuts(
  url: string,
  query: string,
  isLast: (text: string | undefined) => boolean,
  random: SeededRandom,
): Promise<string[]> {
  const got: string[] = [];
  let lastEventId = '';
  for (;;) {
    const reader = await StreamReader.open(`${url}/events/stream?after=earliest&${query}`, {
      'last-event-id': lastEventId,
    });
    const patience = random.chance(0.5) ? random.whole(0, 40) : random.whole(0, 400);
    const enough = got.length + (random.chance(0.5) ? random.whole(0, 50) : COUNT);
    const cutAtMs = performance.now() + patience;
    let isDone = false;
    while (!isDone && performance.now() < cutAtMs && got.length + reader.texts.length < enough) {
      await sleep(random.whole(0, 5));
      isDone = isLast(reader.texts.at(-1));
    }
    await reader.cut();
    got.push(...reader.texts);
    lastEventId = reader.lastEventId;
    if (isDone || isLast(reader.texts.at(-1))) return got;
  }
}

test(
  'followers that are cut off at random under load get every event once, in order [STR-1, STR-4]',
  TIMEOUT,
  (t) =>
    withSeedOf('STREAM_SEED', async (random) => {
      const aggregator = await new Site(t).start();
      const publishing = publishAll(() => aggregator, random.fork(0)).then(() =>
        // One of each topic, so that every follower knows when it has all.
        aggregator.publish(...TOPICS.map((topic) => ({ ...eventOf(random, 0), event_id: 'last', topic }))),
      );
      const following = Array.from({ length: FOLLOWERS }, async (_, i) => {
        const [query, topics] = ASKED[i % ASKED.length]!;
        const last = topics.at(-1)!;
        const isLast = (text: string | undefined): boolean => {
          if (text === undefined) return false;
          const { event_id: id, topic } = JSON.parse(text) as Event;
          return id === 'last' && topic === last;
        };
        return { topics, got: await followWithCuts(aggregator.url, query, isLast, random.fork(1, i)) };
      });
      await publishing;
      for (const { topics, got } of await Promise.all(following)) {
        assert.deepEqual(got, await storedTexts(aggregator, topics));
      }
    }),
);

test(
  "npm's eventsource and curl reconnect after a kill -9 and miss nothing [STR-4, STR-10, P-1]",
  TIMEOUT,
  (t) =>
    withSeedOf('STREAM_SEED', async (random) => {
      const site = new Site(t);
      let aggregator = await site.startOnFixedPort();
      const url = `${aggregator.url}/events/stream?after=earliest`;
      const seen: string[] = [];
      const source = new EventSource(url);
      t.after(() => source.close());
      source.addEventListener('message', ({ data }) => seen.push(data as string));

      const lines: string[] = [];
      const curl = (): Program => {
        const { offset = 0 } = lines.length > 0 ? (JSON.parse(lines.at(-1)!) as StoredEvent) : {};
        return site.run(['curl', '-sN', '-H', `Last-Event-ID: ${offset}`, url], {}, (line) => {
          if (line.startsWith('data: ')) lines.push(line.slice('data: '.length));
        });
      };
      let following = curl();
      const publishing = publishAll(() => aggregator, random);
      await until(
        () => `some of the events, of which ${seen.length} and ${lines.length} came`,
        () => Math.min(seen.length, lines.length) > 0.3 * COUNT,
      );
      await aggregator.kill();
      await following.exit(30_000);
      aggregator = await site.start({ settings: { APP_PORT: new URL(url).port } });
      following = curl();
      await publishing;
      await until(
        () => `all events, of which ${seen.length} and ${lines.length} came`,
        () => seen.length >= COUNT && lines.length >= COUNT,
      );
      const stored = await storedTexts(aggregator, TOPICS);
      assert.equal(stored.length, COUNT);
      assert.deepEqual(seen, stored);
      assert.deepEqual(lines, stored);
    }),
);

test(
  "npm's event-source-polyfill reconnects after a restart, misses nothing and gets nothing twice [STR-3, STR-4]",
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    let aggregator = await site.startOnFixedPort();
    const ofRound = (round: number): Event[] =>
      Array.from({ length: 5 }, (_, i) => ({
        event_id: `${round}-${i}`,
        topic: 'orders.eu',
        source: 'test',
        payload: {},
        timestamp: '2025-10-28T10:00:00Z',
      }));
    await aggregator.publish(...ofRound(0));
    const seen: string[] = [];
    let opened = 0;
    const source = new EventSourcePolyfill(`${aggregator.url}/events/stream?after=earliest`);
    t.after(() => source.close());
    source.addEventListener('message', ({ data }) => seen.push(data));
    source.addEventListener('open', () => (opened += 1));
    const seenToBe = (count: number) =>
      until(
        () => `${count} events, of which ${seen.length} came`,
        () => seen.length >= count,
      );
    await seenToBe(5);
    for (const round of [1, 2]) {
      await aggregator.stop();
      aggregator = await site.start({ settings: { APP_PORT: String(aggregator.port) } });
      await aggregator.publish(...ofRound(round));
      await seenToBe(5 + 5 * round);
    }
    await aggregator.publish(...ofRound(3));
    await seenToBe(20);
    assert.deepEqual(seen, await storedTexts(aggregator, TOPICS));
    assert.equal(opened, 3);
  },
);
