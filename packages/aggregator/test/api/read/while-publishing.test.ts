import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Event, StoredEvent } from '@chronicleweaver/protocol';
import { eventWith, manyEvents } from '../../support/events.ts';
import { requestText } from '../../support/raw-http.ts';
import { type EventsAnswer, TestServer } from '../../support/server.ts';

const MIB = 1024 * 1024;

const ids = (events: readonly Event[]) => events.map(({ event_id: id }) => id);

test('an answer in progress does not include later commits, and keeps its count [READ-2]', async (t) => {
  const server = await TestServer.start(t);
  const large = manyEvents(24, () => ({ payload: { text: 'x'.repeat(MIB - 300) } }));
  await server.publish(...large.slice(0, 12));
  await server.publish(...large.slice(12));
  const published = ids(large);
  for (const [query, accept] of [
    ['', 'application/json'],
    ['?order=desc', 'application/json'],
    ['?topic=orders', 'application/x-ndjson'],
  ] as const) {
    const expected = query === '?order=desc' ? published.toReversed() : [...published];
    const response = await fetch(`${server.url}/events${query}`, { headers: { accept } });
    const reader = response.body!.getReader();
    const pieces = [(await reader.read()).value!];
    // More than the connection and the reader buffer must still be read from the store.
    const late = manyEvents(10, (i) => ({ event_id: `late ${query} ${i}` }));
    await server.publish(...late);
    published.push(...ids(late));
    await wait(20);
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) pieces.push(piece.value);
    const text = Buffer.concat(pieces).toString();
    const events =
      accept === 'application/json'
        ? (JSON.parse(text) as EventsAnswer).events
        : text
            .trimEnd()
            .split('\n')
            .map((line) => JSON.parse(line) as StoredEvent);
    assert.deepEqual(ids(events), expected);
    if (accept === 'application/json') assert.equal((JSON.parse(text) as EventsAnswer).count, events.length);
  }
  assert.equal((await server.events('?after=24')).count, 30);
});

test('readers that leave in the middle of a long answer do not affect the server [READ-2]', async (t) => {
  const server = await TestServer.start(t);
  const large = manyEvents(15, () => ({ payload: { text: 'x'.repeat(MIB - 300) } }));
  await server.publish(...large);
  const { hostname, port } = new URL(server.url);
  await Promise.all(
    Array.from({ length: 40 }, (_, i) => {
      const query = i % 2 === 0 ? '' : '?limit=100';
      return new Promise<void>((resolve) => {
        const socket = connect(Number(port), hostname, () =>
          socket.write(requestText(`GET /events${query}`)),
        );
        socket.once('data', () => (i % 3 === 0 ? socket.resetAndDestroy() : socket.destroy()));
        socket.on('error', () => socket.destroy());
        socket.on('close', () => resolve());
      });
    }),
  );
  assert.equal((await server.publish(eventWith({ event_id: 'after' }))).accepted, 1);
  const { count, events } = await server.events();
  assert.deepEqual([count, events.length], [16, 16]);
  assert.deepEqual(await server.get('/health'), { message: 'healthy' });
});

test('every read that begins after a publish was answered sees its events [READ-10]', async (t) => {
  const server = await TestServer.start(t);
  await Promise.all(
    Array.from({ length: 4 }, async (_, p) => {
      for (let i = 0; i < 15; i++) {
        const event = eventWith({ topic: `t${p}`, event_id: `${i}` });
        const offset = (await server.publish(event)).results![0]!.offset;
        const reads = await Promise.all([
          server.events(`?after=${offset - 1}&limit=1`).then(({ events }) => events[0]),
          server.events(`?topic=t${p}`).then(({ events }) => events.at(-1)),
          server.get<StoredEvent>(`/events/t${p}/${i}`),
        ]);
        for (const read of reads)
          assert.deepEqual([read?.event_id, read?.topic, read?.offset], [`${i}`, `t${p}`, offset]);
        const { topics } = await server.get<{ topics: { topic: string; events: number }[] }>('/topics');
        assert.equal(topics.find(({ topic }) => topic === `t${p}`)?.events, i + 1);
        assert.ok((await server.stats()).last_offset >= offset);
      }
    }),
  );
});

test('a reader that polls the log sees every event once and in order while many publish [READ-6, P-4]', async (t) => {
  const server = await TestServer.start(t);
  const TOTAL = 4 * 20 * 25;
  const publishing = Promise.all(
    Array.from({ length: 4 }, async (_, p) => {
      for (let i = 0; i < 20; i++)
        await server.publish(...manyEvents(25, (n) => ({ event_id: `${p}-${i}-${n}` })));
    }),
  );
  const followers = [40, 70, 10_000, undefined].map(async (limit) => {
    const seen: StoredEvent[] = [];
    while (seen.length < TOTAL) {
      const after = seen.at(-1)?.offset ?? 0;
      const { events } = await server.events(
        `?after=${after}${limit === undefined ? '' : `&limit=${limit}`}`,
      );
      seen.push(...events);
    }
    return seen;
  });
  await publishing;
  for (const seen of await Promise.all(followers)) {
    assert.ok(seen.every(({ offset }, i) => i === 0 || offset > seen[i - 1]!.offset));
    assert.equal(new Set(ids(seen)).size, TOTAL);
  }
});
