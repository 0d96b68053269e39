import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import * as fc from 'fast-check';
import type { TopicFilter } from '../../src/store/event-store.ts';
import { type HeldStream, blocksIn } from '../support/held-stream.ts';
import {
  A,
  EVENT_BYTES,
  Following,
  HIGH_WATER_BYTES,
  PIECE_BYTES,
  settle,
  withMockedTimers,
} from '../support/following.ts';

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
  { weight: 2, arbitrary: fc.record({ expire: fc.double({ min: 0, max: 1, noNaN: true }), isOne: fc.boolean() }) }, // prettier-ignore
  { weight: 1, arbitrary: fc.record({ stop: nth }) },
  { weight: 2, arbitrary: fc.record({ resume: nth }) },
  { weight: 2, arbitrary: fc.record({ cut: nth, lost: fc.nat({ max: 300 }) }) },
);

/** A reader that reconnects whenever it was cut off, with the last id it received. */
class Reader {
  readonly filter: TopicFilter;
  readonly after: number;
  readonly #setting: Following;
  /** The events that it was given, or told to have expired, in order. */
  readonly offsets: number[] = [];
  stream: HeldStream;
  #cursor: number;

  constructor(setting: Following, filter: TopicFilter, after: number) {
    this.filter = filter;
    this.after = after;
    this.#cursor = after;
    this.#setting = setting;
    this.stream = setting.follow(filter, after);
  }

  /** Breaks the connection; bytes under way are lost. */
  cut(lostBytes: number): void {
    this.stream.destroy();
    this.take(this.stream.taken.slice(0, Math.max(0, this.stream.taken.length - lostBytes)));
    this.stream = this.#setting.follow(this.filter, this.#cursor);
  }

  take(text: string): void {
    const { told, lastId } = blocksIn(text);
    for (const one of told) {
      if (typeof one === 'number') this.offsets.push(one);
      else {
        const passed = this.#setting.expected(this.filter, one.after).filter((offset) => offset <= one.next);
        assert.equal(passed.length, one.expired);
        this.offsets.push(...passed);
      }
    }
    this.#cursor = lastId ?? this.#cursor;
  }
}

test('each follower gets its events once and in order, or is told that they expired, whatever the order of commits, news, pages, expiry, pauses and cuts [STR-1, STR-4, RET-25]', async (t) => {
  withMockedTimers(t);
  await fc.assert(
    fc.asyncProperty(fc.array(aStep, { minLength: 10, maxLength: 60 }), async (steps) => {
      const setting = new Following({ windowBytesMax: 4000, pieceBytesMax: PIECE_BYTES });
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
        } else if ('page' in step) store.releaseOne(step.page, step.isLate);
        else if ('expire' in step) {
          const offset = 1 + Math.floor(step.expire * (setting.topics.length - 1));
          await setting.expire(offset, step.isOne);
        } else if ('flush' in step) mock.timers.tick(100);
        else if ('stop' in step) reader(step.stop)?.stream.hold();
        else if ('resume' in step) reader(step.resume)?.stream.release();
        else reader(step.cut)?.cut(step.lost);
        // Sometimes nothing else has run in between.
        if (!('flush' in step)) await new Promise(setImmediate);
        for (const { stream } of readers) {
          assert.ok(stream.writableLength < HIGH_WATER_BYTES + PIECE_BYTES + EVENT_BYTES);
        }
      }
      store.releaseAll();
      store.telling = 'whole';
      await setting.commit('a');
      for (let round = 0; round < 5; round++) {
        for (const { stream } of readers) stream.release();
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
