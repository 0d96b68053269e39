import assert from 'node:assert/strict';
import { copyFileSync, existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Event } from '@chronicleweaver/protocol';
import { ACCEPTED, CONFLICT, DUPLICATE, type TopicFilter } from '../../src/store/event-store.ts';
import { type FileShape, type OpenFile, openFile } from '../../src/store/sqlite/open-file.ts';
import { Reader } from '../../src/store/sqlite/read.ts';
import { batchOf, eventWith } from './events.ts';

/** Sizes with which a few thousand events go through every step of sealing and merging, three levels deep. */
export const SMALL: FileShape = {
  index: { hotKeysMax: 16, baseBits: 1 },
  log: { eventsMax: 40, bytesMax: 5000, mergedAtOnceBytesMin: 4000, freshBlocksMax: 12 },
  keyBits: 128,
};

/** Appends drawn from a seed and checked against a plain Map: the expected log, and a check of every verdict. */
export class Model {
  readonly log: Event[] = [];
  readonly #offsets = new Map<string, number>();
  readonly #random: (below: number) => number;
  readonly #topics: number;
  #made = 0;
  #received = 0;
  #conflicts = 0;

  constructor(seed: number, topics: number) {
    this.#topics = topics;
    let state = seed | 0;
    this.#random = (below) => {
      // Numerical Recipes' generator: the high bits are good enough to choose by.
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
      return Math.floor(((state >>> 8) / 2 ** 24) * below);
    };
  }

  /** New events, and repeats of recent or older ones, some of them with a different payload. */
  batch(count: number): Event[] {
    return Array.from({ length: count }, () => {
      const choice = this.#random(10);
      if (this.log.length === 0 || choice < 7) {
        const id = this.#made++;
        return eventWith({
          event_id: `id-${id}`,
          topic: `t${this.#random(this.#topics)}`,
          payload: { n: id },
        });
      }
      const reach = choice === 7 ? Math.min(20, this.log.length) : this.log.length;
      const event = this.log[this.log.length - 1 - this.#random(reach)]!;
      return choice === 9 ? { ...event, payload: { other: this.#made } } : event;
    });
  }

  append(file: OpenFile, events: Event[]): void {
    const { verdicts, offsets } = file.appender.append(batchOf(...events));
    this.#received += events.length;
    this.#conflicts += verdicts.filter((verdict) => verdict === CONFLICT).length;
    for (const [i, event] of events.entries()) {
      const key = JSON.stringify([event.topic, event.event_id]);
      const first = this.#offsets.get(key);
      if (first === undefined) {
        assert.equal(verdicts[i], ACCEPTED, `${key} is new`);
        this.log.push(event);
        this.#offsets.set(key, this.log.length);
        assert.equal(offsets[i], this.log.length);
      } else {
        const isSame = JSON.stringify(this.log[first - 1]!.payload) === JSON.stringify(event.payload);
        assert.equal(verdicts[i], isSame ? DUPLICATE : CONFLICT, `${key} is at ${first}`);
        assert.equal(offsets[i], first);
      }
    }
  }

  /** Asserts that a reader of the file sees the right books and the right counts of every topic. */
  assertBooks({ db }: OpenFile): void {
    const reader = new Reader(db);
    const accepted = this.log.length;
    assert.deepEqual(
      { ...reader.stats(), topics: [] },
      {
        received: this.#received,
        accepted,
        duplicates: this.#received - accepted,
        conflicts: this.#conflicts,
        expired: 0,
        bare: 0,
        forgotten: 0,
        firstOffset: accepted === 0 ? 0 : 1,
        lastOffset: accepted,
        topics: [],
      },
    );
    const counts = new Map<string, { topic: string; events: number; lastOffset: number }>();
    for (const [i, { topic }] of this.log.entries()) {
      counts.set(topic, { topic, events: (counts.get(topic)?.events ?? 0) + 1, lastOffset: i + 1 });
    }
    const names = [...counts.keys()].toSorted();
    assert.deepEqual(
      reader.topics({}).map(({ topic, events, lastOffset }) => ({ topic, events, lastOffset })),
      names.map((name) => counts.get(name)),
    );
  }

  get random(): (below: number) => number {
    return this.#random;
  }
}

/** Reads on from its position, keeping its connection as long as the file is the same, and keeps what it has read. */
export class Follower {
  readonly events: Record<string, unknown>[] = [];
  readonly #filter: TopicFilter;
  #db: DatabaseSync;
  #reader: Reader;
  #after = 0;

  constructor(path: string, filter: TopicFilter = {}) {
    this.#filter = filter;
    this.#db = new DatabaseSync(path, { readOnly: true });
    this.#reader = new Reader(this.#db);
  }

  goOnIn(path: string): void {
    this.#db.close();
    this.#db = new DatabaseSync(path, { readOnly: true });
    this.#reader = new Reader(this.#db);
  }

  /** Returns whether there is more. */
  readPage(eventsMax: number): boolean {
    const page = this.#reader.page({
      ...this.#filter,
      order: 'asc',
      after: this.#after,
      upTo: 1e9,
      eventsMax,
      framing: 'lines',
    });
    const lines = Buffer.from(page.bytes).toString().split('\n').slice(0, -1);
    this.events.push(...lines.map((line) => JSON.parse(line) as Record<string, unknown>));
    if (page.count > 0) this.#after = page.lastOffset;
    return page.resumeAfter !== null;
  }

  close(): void {
    this.#db.close();
  }
}

export function logOf(path: string, filter: TopicFilter = {}): Record<string, unknown>[] {
  const follower = new Follower(path, filter);
  try {
    while (follower.readPage(500));
    return follower.events;
  } finally {
    follower.close();
  }
}

export function assertSame(events: readonly Record<string, unknown>[], model: Model, topic?: string): void {
  const stored = events.map(({ received_at: _received, ...event }) => event);
  const log = model.log.map((event, i) => ({ ...event, offset: i + 1 }));
  assert.deepEqual(stored, topic === undefined ? log : log.filter((event) => event.topic === topic));
}

/** Without syncs: the copies of a killed file do not depend on them, and they would take most of the test's time. */
export function openSmall(path: string): OpenFile {
  const file = openFile(path, { shape: SMALL });
  file.db.exec('PRAGMA synchronous = OFF');
  return file;
}

/** Merges the oldest fresh blocks, or finishes a merge in progress. */
export function mergeOnce({ appender, log }: OpenFile): void {
  appender.transaction(() => log.mergeSome(Number.POSITIVE_INFINITY));
}

/** Copies the files as a kill at this moment would leave them, without a clean close. */
export function copyAsKilled(from: string, to: string): void {
  for (const suffix of ['', '-wal']) if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix);
}
