import type { EventStore, StoreStats } from '../store/event-store.ts';
import { type Exposition, labels } from './exposition.ts';
import { Paced } from './paced.ts';
import type { Section } from './section.ts';

/** What the topics of one pattern hold together. */
interface TopicsFigures {
  readonly labels: string;
  readonly accepted: number;
  readonly kept: number;
  readonly keptBytes: number;
}

interface Found {
  readonly stats: StoreStats;
  readonly topics: readonly TopicsFigures[];
}

const SHARED = 'The same from every process on this store: take the maximum, not the sum.';

const GAUGES: readonly [name: string, help: string, value: (stats: StoreStats) => number | null][] = [
  ['chronicleweaver_store_last_offset', 'The highest offset of the log.', ({ lastOffset }) => lastOffset],
  [
    'chronicleweaver_store_keys',
    'Event ids that are known, each for one event.',
    ({ accepted, forgotten }) => accepted - forgotten,
  ],
  ['chronicleweaver_store_topics', 'Topics that were ever seen.', ({ topics }) => topics.length],
  [
    'chronicleweaver_store_bytes',
    'Bytes of the store on its disk, the write-ahead log of a file included.',
    ({ storedBytes }) => storedBytes,
  ],
  [
    'chronicleweaver_store_wal_bytes',
    'Bytes of the write-ahead log of a store in a file.',
    ({ walBytes }) => walBytes,
  ],
];

const TOPICS_GAUGES: readonly [name: string, help: string, value: (topics: TopicsFigures) => number][] = [
  [
    'chronicleweaver_topics_kept_events',
    'Events that are kept on the topics of a pattern in METRICS_TOPICS.',
    ({ kept }) => kept,
  ],
  [
    'chronicleweaver_topics_kept_bytes',
    'Bytes of the texts of these events, uncompressed.',
    ({ keptBytes }) => keptBytes,
  ],
];

/** What the store holds, for all processes on it. */
export class StoreFigures implements Section {
  readonly part = 'store';
  readonly #paced: Paced<Found>;
  #found: Found | null = null;

  /** @param patterns of topics that get figures of their own */
  constructor(store: EventStore, patterns: readonly string[]) {
    this.#paced = new Paced(async () => ({
      stats: await store.stats(),
      topics: await Promise.all(patterns.map((pattern) => topicsFigures(store, pattern))),
    }));
  }

  async read(): Promise<boolean> {
    this.#found = await this.#paced.value();
    return this.#found !== null;
  }

  write(out: Exposition): void {
    const { stats, topics } = this.#found!;
    const { accepted, duplicates, conflicts } = stats;
    out.counter(
      'chronicleweaver_store_events_total',
      `Events of all time by verdict, as durable as they are. ${SHARED}`,
      [
        [labels({ verdict: 'accepted' }), accepted],
        [labels({ verdict: 'duplicate' }), duplicates - conflicts],
        [labels({ verdict: 'conflict' }), conflicts],
      ],
    );
    for (const [name, help, value] of GAUGES) {
      const number = value(stats);
      if (number !== null) out.gauge(name, `${help} ${SHARED}`, number);
    }
    if (topics.length === 0) return;
    out.counter(
      'chronicleweaver_topics_accepted_events_total',
      `Events ever accepted on the topics of a pattern in METRICS_TOPICS. ${SHARED}`,
      topics.map((one) => [one.labels, one.accepted]),
    );
    for (const [name, help, value] of TOPICS_GAUGES) {
      out.gauge(
        name,
        `${help} ${SHARED}`,
        topics.map((one) => [one.labels, value(one)]),
      );
    }
  }
}

async function topicsFigures(store: EventStore, pattern: string): Promise<TopicsFigures> {
  let [accepted, kept, keptBytes] = [0, 0, 0];
  for (const { events, expired, bare, bytes } of await store.topics({ topicPatterns: [[pattern]] })) {
    accepted += events + expired + bare;
    kept += events;
    keptBytes += bytes;
  }
  return { labels: labels({ topics: pattern }), accepted, kept, keptBytes };
}
