import assert from 'node:assert/strict';
import { type TestContext, mock, test } from 'node:test';
import * as fc from 'fast-check';
import { pino } from 'pino';
import { type EventPage, type PageQuery, StoreError, type TopicFilter } from '../../src/store/event-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import type { NewsListener } from '../../src/store/news.ts';
import { compileTopicFilter } from '../../src/store/topic-filter.ts';
import { Commits } from '../../src/commits/commits.ts';
import { FollowRefused, Followers, type FollowersOptions } from '../../src/followers/followers.ts';
import { batchOf, eventWith } from '../support/events.ts';
import { HeldStream, blocksIn } from '../support/held-stream.ts';

/** About two events, so that a few fill it. */
const HIGH_WATER_BYTES = 500;
const PIECE_BYTES = 700;
const EVENT_BYTES = 250;

/** A page is small, so that there are many. */
const PAGE_EVENTS = 3;

type Telling = 'whole' | 'bare' | 'late';

/** A store whose pages come when the test says, with what was there when they were asked for or when they come. */
class PagedStore extends MemoryStore {
  asked = 0;
  failNext: StoreError | null = null;
  /** How the next commits are told: with their events, without, as those of another process, or not at all for now. */
  telling: Telling = 'whole';
  readonly #waiting: ((isLate: boolean) => void)[] = [];
  #isHeld = false;

  hold(): void {
    this.#isHeld = true;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  letOneGo(place: number, isLate: boolean): void {
    const [go] = this.#waiting.splice(place % Math.max(1, this.#waiting.length), 1);
    go?.(isLate);
  }

