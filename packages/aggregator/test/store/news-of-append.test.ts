import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { newsOf } from '../../src/store/news-of-append.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';

test('the news of an append visits the stored events above the requested offset [STR-1]', async () => {
  const store = new MemoryStore();
  const batches = [
    batchOf(...manyEvents(3, () => ({ topic: 'a' }))),
    batchOf(eventWith({ event_id: 'e-2', topic: 'a' }), eventWith({ event_id: 'b', topic: 'b' })),
  ];
  const news = newsOf(batches, await store.append(batches));
  assert.deepEqual([news?.after, news?.lastOffset], [0, 4]);
  const above = (offset: number, topic?: string): number[] => {
    const offsets: number[] = [];
    news!.events!.each(
      offset,
      (one) => topic === undefined || one === topic,
      (_topic, _text, at) => offsets.push(at),
    );
    return offsets;
  };
  assert.deepEqual(above(0), [1, 2, 3, 4]);
  assert.deepEqual(above(2), [3, 4]);
  assert.deepEqual(above(4), []);
  assert.deepEqual(above(0, 'a'), [1, 2, 3]);
  assert.equal(newsOf(batches, await store.append(batches)), null, 'duplicates are no news');
});
