import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type StoredEvent, parseTimestamp } from '@chronicleweaver/protocol';
import {
  ACCEPTED,
  CONFLICT,
  DUPLICATE,
  type EventPage,
  type EventStore,
  type PageQuery,
  START,
  StoreError,
  type TopicFilter,
} from '../../src/store/event-store.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import { STORES, TestClock, storeFolders } from '../support/stores.ts';

test('every store runs this suite', () => {
  for (const folder of storeFolders()) assert.ok(folder in STORES, `${folder} is not in support/stores.ts`);
});

for (const [name, open] of Object.entries(STORES)) {
  const suite = (behaviour: string, run: (store: EventStore, clock: TestClock) => Promise<void>): void => {
    test(`${name}: ${behaviour}`, async (t) => {
      const clock = new TestClock(Date.now());
      let store: EventStore | undefined;
      t.after(() => store?.close());
      store = await open(t, clock);
      await run(store, clock);
    });
  };

  suite('an empty store has empty books', async (store) => {
    const stats = await store.stats();
    assert.deepEqual(
      { ...stats, storedBytes: 0 },
      { received: 0, accepted: 0, duplicates: 0, conflicts: 0, lastOffset: 0, topics: [], storedBytes: 0 },
    );
    assert.deepEqual(await store.topics(), []);
    assert.equal((await all(store)).length, 0);
    assert.equal(await store.find('orders', 'e-1'), undefined);
  });

  suite('events get offsets from 1 in the order they came [P-4]', async (store) => {
    const [first, second] = await store.append([
      batchOf(...manyEvents(3)),
      batchOf(eventWith({ event_id: 'x' })),
    ]);
    assert.deepEqual([...first!.offsets], [1, 2, 3]);
    assert.deepEqual([...second!.offsets], [4]);
    assert.deepEqual(first!.verdicts, Uint8Array.of(ACCEPTED, ACCEPTED, ACCEPTED));
    const events = await all(store);
    assert.deepEqual(
      events.map(({ offset, event_id }) => [offset, event_id]),
      [[1, 'e-1'], [2, 'e-2'], [3, 'e-3'], [4, 'x']], // prettier-ignore
    );
  });

  suite('an append tells the time that its events have as received_at [READ-1]', async (store) => {
    const [first] = await store.append([batchOf(eventWith())]);
    const [kept] = await all(store);
    assert.equal(new Date(first!.receivedMs).toISOString(), kept!.received_at);
  });

  suite('times of commits never go back with the clock [READ-1]', async (store, clock) => {
    await store.append([batchOf(eventWith({ event_id: 'before' }))]);
    const beforeMs = clock.ms;
    clock.ms -= 60_000;
    const [set] = await store.append([batchOf(eventWith({ event_id: 'set back' }))]);
    assert.equal(set!.receivedMs, beforeMs);
    clock.ms += 61_000;
    const [later] = await store.append([batchOf(eventWith({ event_id: 'later' }))]);
    assert.equal(later!.receivedMs, beforeMs + 1000);
    assert.deepEqual(
      (await all(store)).map(({ received_at: at }) => Date.parse(at)),
      [beforeMs, beforeMs, beforeMs + 1000],
    );
  });

  suite('whoever watches hears of every event that is committed, in the end', async (store) => {
    await store.append([batchOf(...manyEvents(3))]);
    let end = 0;
    const stop = store.watch(0, (news) => {
      assert.ok(news.after < news.lastOffset);
      end = Math.max(end, news.lastOffset);
    });
    assert.equal(end, 3, 'what is committed already is told at once');
    for (let i = 0; i < 9; i++) await store.append([batchOf(eventWith({ event_id: `${i}` }))]);
    for (let turn = 0; turn < 40; turn++) await new Promise(setImmediate);
    assert.equal(end, 12);
    await store.append([batchOf(eventWith({ event_id: '0' }))]);
    stop();
    await store.append([batchOf(eventWith({ event_id: 'last' }))]);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.equal(end, 12);
  });

  suite(
    'a second event under a key is dropped with the first offset, whatever append it comes in [P-2]',
    async (store) => {
      const [one, two] = await store.append([
        batchOf(eventWith(), eventWith(), eventWith({ topic: 'other' })),
        batchOf(eventWith()),
      ]);
      assert.deepEqual([...one!.verdicts], [ACCEPTED, DUPLICATE, ACCEPTED]);
      assert.deepEqual([...one!.offsets], [1, 1, 2]);
      assert.deepEqual([...two!.verdicts], [DUPLICATE]);
      assert.deepEqual([...two!.offsets], [1]);
      const [later] = await store.append([batchOf(eventWith({ event_id: 'new' }), eventWith())]);
      assert.deepEqual([...later!.offsets], [3, 1]);
      assert.equal((await all(store)).length, 3);
    },
  );

  suite(
    'another source, timestamp or payload under a key is a conflict and changes nothing [PUB-6]',
    async (store) => {
      await store.append([batchOf(eventWith())]);
      const [result] = await store.append([
        batchOf(
          eventWith({ source: 'app' }),
          eventWith({ timestamp: '2025-10-28T10:00:00+00:00' }),
          eventWith({ payload: { amount: 12.5, message: 'order placed' } }),
          eventWith(),
        ),
      ]);
      assert.deepEqual([...result!.verdicts], [CONFLICT, CONFLICT, CONFLICT, DUPLICATE]);
      assert.deepEqual(
        { accepted: result!.accepted, duplicates: result!.duplicates, conflicts: result!.conflicts },
        { accepted: 0, duplicates: 4, conflicts: 3 },
      );
      const [kept] = await all(store);
      assert.equal(kept!.source, 'web');
      const stats = await store.stats();
      assert.equal(stats.received, 5);
      assert.equal(stats.accepted, 1);
      assert.equal(stats.duplicates, 4);
      assert.equal(stats.conflicts, 3);
    },
  );

  suite('keys do not run into one another', async (store) => {
    const keys = [['a', 'bc'], ['ab', 'c'], ['a', 'b\u0001c'], ['a\u0001b', 'c'], ['A', 'bc'], ['é', 'x'], ['e\u0301', 'x']]; // prettier-ignore
    const [result] = await store.append([
      batchOf(...keys.map(([topic, event_id]) => eventWith({ topic: topic!, event_id: event_id! }))),
    ]);
    assert.equal(result!.accepted, keys.length);
    for (const [topic, event_id] of keys) {
      assert.equal((JSON.parse((await store.find(topic!, event_id!))!) as StoredEvent).event_id, event_id);
    }
  });

  suite('find gives the stored event and nothing for what is not there [READ-8]', async (store) => {
    await store.append([batchOf(eventWith({ event_id: 'a "b" / ü' }))]);
    const found = JSON.parse((await store.find('orders', 'a "b" / ü'))!) as StoredEvent;
    const { offset, received_at, ...sent } = found;
    assert.equal(offset, 1);
    assert.ok(Math.abs(Date.parse(received_at) - Date.now()) < 60_000);
    assert.deepEqual(sent, eventWith({ event_id: 'a "b" / ü' }));
    assert.equal(await store.find('orders', 'a'), undefined);
    assert.equal(await store.find('other', 'a "b" / ü'), undefined);
  });

  suite('topics are counted, with their last offset, in order of their bytes [READ-9]', async (store) => {
    const names = ['b', 'a', 'b', 'Z', '😀', '\uffee', 'a'];
    await store.append([batchOf(...names.map((topic, i) => eventWith({ topic, event_id: `${i}` })))]);
    assert.deepEqual(await store.topics(), [
      { topic: 'Z', events: 1, lastOffset: 4 },
      { topic: 'a', events: 2, lastOffset: 7 },
      { topic: 'b', events: 2, lastOffset: 3 },
      { topic: '\uffee', events: 1, lastOffset: 6 },
      { topic: '😀', events: 1, lastOffset: 5 },
    ]);
    assert.deepEqual((await store.stats()).topics, ['Z', 'a', 'b', '\uffee', '😀']);
  });

  suite('pages of any size and direction, one after the other, are the whole [READ-5]', async (store) => {
    const events = manyEvents(57, (i) => ({
      topic: i % 3 === 0 ? 'rare' : 'common',
      source: i % 2 === 0 ? 'even' : 'odd',
      timestamp: new Date(Date.UTC(2025, 0, 1 + i)).toISOString(),
    }));
    await store.append([batchOf(...events)]);
    const from = parseTimestamp('2025-01-11')!;
    const to = parseTimestamp('2025-02-20')!;
    for (const filter of [
      {},
      { topic: 'rare' },
      { source: 'odd' },
      { from, to },
      { topic: 'rare', source: 'even', from },
    ]) {
      const expected = events.flatMap((event, i) => {
        const time = Date.parse(event.timestamp);
        const matches =
          (filter.topic ?? event.topic) === event.topic &&
          (filter.source ?? event.source) === event.source &&
          time >= (filter.from?.epochMs ?? 0) &&
          time < (filter.to?.epochMs ?? Infinity);
        return matches ? [i + 1] : [];
      });
      for (const order of ['asc', 'desc'] as const) {
        const offsets = order === 'asc' ? expected : expected.toReversed();
        const snapshot = await store.snapshot({ ...filter, order, after: START[order] });
        assert.deepEqual(snapshot, { lastOffset: 57, count: expected.length });
        for (const eventsMax of [1, 7, 1000]) {
          const read = await all(store, { ...filter, order, after: START[order], eventsMax });
          assert.deepEqual(read.map(({ offset }) => offset), offsets, JSON.stringify({ filter, order, eventsMax })); // prettier-ignore
        }
        const behind = offsets.filter((offset) => (order === 'asc' ? offset > 20 : offset < 20));
        assert.equal((await store.snapshot({ ...filter, order, after: 20 })).count, behind.length);
        const read = await all(store, { ...filter, order, after: 20 });
        assert.deepEqual(read.map(({ offset }) => offset), behind); // prettier-ignore
      }
    }
  });

  suite('topic patterns narrow reads, counts and lists; every list must be met', async (store) => {
    const names = ['orders', 'orders.eu', 'orders.eu.de', 'billing.eu', 'a..b', '*', 'é.eu'];
    const events = manyEvents(60, (i) => ({ topic: names[i % names.length]! }));
    await store.append([batchOf(...events.slice(0, 40))]);
    const cases: [filter: TopicFilter, topics: string[]][] = [
      [{ topicPatterns: [['>']] }, names],
      [{ topicPatterns: [] }, names],
      [{ topicPatterns: [['orders.>']] }, ['orders.eu', 'orders.eu.de']],
      [{ topicPatterns: [['*.eu', 'orders']] }, ['orders', 'orders.eu', 'billing.eu', 'é.eu']],
      [{ topicPatterns: [['*.eu'], ['orders.>', 'billing.*']] }, ['orders.eu', 'billing.eu']],
      [{ topicPatterns: [['a..b', '*']] }, ['orders', 'a..b', '*']],
      [{ topicPatterns: [['orders.>'], []] }, []],
      [{ topicPatterns: [['nothing.>']] }, []],
      [{ topic: 'orders.eu', topicPatterns: [['orders.>']] }, ['orders.eu']],
      [{ topic: 'orders', topicPatterns: [['orders.>']] }, []],
      [{ topic: 'orders', topicPatterns: [['orders'], ['>']] }, ['orders']],
    ];
    // Twice, the second time with more events and one more topic: what was found out about topics must not be stale.
    for (const appended of [events.slice(0, 40), [...events, eventWith({ topic: 'orders.new' })]]) {
      await store.append([batchOf(...appended)]);
      for (const [filter, topics] of cases) {
        const isNewMeant = filter.topicPatterns!.every((list) => list.some((one) => /^(orders\.)?>$/.test(one))) && filter.topic === undefined; // prettier-ignore
        const meant = new Set(isNewMeant ? [...topics, 'orders.new'] : topics);
        const expected = appended.flatMap(({ topic }, i) => (meant.has(topic) ? [i + 1] : []));
        const told = JSON.stringify(filter);
        for (const order of ['asc', 'desc'] as const) {
          const offsets = order === 'asc' ? expected : expected.toReversed();
          const snapshot = await store.snapshot({ ...filter, order, after: START[order] });
          assert.deepEqual(snapshot, { lastOffset: appended.length, count: expected.length }, told);
          assert.equal((await store.snapshot({ ...filter, order, after: START[order], source: 'web' })).count, expected.length, told); // prettier-ignore
          const read = await all(store, { ...filter, order, eventsMax: 7 });
          assert.deepEqual(read.map(({ offset }) => offset), offsets, told); // prettier-ignore
        }
        const listed = await store.topics(filter);
        assert.deepEqual(new Set(listed.map(({ topic }) => topic)), new Set(appended.map(({ topic }) => topic).filter((topic) => meant.has(topic))), told); // prettier-ignore
        assert.equal(listed.reduce((sum, { events }) => sum + events, 0), expected.length, told); // prettier-ignore
      }
    }
  });

  suite('a page holds nothing above upTo and is framed as asked', async (store) => {
    await store.append([batchOf(...manyEvents(10))]);
    const query = { order: 'asc', after: 2, upTo: 5, eventsMax: 100, framing: 'lines' } as const;
    const page = await store.read(query);
    assert.equal(page.count, 3);
    assert.equal(page.lastOffset, 5);
    assert.equal(page.resumeAfter, null);
    const text = Buffer.from(page.bytes).toString();
    assert.deepEqual(text.split('\n').map((line) => (line === '' ? '' : (JSON.parse(line) as StoredEvent).offset)), [3, 4, 5, '']); // prettier-ignore
    const none = await store.read({ ...query, after: 5 });
    assert.deepEqual([none.count, none.bytes.length, none.resumeAfter], [0, 0, null]);
  });

  suite('a page is framed as Server-Sent Events with the offset as id', async (store) => {
    await store.append([batchOf(...manyEvents(10))]);
    const query = { order: 'asc', after: 8, upTo: 10, eventsMax: 100 } as const;
    const lines = Buffer.from((await store.read({ ...query, framing: 'lines' })).bytes).toString();
    const [ninth, tenth] = lines.split('\n');
    const page = await store.read({ ...query, framing: 'stream' });
    assert.equal(Buffer.from(page.bytes).toString(), `id: 9\ndata: ${ninth}\n\nid: 10\ndata: ${tenth}\n\n`);
  });

  suite('a page ends behind the event that brings it to the bytes asked for', async (store) => {
    await store.append([batchOf(...manyEvents(10))]);
    const query = { order: 'asc', after: 0, upTo: 10, eventsMax: 100, framing: 'lines' } as const;
    const one = (await store.read({ ...query, eventsMax: 1 })).bytes.length;
    const counts = [1, one, one + 1, 2 * one + 1].map(async (bytesMax) => {
      const page = await store.read({ ...query, bytesMax });
      return [page.count, page.lastOffset, page.resumeAfter];
    });
    assert.deepEqual(await Promise.all(counts), [[1, 1, 1], [1, 1, 1], [2, 2, 2], [3, 3, 3]]); // prettier-ignore
  });

  suite(
    'a page that is placed says where each event ends, and events can be read by their offsets',
    async (store) => {
      await store.append([batchOf(...manyEvents(10, (i) => ({ topic: i % 2 === 0 ? 'even' : 'ödd' })))]);
      const query = {
        order: 'asc',
        after: 2,
        upTo: 10,
        eventsMax: 3,
        framing: 'array',
        topic: 'ödd',
      } as const;
      const pieces = ({ bytes, ends, offsets }: EventPage): [number, number][] =>
        Array.from(offsets!, (offset, i) => {
          const text = Buffer.from(bytes.subarray(i === 0 ? 0 : ends![i - 1], ends![i])).toString();
          assert.ok(text.endsWith(','));
          return [offset, (JSON.parse(text.slice(0, -1)) as StoredEvent).offset];
        });
      const page = await store.read({ ...query, placed: true });
      assert.deepEqual(pieces(page), [[4, 4], [6, 6], [8, 8]]); // prettier-ignore
      const { ends: _ends, offsets: _offsets, ...same } = page;
      assert.deepEqual(await store.read(query), same);
      assert.deepEqual(pieces(await store.readAt(Float64Array.of(1, 2, 9))), [[1, 1], [2, 2], [9, 9]]); // prettier-ignore
      assert.equal((await store.readAt(new Float64Array(0))).count, 0);
    },
  );

  suite('text comes back byte for byte, without the whitespace between tokens [EVT-6]', async (store) => {
    const event = eventWith({ payload: { n: 1, text: 'é 😀 \u0000 "\\' } });
    await store.append([batchOf(event)]);
    const page = await store.read({ order: 'asc', after: 0, upTo: 1, eventsMax: 1, framing: 'array' });
    const text = Buffer.from(page.bytes).toString();
    assert.ok(text.startsWith(JSON.stringify(event).slice(0, -1) + ',"offset":1,"received_at":"'), text);
    assert.ok(text.endsWith('"},'), text);
  });

  suite('appends that are sent at once are judged one after the other [P-2]', async (store) => {
    const results = await Promise.all(
      Array.from({ length: 20 }, () => store.append([batchOf(...manyEvents(5))])),
    );
    const accepted = results.flat().reduce((sum, result) => sum + result.accepted, 0);
    assert.equal(accepted, 5);
    const stats = await store.stats();
    assert.equal(stats.received, 100);
    assert.equal(stats.received, stats.accepted + stats.duplicates);
  });

  suite('a closed store refuses and does not hang', async (store) => {
    await store.append([batchOf(eventWith())]);
    await store.close();
    await assert.rejects(
      store.append([batchOf(eventWith())]),
      (error) => error instanceof StoreError && error.code === 'closed',
    );
    await assert.rejects(store.probe(), StoreError);
  });
}

/** All events of a query, read page by page. */
async function all(store: EventStore, query: Partial<PageQuery> = {}): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  const { order = 'asc' } = query;
  let after: number | null = query.after ?? START[order];
  while (after !== null) {
    const page = await store.read({
      upTo: Number.MAX_SAFE_INTEGER,
      eventsMax: 1000,
      framing: 'array',
      ...query,
      order,
      after,
    });
    assert.ok(page.count <= (query.eventsMax ?? 1000));
    const read = JSON.parse(`[${Buffer.from(page.bytes).toString().slice(0, -1)}]`) as StoredEvent[];
    assert.equal(read.length, page.count);
    if (page.count > 0) assert.equal(read.at(-1)!.offset, page.lastOffset);
    events.push(...read);
    after = page.resumeAfter;
  }
  return events;
}
