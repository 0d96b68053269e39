import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { type AggregatorProcess, Site } from '../lab/aggregator-process.ts';

const MIB = 1024 * 1024;

/** LONG_READ_EVENTS=1000000 is the full measure; this part is still more than the bound below. */
const EVENTS = Number(process.env['LONG_READ_EVENTS'] || 52_000);
const BATCH_EVENTS = 1000;
/** How much the service's memory may grow during the answer, which is larger. */
const GROWTH_BYTES_MAX = 100 * MIB;

const OPTIONS = {
  timeout: 60_000 + EVENTS,
  skip: process.platform === 'linux' ? false : "a process's memory is read from /proc, which is Linux's",
};

function batch(first: number, count: number, topic: string): Event[] {
  return Array.from({ length: count }, (_, i) => ({
    event_id: `${topic}-${first + i}`,
    topic,
    source: 'web',
    payload: { message: `order ${first + i} placed: ${'x'.repeat(2000)}`, amount: (first + i) / 4 },
    timestamp: '2025-10-28T10:00:00Z',
  }));
}

test('everything is read from one snapshot in bounded memory [READ-2, P-4]', OPTIONS, async (t) => {
  const site = new Site(t);
  const filling = await site.start();
  const start = performance.now();
  let first = 0;
  const publisher = async (): Promise<void> => {
    while (first < EVENTS) {
      const count = Math.min(BATCH_EVENTS, EVENTS - first);
      first += count;
      await filling.publish(...batch(first - count, count, 'long'));
    }
  };
  await Promise.all([publisher(), publisher()]);
  const fillMs = performance.now() - start;
  t.diagnostic(`${EVENTS} events published in ${Math.round(fillMs)} ms`);
  await filling.stop();

  // A new process, so that the memory of publishing does not hide that of reading.
  const aggregator = await site.start();
  await aggregator.publish(...batch(0, BATCH_EVENTS, 'warm-up'));
  const stored = EVENTS + BATCH_EVENTS;
  assert.equal((await aggregator.events('?limit=1000')).count, 1000);

  await t.test('at full speed, during publishes', async (t) => {
    const done = new AbortController();
    const publishMeanwhile = async (): Promise<number> => {
      let published = 0;
      for (; !done.signal.aborted; published += 10) {
        await aggregator.publish(...batch(published, 10, 'meanwhile'));
        await sleep(10);
      }
      return published;
    };
    let publishing = Promise.resolve(0);
    const onBegin = (): void => {
      publishing = publishMeanwhile();
    };
    const { read, grewBytes } = await watchingMemory(aggregator, async () => {
      try {
        return await readAll(aggregator, { onBegin });
      } finally {
        done.abort();
        await publishing;
      }
    });
    const published = await publishing;
    t.diagnostic(`${MiB(read.bytes)} in ${Math.round(read.tookMs)} ms, memory grew by ${MiB(grewBytes)}`);
    // Events published after it began are in the log, but not in the answer.
    assertWhole(read, stored);
    assert.ok(published > 0, 'nothing was published meanwhile');
    assert.equal((await aggregator.stats()).unique_processed, stored + published);
    assert.ok(read.bytes > GROWTH_BYTES_MAX, 'the answer is too short to show anything');
    assert.ok(grewBytes < GROWTH_BYTES_MAX, `memory grew by ${MiB(grewBytes)}`);
  });

  await t.test('slowly, with pauses', async (t) => {
    const { read, grewBytes } = await watchingMemory(aggregator, () =>
      readAll(aggregator, { query: '?topic=long', pauses: { firstMs: 1500, ms: 10, everyBytes: 2 * MIB } }),
    );
    t.diagnostic(`${MiB(read.bytes)} in ${Math.round(read.tookMs)} ms, memory grew by ${MiB(grewBytes)}`);
    assertWhole(read, EVENTS);
    assert.ok(grewBytes < GROWTH_BYTES_MAX, `memory grew by ${MiB(grewBytes)}`);
  });
});

function MiB(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}

interface Read {
  /** The count at the beginning of the answer. */
  readonly announced: number;
  /** The number of events that followed. */
  readonly events: number;
  readonly bytes: number;
  readonly end: string;
  readonly tookMs: number;
}

function assertWhole(read: Read, events: number): void {
  assert.equal(read.announced, events);
  assert.equal(read.events, events);
  assert.equal(read.end, ']}');
}

interface ReadOptions {
  readonly query?: string;
  /** Called once, when the answer has begun. */
  readonly onBegin?: () => void;
  /** How the reader pauses: once at the beginning, and then repeatedly. */
  readonly pauses?: { readonly firstMs: number; readonly ms: number; readonly everyBytes: number };
}

/** Reads the answer of `GET /events`, a piece at a time; counts the events and checks their order, and keeps none. */
function readAll(
  aggregator: AggregatorProcess,
  { query = '', onBegin, pauses }: ReadOptions = {},
): Promise<Read> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const request = get(`${aggregator.url}/events${query}`, { agent: false }, (response) => {
      onBegin?.();
      let announced = -1;
      let events = 0;
      let bytes = 0;
      let lastOffset = 0;
      let pausedAtBytes = 0;
      let tail = '';
      response.setEncoding('latin1').on('data', (piece: string) => {
        const text = tail + piece;
        if (bytes === 0) announced = Number(/^\{"count":(\d+),"events":\[/.exec(text)?.[1] ?? -1);
        bytes += piece.length;
        let seenTo = 0;
        for (const match of text.matchAll(/"offset":(\d+),"received_at":/g)) {
          const offset = Number(match[1]);
          if (offset <= lastOffset) {
            request.destroy(new Error(`offset ${offset} comes after ${lastOffset}`));
            return;
          }
          lastOffset = offset;
          events += 1;
          seenTo = match.index + match[0].length;
        }
        // A match may begin in one piece and end in the next.
        tail = text.slice(Math.max(seenTo, text.length - 64));
        if (pauses !== undefined && (pausedAtBytes === 0 || bytes - pausedAtBytes > pauses.everyBytes)) {
          const pauseMs = pausedAtBytes === 0 ? pauses.firstMs : pauses.ms;
          pausedAtBytes = bytes;
          response.pause();
          setTimeout(() => response.resume(), pauseMs);
        }
      });
      response.once('error', reject);
      response.once('end', () =>
        resolve({ announced, events, bytes, end: tail.slice(-2), tookMs: performance.now() - start }),
      );
    });
    request.once('error', reject);
  });
}

/** Does the work and returns how much the service's memory grew at most meanwhile. */
async function watchingMemory<T>(
  aggregator: AggregatorProcess,
  work: () => Promise<T>,
): Promise<{ read: T; grewBytes: number }> {
  const before = residentBytes(aggregator);
  let most = before;
  const done = new AbortController();
  const watching = (async () => {
    while (!done.signal.aborted) {
      most = Math.max(most, residentBytes(aggregator));
      await sleep(20);
    }
  })();
  try {
    return { read: await work(), grewBytes: most - before };
  } finally {
    done.abort();
    await watching;
  }
}

function residentBytes({ program }: AggregatorProcess): number {
  const status = readFileSync(`/proc/${program.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}
