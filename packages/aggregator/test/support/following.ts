import { type TestContext, mock } from 'node:test';
import { pino } from 'pino';
import { Commits } from '../../src/commits/commits.ts';
import { Followers, type FollowersOptions } from '../../src/followers/followers.ts';
import type { Epoch, EventPage, PageQuery, StoreError, TopicFilter } from '../../src/store/event-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import type { NewsListener } from '../../src/store/news.ts';
import { compileTopicFilter } from '../../src/store/topic-filter.ts';
import { Watchers } from '../../src/store/watchers.ts';
import { batchOf, eventWith } from './events.ts';
import { HeldStream } from './held-stream.ts';
import { expireTo } from './letting-go.ts';

/** About two events, so that a few fill the stream. */
export const HIGH_WATER_BYTES = 500;
export const PIECE_BYTES = 700;
export const EVENT_BYTES = 250;

/** Small pages, so that there are many. */
export const PAGE_EVENTS = 3;

type Telling = 'whole' | 'bare' | 'late';

/** A store whose pages arrive when the test says, with its contents at the time of the request or of the arrival. */
class PagedStore extends MemoryStore {
  asked = 0;
  failNext: StoreError | null = null;
  /** How the next commits are reported: with events; without, like another process's; or not at all for now. */
  telling: Telling = 'whole';
  readonly #waiting: ((isLate: boolean) => void)[] = [];
  readonly #epochWatchers = new Watchers<Epoch>();
  #isHeld = false;

  hold(): void {
    this.#isHeld = true;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  releaseOne(place: number, isLate: boolean): void {
    const [go] = this.#waiting.splice(place % Math.max(1, this.#waiting.length), 1);
    go?.(isLate);
  }

  releaseAll(): void {
    this.#isHeld = false;
    for (const go of this.#waiting.splice(0)) go(false);
  }

  override watch(after: number, listener: NewsListener): () => void {
    return super.watch(after, (news) => {
      if (this.telling === 'whole') listener(news);
      else if (this.telling === 'bare') listener({ ...news, events: null });
    });
  }

  override watchEpochs(listener: (epoch: Epoch) => void = () => {}): () => void {
    return this.#epochWatchers.add(listener);
  }

  beginEpoch(afterOffset: number): void {
    this.#epochWatchers.tell({ name: 'new', afterOffset });
  }

  override async read(query: PageQuery): Promise<EventPage> {
    this.asked += 1;
    if (this.failNext !== null) throw this.failNext;
    const some = { ...query, eventsMax: PAGE_EVENTS };
    const early = super.read(some);
    if (!this.#isHeld) return early;
    const isLate = await new Promise<boolean>((resolve) => this.#waiting.push(resolve));
    return isLate ? super.read(some) : early;
  }
}

export class Following {
  readonly store = new PagedStore();
  readonly commits = new Commits(this.store, 0);
  readonly topics: string[] = [];
  readonly logged: string[] = [];
  readonly followers: Followers;

  constructor(options: Partial<FollowersOptions> = {}) {
    const log = pino({ level: 'info' }, { write: (line: string) => void this.logged.push(line) });
    this.followers = new Followers(this.store, this.commits, log, { followersMax: 1000, ...options });
  }

  async commit(...topics: string[]): Promise<void> {
    const batch = batchOf(
      ...topics.map((topic) => eventWith({ topic, event_id: `${this.topics.push(topic)}` })),
    );
    await this.store.append([batch]);
  }

  /** Makes one event expired, or all up to it. */
  async expire(offset: number, isOne = false): Promise<void> {
    const { retention } = this.store;
    if (isOne) await retention.erase(this.topics[offset - 1]!, `${offset}`, false);
    else await expireTo(retention, offset);
  }

  follow(
    filter: TopicFilter,
    after: number,
    highWaterBytes = HIGH_WATER_BYTES,
    isStrict = false,
  ): HeldStream {
    const stream = new HeldStream(highWaterBytes);
    this.followers.follow(filter, after, () => stream, { isStrict });
    return stream;
  }

  /** The offsets that a follower of the filter must get after the cursor. */
  expected(filter: TopicFilter, after: number): number[] {
    const isMeant = compileTopicFilter(filter);
    return this.topics.flatMap((topic, i) => (isMeant(topic) && i + 1 > after ? [i + 1] : []));
  }
}

/** Lets timers run only in `settle`, so that no test waits for them. */
export function withMockedTimers(t: TestContext): void {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  t.after(async () => {
    // Pending work still clears timers of this mock, which the next mock would take for its own.
    await settle();
    mock.timers.reset();
  });
}

export async function settle(ms = 100): Promise<void> {
  mock.timers.tick(ms);
  for (let turn = 0; turn < 8; turn++) await new Promise(setImmediate);
}

export const A: TopicFilter = { topic: 'a' };
