import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import type { Event, PublishAnswer, StoredEvent } from '@chronicleweaver/protocol';
import { type AggregatorProcess, Site, assertBalanced } from '../lab/aggregator-process.ts';
import { type Program, until } from '../lab/program.ts';
import { type SeededRandom, withSeedOf } from '../lab/random.ts';

const PUBLISHER = fileURLToPath(new URL('../packages/publisher/src/main.ts', import.meta.url));

/** The events of a run. CRASH_EVENTS=600000 also crashes the service once keys were sealed and merged. */
const COUNT = Number(process.env['CRASH_EVENTS'] || 4_000);
/** 400 requests: long enough for a crash to hit the middle. */
const BATCH_EVENTS = Math.ceil(COUNT / 400);
const RUN_MS = 60_000 + COUNT;
const TIMEOUT = { timeout: 3 * RUN_MS };
const RUN = [
  '--run-id=crash',
  `--count=${COUNT}`,
  `--batch-size=${BATCH_EVENTS}`,
  '--retry-seconds=30',
  '--json',
];

interface PublisherReport {
  outcome: string;
  unique_events: number;
  accepted: number;
  duplicates: number;
  retries: number;
}

const keyOf = ({ topic, event_id }: { topic: string; event_id: string }): string =>
  JSON.stringify([topic, event_id]);

function startPublisher(site: Site, port: number): Program {
  return site.run([process.execPath, PUBLISHER, '--host=127.0.0.1', `--port=${port}`, ...RUN]);
}

async function reportOf(publisher: Program): Promise<PublisherReport> {
  const { code } = await publisher.exit(RUN_MS);
  assert.equal(code, 0, publisher.printed());
  return JSON.parse(publisher.stdout) as PublisherReport;
}

/** Returns when some of the run is stored, but not yet all. */
async function inTheMiddle(aggregator: AggregatorProcess, publisher: Program): Promise<void> {
  await until(
    () => `the middle of the run\n${publisher.printed()}`,
    async () => {
      const { received } = await aggregator.stats();
      assert.ok(received < COUNT * 0.9, 'the run ended before it could be interrupted');
      return received > COUNT * 0.3;
    },
  );
}

/** All events by key, each checked to occur once and in order. */
async function eventsOnce(aggregator: AggregatorProcess): Promise<Map<string, StoredEvent>> {
  const { count, events } = await aggregator.events();
  assert.equal(events.length, count);
  const byKey = new Map<string, StoredEvent>();
  let last = 0;
  for (const event of events) {
    assert.ok(event.offset > last, `offset ${event.offset} comes after ${last}`);
    last = event.offset;
    byKey.set(keyOf(event), event);
  }
  assert.equal(byKey.size, count, 'an event is stored more than once');
  return byKey;
}

/** The same, and checks that the books agree; only while nothing is under way. */
async function storedOnce(aggregator: AggregatorProcess): Promise<Map<string, StoredEvent>> {
  const byKey = await eventsOnce(aggregator);
  const stats = await aggregator.stats();
  assertBalanced(stats);
  assert.equal(stats.unique_processed, byKey.size);
  return byKey;
}

function assertUnmoved(
  before: ReadonlyMap<string, StoredEvent>,
  now: ReadonlyMap<string, StoredEvent>,
): void {
  for (const [key, event] of before) assertSame(now.get(key), event);
}

test(
  'a publisher that retries through a crash of the service gets each event stored once, at the offset of its verdict [P-1, P-2, P-5, PUB-10]',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const first = await site.startOnFixedPort();
    const publisher = startPublisher(site, first.port);
    await inTheMiddle(first, publisher);
    const seen = await eventsOnce(first);
    await first.kill();
    await sleep(300);
    assert.ok(!publisher.hasExited, publisher.printed());

    const second = await site.start({ settings: { APP_PORT: String(first.port) } });
    const report = await reportOf(publisher);
    assert.equal(report.outcome, 'PASS', publisher.stdout);
    assert.ok(report.retries > 0, 'the publisher did not notice the crash');
    const stored = await storedOnce(second);
    assert.equal(stored.size, report.unique_events);
    assertUnmoved(seen, stored);

    const again = await reportOf(startPublisher(site, first.port));
    assert.equal(again.outcome, 'PASS');
    assert.equal(again.accepted, 0, 'the same run stored events again');
    assert.equal(again.duplicates, COUNT);
    assertUnmoved(stored, await storedOnce(second));
    t.diagnostic(`${seen.size} of ${stored.size} events were stored at the crash, ${report.retries} retries`);
  },
);

