import type { EventBatch } from '../../event/event-batch.ts';
import type {
  AppendResult,
  Epoch,
  EventPage,
  EventStore,
  ExpiredEvent,
  PageQuery,
  PlacedPage,
  Snapshot,
  SnapshotQuery,
  StoreAbout,
  StoreStats,
  TopicFilter,
  TopicSummary,
} from '../event-store.ts';
import type { AuditStore } from '../audit-store.ts';
import type { GroupNews } from '../group-news.ts';
import type { GroupStore, OutcomesOf, Step } from '../group-store.ts';
import type { News, NewsListener } from '../news.ts';
import type { RepeatStore } from '../repeat-store.ts';
import type { RetentionStore } from '../retention-store.ts';
import type { SourceStore } from '../source-store.ts';
import { Watchers } from '../watchers.ts';
import { MemoryStore, closed } from './store.ts';

/** How late news of other instances may be, in turns of the event loop; each delay is drawn at random. */
const LATE_TURNS_MAX = 4;

/**
 * The reference as many processes would see it: instances on one truth, each with its own view of the news. An
 * instance hears of its own doings at once. News of the others comes late, without events, sometimes several commits
 * in one piece and sometimes twice. So tests show what followers, groups and webhooks must cope with before there is
 * a store for many processes.
 */
export class ManyInstances {
  readonly #truth: MemoryStore;
  readonly #chance: () => number;

  /**
   * @param chance draws numbers from 0 to 1, excluding 1
   * @param now the clock, milliseconds since 1970
   */
  constructor(chance: () => number = Math.random, now: () => number = Date.now) {
    this.#truth = new MemoryStore(now);
    this.#chance = chance;
  }

  /** Opens the store as another process would. */
  open(): EventStore {
    return new Instance(this.#truth, this.#chance);
  }
}

class Instance implements EventStore {
  readonly #truth: MemoryStore;
  readonly #chance: () => number;
  readonly #watchers = new Watchers<News>();
  readonly #groupWatchers = new Watchers<GroupNews>();
  readonly #stopWatching: readonly (() => void)[];
  readonly groupsAtOnce: number = 1;
  readonly groups: GroupStore;
  /** This instance is at work: news that arrives meanwhile is of its own doing. */
  #own = false;
  #isClosed = false;

  constructor(truth: MemoryStore, chance: () => number) {
    this.#truth = truth;
    this.#chance = chance;
    this.groups = {
      apply: async <const S extends readonly Step[]>(steps: S): Promise<OutcomesOf<S>> => {
        await this.#turns(this.#drawn(LATE_TURNS_MAX));
        return this.#asOwn(() => truth.groups.apply(steps));
      },
      watch: (listener) => this.#groupWatchers.add(listener),
    };
    this.#stopWatching = [
      truth.watch(truth.lastOffset, (news) => this.#heard(news)),
      truth.groups.watch((news) => {
        if (this.#own) this.#groupWatchers.tell(news);
        else this.#later(() => this.#groupWatchers.tell(news));
      }),
    ];
  }

  get about(): StoreAbout {
    return this.#truth.about;
  }

  get epochs(): readonly Epoch[] {
    return this.#truth.epochs;
  }

  get audit(): AuditStore {
    return this.#truth.audit;
  }

  get repeats(): RepeatStore {
    return this.#truth.repeats;
  }

  get retention(): RetentionStore {
    return this.#truth.retention;
  }

  get sources(): SourceStore {
    return this.#truth.sources;
  }

  async append(batches: readonly EventBatch[]): Promise<AppendResult[]> {
    await this.probe();
    await this.#turns(this.#drawn(LATE_TURNS_MAX));
    return this.#asOwn(() => this.#truth.append(batches));
  }

  async probe(): Promise<void> {
    if (this.#isClosed) throw closed();
  }

  snapshot(query: SnapshotQuery): Promise<Snapshot> {
    return this.#truth.snapshot(query);
  }

  read(query: PageQuery): Promise<EventPage> {
    return this.#truth.read(query);
  }

  readAt(offsets: Float64Array): Promise<PlacedPage> {
    return this.#truth.readAt(offsets);
  }

  countAt(offsets: Float64Array, filter: TopicFilter): Promise<number> {
    return this.#truth.countAt(offsets, filter);
  }

  find(topic: string, eventId: string): Promise<string | ExpiredEvent | undefined> {
    return this.#truth.find(topic, eventId);
  }

  topics(filter?: TopicFilter): Promise<TopicSummary[]> {
    return this.#truth.topics(filter);
  }

  stats(): Promise<StoreStats> {
    return this.#truth.stats();
  }

  watch(after: number, listener: NewsListener): () => void {
    const { lastOffset } = this.#truth;
    if (lastOffset > after) listener({ after, lastOffset, events: null });
    return this.#watchers.add(listener);
  }

  /** The other instances continue; only this one hears and accepts nothing more. */
  watchEpochs(): () => void {
    return this.#truth.watchEpochs();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stop of this.#stopWatching) stop();
  }

  #heard(news: News): void {
    if (this.#own) {
      this.#watchers.tell(news);
      return;
    }
    this.#later(() => {
      // A late look sees how far the log reaches by then.
      const { lastOffset } = this.#truth;
      const isSkipping = this.#drawn(2) === 0;
      this.#watchers.tell({
        after: news.after,
        lastOffset: isSkipping ? lastOffset : news.lastOffset,
        events: null,
      });
      if (this.#drawn(3) === 0) this.#watchers.tell({ ...news, events: null });
    });
  }

  /** The reference finishes its work before its first await, so no other instance can be at work meanwhile. */
  #asOwn<T>(work: () => Promise<T>): Promise<T> {
    this.#own = true;
    try {
      return work();
    } finally {
      this.#own = false;
    }
  }

  #later(tell: () => void, turns = this.#drawn(LATE_TURNS_MAX)): void {
    setImmediate(() => {
      if (this.#isClosed) return;
      if (turns === 0) tell();
      else this.#later(tell, turns - 1);
    });
  }

  async #turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
  }

  #drawn(below: number): number {
    return Math.floor(this.#chance() * below);
  }
}
