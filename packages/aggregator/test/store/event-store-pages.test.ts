import assert from 'node:assert/strict';
import { type StoredEvent, parseTimestamp } from '@chronicleweaver/protocol';
import { type EventPage, START, type TopicFilter } from '../../src/store/event-store.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import { all, storeSuites } from '../support/store-suites.ts';

for (const suite of storeSuites()) {
  suite('pages of any size, in either direction, add up to the whole log [READ-5]', async (store) => {
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
        assert.deepEqual(snapshot, { lastOffset: 57, count: expected.length, expired: 0 });
        for (const eventsMax of [1, 7, 1000]) {
          const read = await all(store, { ...filter, order, after: START[order], eventsMax });
          assert.deepEqual(read.map(({ offset }) => offset), offsets, JSON.stringify({ filter, order, eventsMax })); // prettier-ignore
        }
        const behind = offsets.filter((offset) => (order === 'asc' ? offset > 20 : offset < 20));
        assert.equal((await store.snapshot({ ...filter, order, after: 20 })).count, behind.length);
        const upTo = { ...filter, order, after: START[order], upTo: 30 };
        const before = offsets.filter((offset) => offset <= 30);
        assert.equal((await store.snapshot(upTo)).count, before.length);
        const read = await all(store, { ...filter, order, after: 20 });
        assert.deepEqual(read.map(({ offset }) => offset), behind); // prettier-ignore
      }
    }
  });

  suite('topic patterns narrow reads, counts and lists; a topic must match in every list', async (store) => {
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
    // Twice, the second time with more events and one more topic: cached knowledge of topics must not be stale.
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
          assert.deepEqual(
            snapshot,
            { lastOffset: appended.length, count: expected.length, expired: 0 },
            told,
          );
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

  suite('a page holds nothing above upTo and is framed as requested', async (store) => {
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

  suite('a page ends after the event that brings it to the requested bytes', async (store) => {
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
    'a placed page says where each event ends, and events can be read by their offsets',
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
      const { ends: _ends, offsets: _offsets, expiredBefore, ...same } = page;
      assert.deepEqual([...expiredBefore!], [0, 0, 0]);
      assert.deepEqual(await store.read(query), same);
      assert.deepEqual(pieces(await store.readAt(Float64Array.of(1, 2, 9))), [[1, 1], [2, 2], [9, 9]]); // prettier-ignore
      assert.equal((await store.readAt(new Float64Array(0))).count, 0);
    },
  );
}