  letAllGo(): void {
    this.#isHeld = false;
    for (const go of this.#waiting.splice(0)) go(false);
  }

  override watch(after: number, listener: NewsListener): () => void {
    return super.watch(after, (news) => {
      if (this.telling === 'whole') listener(news);
      else if (this.telling === 'bare') listener({ ...news, events: null });
    });
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

class Setting {
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

  follow(filter: TopicFilter, after: number, highWaterBytes = HIGH_WATER_BYTES): HeldStream {
    const stream = new HeldStream(highWaterBytes);
    this.followers.follow(filter, after, () => stream);
    return stream;
  }

  /** The offsets that a follower of the filter must get behind the cursor. */
  expected(filter: TopicFilter, after: number): number[] {
    const isMeant = compileTopicFilter(filter);
    return this.topics.flatMap((topic, i) => (isMeant(topic) && i + 1 > after ? [i + 1] : []));
  }
}

/** Timers run when `settle` says, so that a test need not wait for them. */
function withMockedTimers(t: TestContext): void {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  t.after(async () => {
    // What is on its way to its end clears timers of this mock, which the next one would take for its own.
    await settle();
    mock.timers.reset();
  });
}

async function settle(ms = 100): Promise<void> {
  mock.timers.tick(ms);
  for (let turn = 0; turn < 8; turn++) await new Promise(setImmediate);
}

const A: TopicFilter = { topic: 'a' };

const FILTERS: readonly TopicFilter[] = [
  {},
  A,
  { topicPatterns: [['a.*', 'b']] },
  {
    topicPatterns: [
      ['a.>', 'b.>', 'a'],
      ['*.x', 'a'],
    ],
  },
];
const aTopic = fc.constantFrom('a', 'b', 'a.x', 'a.y', 'b.x', 'c');
const nth = fc.nat({ max: 5 });
/** What can happen, in any order. */
const aStep = fc.oneof(
  { weight: 4, arbitrary: fc.record({ commit: fc.array(aTopic, { minLength: 1, maxLength: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ telling: fc.constantFrom('whole', 'whole', 'bare', 'late') }) },
  { weight: 2, arbitrary: fc.record({ join: fc.nat({ max: 3 }), share: fc.double({ min: 0, max: 1, noNaN: true }) }) }, // prettier-ignore
  { weight: 4, arbitrary: fc.record({ page: nth, isLate: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ flush: fc.constant(true) }) },
  { weight: 1, arbitrary: fc.record({ stop: nth }) },
  { weight: 2, arbitrary: fc.record({ goOn: nth }) },
  { weight: 2, arbitrary: fc.record({ cut: nth, lost: fc.nat({ max: 300 }) }) },
);

/** A reader that comes back whenever it was cut off, with the id it got last. */
class Reader {
  readonly filter: TopicFilter;
  readonly after: number;
  readonly #setting: Setting;
  readonly offsets: number[] = [];
  stream: HeldStream;
  #cursor: number;

  constructor(setting: Setting, filter: TopicFilter, after: number) {
    this.filter = filter;
    this.after = after;
    this.#cursor = after;
    this.#setting = setting;
    this.stream = setting.follow(filter, after);
  }

  /** The connection breaks, and what was on its way is lost. */
  cut(lostBytes: number): void {
    this.stream.destroy();
    this.take(this.stream.taken.slice(0, Math.max(0, this.stream.taken.length - lostBytes)));
    this.stream = this.#setting.follow(this.filter, this.#cursor);
  }

  take(text: string): void {
    const { offsets, lastId } = blocksIn(text);
    this.offsets.push(...offsets);
    this.#cursor = lastId ?? this.#cursor;
  }
}

test('whatever commits, news, pages, slowness and cuts come in whatever order, each follower gets its events once and in order [STR-1, STR-4]', async (t) => {
  withMockedTimers(t);
  await fc.assert(
    fc.asyncProperty(fc.array(aStep, { minLength: 10, maxLength: 60 }), async (steps) => {
      const setting = new Setting({ windowBytesMax: 4000, pieceBytesMax: PIECE_BYTES });
      const { store } = setting;
      store.hold();
      await setting.commit('a', 'b', 'a.x', 'c', 'a');
      const readers: Reader[] = [];
      for (const step of steps) {
        const reader = (place: number) => readers[place % Math.max(1, readers.length)];
        if ('commit' in step) await setting.commit(...step.commit);
        else if ('telling' in step) store.telling = step.telling;
        else if ('join' in step) {
          const after = Math.floor(step.share * setting.topics.length);
          readers.push(new Reader(setting, FILTERS[step.join]!, after));
        } else if ('page' in step) store.letOneGo(step.page, step.isLate);
        else if ('flush' in step) mock.timers.tick(100);
        else if ('stop' in step) reader(step.stop)?.stream.hold();
        else if ('goOn' in step) reader(step.goOn)?.stream.letGo();
        else reader(step.cut)?.cut(step.lost);
        // Sometimes nothing has run on in between.
        if (!('flush' in step)) await new Promise(setImmediate);
        for (const { stream } of readers) {
          assert.ok(stream.writableLength < HIGH_WATER_BYTES + PIECE_BYTES + EVENT_BYTES);
        }
      }
      store.letAllGo();
      store.telling = 'whole';
      await setting.commit('a');
      for (let round = 0; round < 5; round++) {
        for (const { stream } of readers) stream.letGo();
        await settle();
      }
      for (const reader of readers) {
        reader.take(reader.stream.taken);
        assert.deepEqual(reader.offsets, setting.expected(reader.filter, reader.after));
      }
      setting.followers.close();
      await settle();
      assert.equal(setting.followers.count, 0);
    }),
    { numRuns: 150 },
  );
});

for (const telling of ['bare', 'late'] as const) {
  test(`what others commit is read from the store, where news of it come ${telling} [STR-1]`, async (t) => {
    withMockedTimers(t);
    const setting = new Setting();
    const [one, other] = [setting.follow(A, 0, 1e6), setting.follow({}, 0, 1e6)];
    await setting.commit('a', 'b');
    setting.store.telling = telling;
    await setting.commit('a', 'c', 'a');
    setting.store.telling = 'whole';
    await setting.commit('b', 'a');
    await settle();
    await setting.commit('a');
    await settle();
    assert.deepEqual(blocksIn(one.taken).offsets, setting.expected(A, 0));
    assert.deepEqual(blocksIn(other.taken).offsets, setting.expected({}, 0));
    setting.followers.close();
  });
}

test('a commit at any step of catching up is neither lost nor told twice [STR-1]', async (t) => {
  withMockedTimers(t);
  const stored = 10;
  const pages = Math.ceil(stored / PAGE_EVENTS);
  for (let at = 0; at <= pages + 1; at++) {
    for (const isLate of [false, true]) {
      const setting = new Setting();
      await setting.commit(...Array.from({ length: stored }, () => 'a'));
      setting.store.hold();
      const stream = setting.follow(A, 0, 1e6);
      for (let page = 0; page <= pages + 2; page++) {
        // Between the page's asking and its coming, and after its coming.
        if (page === at) await setting.commit('a', 'b', 'a');
        setting.store.letOneGo(0, isLate);
        if (page === at) await setting.commit('a');
        await settle();
      }
      setting.store.letAllGo();
      await settle();
      assert.deepEqual(blocksIn(stream.taken).offsets, setting.expected(A, 0), `page ${at}, ${isLate}`);
      setting.followers.close();
    }
  }
});

test('what is live is encoded once, and every follower is given the same memory', async (t) => {
  withMockedTimers(t);
  const setting = new Setting();
  const streams = Array.from({ length: 50 }, () => setting.follow(A, 0, 1e6));
  await setting.commit('a', 'a');
  await setting.commit('b');
  await settle();
  await setting.commit('a');
  await settle();
  const [first] = streams;
  assert.deepEqual(blocksIn(first!.taken).offsets, [1, 2, 4]);
  for (const { pieces } of streams) {
    assert.equal(pieces.length, 2, 'the commits of a moment go out in one write');
    for (const [i, piece] of pieces.entries()) assert.equal(piece.buffer, first!.pieces[i]!.buffer);
  }
  assert.equal(setting.store.asked, 0);
  setting.followers.close();
});

test('those who come back together read together, and never many pages at once', async (t) => {
  withMockedTimers(t);
  const setting = new Setting();
  await setting.commit(...Array.from({ length: 30 }, () => 'a'));
  const together = Array.from({ length: 40 }, () => setting.follow(A, 0, 1e6));
  await settle();
  assert.equal(setting.store.asked, 30 / PAGE_EVENTS);
  for (const { taken } of together) assert.equal(blocksIn(taken).offsets.length, 30);

  setting.store.hold();
  const apart = Array.from({ length: 20 }, (_, i) => setting.follow(A, i, 1e6));
  await settle();
  assert.equal(setting.store.waiting, 4);
  setting.store.letAllGo();
  await settle();
  for (const [i, { taken }] of apart.entries()) {
    assert.deepEqual(blocksIn(taken).offsets, setting.expected(A, i));
  }
  setting.followers.close();
});

for (const [where, windowBytesMax] of [
  ['memory', 1e6],
  ['the store', 2000],
] as const) {
  test(`a slow follower is given more only as it takes it, then from ${where} [STR-8]`, async (t) => {
    withMockedTimers(t);
    const setting = new Setting({ windowBytesMax, pieceBytesMax: PIECE_BYTES });
    const slow = setting.follow({}, 0);
    const quick = setting.follow({}, 0, 1e6);
    const assertBounded = (): void => {
      assert.ok(slow.writableLength < HIGH_WATER_BYTES + PIECE_BYTES + EVENT_BYTES, `${slow.writableLength}`);
    };
    slow.hold();
    for (let i = 0; i < 10; i++) {
      await setting.commit(...Array.from({ length: 40 }, () => 'a'));
      await settle();
      assertBounded();
    }
    assert.deepEqual(blocksIn(quick.taken).offsets, setting.expected({}, 0));
    assert.ok(blocksIn(slow.taken).offsets.length < 10);
    assert.equal(setting.store.asked, 0);
    for (let i = 0; i < 400; i++) {
      slow.takeOne();
      await settle();
      assertBounded();
    }
    assert.deepEqual(blocksIn(slow.taken).offsets, setting.expected({}, 0));
    assert.equal(setting.store.asked > 0, where === 'the store');
    setting.followers.close();
  });
}

test('a heartbeat tells how far the stream is, also where nothing was meant for it [STR-5]', async (t) => {
  withMockedTimers(t);
  const setting = new Setting({ heartbeatMs: 15_000 });
  const stream = setting.follow(A, 0);
  await setting.commit('b', 'b');
  await settle(14_000);
  assert.equal(stream.taken, '');
  await settle(1_000);
  assert.equal(stream.taken, ':\nid: 2\n\n');
  await settle(15_000);
  assert.equal(stream.taken, ':\nid: 2\n\n:\nid: 2\n\n');
  setting.followers.close();
});

test('who takes nothing for long is cut off; who takes something is not [STR-8]', async (t) => {
  withMockedTimers(t);
  const setting = new Setting({ heartbeatMs: 10, stalledMs: 60 });
  const [stalled, slow] = [setting.follow({}, 0), setting.follow({}, 0)];
  stalled.hold();
  slow.hold();
  await setting.commit('a', 'a', 'a', 'a');
  const startMs = performance.now();
  while (!stalled.destroyed) {
    // The clock is the real one.
    await settle(10);
    slow.letGo();
    await settle(0);
    slow.hold();
  }
  assert.ok(performance.now() - startMs >= 60);
  await settle();
  assert.equal(slow.destroyed, false);
  assert.equal(setting.followers.count, 1);
  assert.ok(setting.logged.some((line) => line.includes('its reader had stopped reading')));
  setting.followers.close();
});

test('where the store cannot be read the stream is cut, and the log says why', async (t) => {
  withMockedTimers(t);
  const setting = new Setting();
  await setting.commit('a');
  setting.store.failNext = new StoreError('failed', 'no such page');
  const stream = setting.follow({}, 0);
  await settle();
  assert.equal(stream.destroyed, true);
  assert.equal(setting.followers.count, 0);
  assert.match(setting.logged.join(''), /no such page/);
});

test('a stream whose reader left before it was opened takes no place', async (t) => {
  withMockedTimers(t);
  const setting = new Setting();
  const gone = new HeldStream(HIGH_WATER_BYTES);
  gone.destroy();
  await settle();
  setting.followers.follow({}, 0, () => gone);
  assert.equal(setting.followers.count, 0);
});

test('as many may follow as there are places; a close ends all and takes no more [STR-9, STR-10]', async (t) => {
  withMockedTimers(t);
  const setting = new Setting({ followersMax: 2 });
  const [stays, leaves] = [setting.follow({}, 0), setting.follow(A, 0)];
  const refusal = (reason: string) => (error: unknown) =>
    error instanceof FollowRefused && error.reason === reason;
  assert.throws(() => setting.follow({}, 0), refusal('full'));
  leaves.destroy();
  await settle();
  const next = setting.follow(A, 0);
  next.hold();
  await setting.commit('a', 'a', 'a', 'a', 'a');
  await settle();
  setting.followers.close();
  await settle();
  assert.deepEqual([stays.writableFinished, next.writableFinished, next.destroyed], [true, false, true]);
  assert.equal(blocksIn(stays.taken).offsets.length, 5);
  assert.equal(setting.followers.count, 0);
  assert.throws(() => setting.follow({}, 0), refusal('closed'));
  assert.deepEqual(setting.logged, []);
});