test(
  'a publisher that is killed and restarted stores what was missing, and nothing twice [P-2, P-5]',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const aggregator = await site.start();
    const killed = startPublisher(site, aggregator.port);
    await inTheMiddle(aggregator, killed);
    await killed.kill();
    // Its last publishes may not be committed yet.
    const { commits } = await settled(aggregator);
    const seen = await storedOnce(aggregator);

    const report = await reportOf(startPublisher(site, aggregator.port));
    assert.equal(report.outcome, 'PASS');
    assert.equal(report.unique_events, report.accepted + seen.size);
    const stored = await storedOnce(aggregator);
    assert.equal(stored.size, report.unique_events);
    assertUnmoved(seen, stored);
    t.diagnostic(`${seen.size} of ${stored.size} events were stored by the first run, in ${commits} commits`);
  },
);

/** The books once they have not changed for a while. */
async function settled(aggregator: AggregatorProcess) {
  let stats = await aggregator.stats();
  await until(
    () => 'books that no longer change',
    async () => {
      const { received } = stats;
      await sleep(100);
      stats = await aggregator.stats();
      return stats.received === received;
    },
  );
  return stats;
}

/** Like assert's deepEqual, which is slow and only used to show the difference. */
function assertSame(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) assert.deepEqual(actual, expected);
}

const ROUNDS = 5;
const PUBLISHERS = 4;

test(
  `every acknowledged event survives ${ROUNDS} crashes, with its offset and payload [P-1, P-2, P-3, P-4]`,
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const acknowledged = new Map<string, { event: Event; offset: number }>();
    /** Publishes that got no answer: they may be stored whole or not at all, and are sent again. */
    let unanswered: Event[][] = [];
    let nextId = 0;

    const nextBatch = (random: SeededRandom, round: number): Event[] => {
      const batchEvents = random.whole(0, 1) === 0 ? 1 : random.whole(2, 60);
      return Array.from({ length: batchEvents }, () => {
        const id = nextId++;
        return {
          event_id: `event-${id}`,
          topic: `topic-${random.whole(0, 3)}`,
          source: `round-${round}`,
          payload: { message: `message ${id}`, filler: 'x'.repeat(random.whole(0, 400)), n: id },
          timestamp: new Date(1_761_645_600_000 + id).toISOString(),
        };
      });
    };

    await withSeedOf('CRASH_SEED', async (random) => {
      for (let round = 1; round <= ROUNDS; round++) {
        const aggregator = await site.start();
        await checkAfterCrash(aggregator);

        const toRetry = unanswered;
        unanswered = [];
        const publisher = async (): Promise<void> => {
          for (;;) {
            const events = toRetry.pop() ?? nextBatch(random, round);
            let answer: PublishAnswer;
            try {
              answer = await aggregator.publish(...events);
            } catch (error) {
              // An answer other than 200 is no crash.
              if (error instanceof assert.AssertionError) throw error;
              unanswered.push(events);
              return;
            }
            for (const [i, { offset, event_id, verdict }] of answer.results!.entries()) {
              const event = events[i]!;
              assert.equal(event_id, event.event_id);
              assert.notEqual(verdict, 'conflict');
              acknowledged.set(keyOf(event), { event, offset });
            }
          }
        };
        const publishers = Promise.all(Array.from({ length: PUBLISHERS }, publisher));
        await Promise.race([sleep(random.whole(5, 400)), publishers]);
        await aggregator.kill();
        await publishers;
        // A publish whose retry was not reached in this round is owed to the next.
        unanswered.push(...toRetry);
      }
      const last = await site.start();
      await checkAfterCrash(last);
      for (const events of unanswered) await last.publish(...events);
      assert.equal((await storedOnce(last)).size, nextId);
      t.diagnostic(`${acknowledged.size} of ${nextId} events were acknowledged, in ${ROUNDS} rounds`);
    });

    async function checkAfterCrash(aggregator: AggregatorProcess): Promise<void> {
      const stored = await storedOnce(aggregator);
      for (const [key, { event, offset }] of acknowledged) {
        const { received_at: _, ...found } = stored.get(key) ?? assert.fail(`${key} is lost`);
        assertSame(found, { ...event, offset });
      }
      for (const events of unanswered) {
        const found = events.filter((event) => stored.has(keyOf(event))).length;
        assert.ok(
          found === 0 || found === events.length,
          `${found} of a batch of ${events.length} are stored`,
        );
      }
    }
  },
);
