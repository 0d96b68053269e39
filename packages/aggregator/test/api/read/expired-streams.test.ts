import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventSource } from 'eventsource';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { manyEvents } from '../../support/events.ts';
import { expireTo, onEachStore, policyWith, publishExpiring } from '../../support/letting-go.ts';
import { TestServer, problemIn } from '../../support/server.ts';
import { StreamReader } from '../../support/stream-reader.ts';

onEachStore(
  'a stream tells where events have expired, by an event named gap, and its id is a cursor [RET-25]',
  async (service) => {
    const { server, retention } = service;
    await retention.put(policyWith({ topics: ['bare'], keep: 'ids' }));
    const topics = ['a', 'a', 'bare', 'a', 'b', 'bare', 'a', 'b', 'a'];
    const events = manyEvents(topics.length, (i) => ({ topic: topics[i]! }));
    await publishExpiring(service, events, (offset) => [1, 2, 5, 7].includes(offset));
    const url = `${server.url}/events/stream`;
    const reader = await StreamReader.open(`${url}?after=earliest`);
    await reader.until(3);
    await server.publish(...manyEvents(2, () => ({ topic: 'live' })));
    await reader.until(5);
    assert.deepEqual(reader.offsets, [4, 8, 9, 10, 11]);
    assert.deepEqual(reader.gaps, [
      [0, { expired: 2, after: 0, next: 2 }],
      [1, { expired: 2, after: 4, next: 7 }],
    ]);
    const blocks = reader.blocks.filter(({ event }) => event === 'gap');
    assert.deepEqual(
      blocks.map((block) => [Object.keys(block), block['id']]),
      [
        [['event', 'id', 'data'], '2'],
        [['event', 'id', 'data'], '7'],
      ],
    );
    await reader.cut();

    const behind = await StreamReader.open(`${url}?topic=a&topic=bare`, { 'last-event-id': '2' });
    await behind.until(2);
    assert.deepEqual(behind.offsets, [4, 9]);
    assert.deepEqual(behind.gaps, [[1, { expired: 1, after: 4, next: 7 }]]);
    await behind.cut();
  },
);

onEachStore(
  'with expired=refuse a stream passes over nothing behind its cursor [RET-26]',
  async (service) => {
    const { server, retention } = service;
    await publishExpiring(service, manyEvents(9), (offset) => offset <= 3 || offset === 6);
    const url = `${server.url}/events/stream?expired=refuse`;
    for (const [cursor, headers, expected] of [
      ['&after=1', {}, { expired: 2, next: 3 }],
      ['&after=earliest', { 'last-event-id': '5' }, { expired: 1, next: 6 }],
      ['&lastEventId=2', {}, { expired: 1, next: 3 }],
    ] as const) {
      const problem = await problemIn(await fetch(url + cursor, { headers }), 410, 'cursor_expired');
      assert.deepEqual({ expired: problem.expired, next: problem.next }, expected);
    }
    assert.equal((await fetch(`${url}&after=1`, { method: 'HEAD' })).status, 410);

    // Nobody has read anything before the beginning; behind its first event the stream ends before the next gap.
    const fromStart = await StreamReader.open(`${url}&after=earliest`);
    await fromStart.ended;
    assert.deepEqual([fromStart.offsets, fromStart.gaps.length, fromStart.lastEventId], [[4, 5], 1, '5']);
    const behind = await StreamReader.open(`${url}&after=6`);
    await behind.until(3);
    await behind.cut();
    const latest = await StreamReader.open(url);
    await server.publish(...manyEvents(1, () => ({ topic: 'live' })));
    await latest.until(1);
    await expireTo(retention, 10);
    await latest.cut();
    const { next } = await problemIn(await fetch(`${url}&after=9`), 410, 'cursor_expired');
    assert.equal(next, 10);
  },
);

test("a listener of an EventSource's messages gets the events, and only one of gap what has expired [RET-25]", async (t) => {
  const store = new MemoryStore();
  const server = await TestServer.startOn(t, () => store);
  const isExpired = (offset: number): boolean => offset === 2;
  await publishExpiring({ server, store, retention: store.retention }, manyEvents(3), isExpired);
  const source = new EventSource(`${server.url}/events/stream?after=earliest`);
  t.after(() => source.close());
  const got: string[] = [];
  await new Promise<void>((resolve) => {
    source.addEventListener('gap', ({ data, lastEventId }) => got.push(`gap ${lastEventId} ${String(data)}`));
    source.addEventListener('message', ({ lastEventId }) => {
      got.push(lastEventId);
      if (lastEventId === '3') resolve();
    });
  });
  assert.deepEqual(got, ['1', 'gap 2 {"expired":1,"after":1,"next":2}', '3']);
});
