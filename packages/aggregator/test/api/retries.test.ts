import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import { manyEvents } from '../support/events.ts';
import { requestText } from '../support/raw-http.ts';
import { TestServer, problemIn } from '../support/server.ts';
import { answerIn } from '../support/publishing.ts';

test('a batch of 100,000 events is accepted, and all duplicates when retried; one event more is refused [PUB-4, PUB-10, P-3]', async (t) => {
  const server = await TestServer.start(t);
  const eventText = (i: number) =>
    `{"event_id":"${i}","topic":"t","source":"s","payload":{},"timestamp":"2025-10-28"}`;
  const texts = Array.from({ length: LIMITS.batchEventsMax + 1 }, (_, i) => eventText(i));
  const tooMany = `{"events":[${texts.join()}]}`;
  texts.pop();
  const batch = `{"events":[${texts.join()}]}`;

  const { detail } = await problemIn(await server.post(tooMany), 413, 'batch_too_large');
  assert.match(detail, /at most 100000 events/);
  assert.equal((await server.stats()).received, 0);

  const first = await answerIn(await server.post(batch, {}, '/publish?results=true'));
  assert.deepEqual([first.events_count, first.accepted, first.duplicates], [100_000, 100_000, 0]);
  assert.ok(first.results!.every(({ event_id: id, offset }, i) => id === `${i}` && offset === i + 1));
  const again = await answerIn(await server.post(batch, {}, '/publish?results=true'));
  assert.deepEqual([again.events_count, again.accepted, again.duplicates], [100_000, 0, 100_000]);
  assert.equal(again.conflicts, 0);
  assert.ok(again.results!.every(({ offset, verdict }, i) => offset === i + 1 && verdict === 'duplicate'));
  assert.equal((await server.stats()).unique_processed, 100_000);
});

test('a retried batch is all duplicates with the first offsets [PUB-10]', async (t) => {
  const server = await TestServer.start(t);
  const batch = manyEvents(100);
  const first = await server.publish(...batch);
  await server.publish(...manyEvents(10, (i) => ({ event_id: `between-${i}` })));
  for (const retry of [batch, batch.toReversed()]) {
    const { accepted, duplicates, conflicts, results } = await server.publish(...retry);
    assert.deepEqual([accepted, duplicates, conflicts], [0, 100, 0]);
    const offsets = new Map(results!.map(({ event_id: id, offset }) => [id, offset]));
    for (const { event_id: id, offset } of first.results!) assert.equal(offsets.get(id), offset);
  }
});

test('publishes whose answer was never read may be sent again, and each event is stored once [PUB-10, P-2]', async (t) => {
  const server = await TestServer.start(t);
  const batches = Array.from({ length: 20 }, (_, i) => manyEvents(20, (n) => ({ event_id: `${i}-${n}` })));
  const { hostname, port } = new URL(server.url);
  for (const [i, events] of batches.entries()) {
    const text = requestText(
      'POST /publish',
      { 'content-type': 'application/json' },
      JSON.stringify({ events }),
    );
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        // Cut the connection within the body, right after it, or a little later.
        const sent = i % 3 === 0 ? text.slice(0, -10) : text;
        socket.write(sent, () => setTimeout(() => socket.destroy(), i % 5));
      });
      socket.on('error', () => socket.destroy());
      socket.on('close', () => resolve());
    });
  }
  const answers = await Promise.all(batches.map((events) => server.publish(...events)));
  for (const { accepted, duplicates, conflicts } of answers) {
    assert.ok(
      (accepted === 0 || duplicates === 0) && conflicts === 0,
      'a batch is stored completely or not at all',
    );
  }
  const { count, events } = await server.events();
  assert.deepEqual([count, new Set(events.map(({ event_id: id }) => id)).size], [400, 400]);
});

test('of 32 clients that publish the same events at once, exactly one gets each event accepted [P-2, PUB-5, P-5]', async (t) => {
  const server = await TestServer.start(t);
  const events = manyEvents(40);
  const answers = await Promise.all(
    Array.from({ length: 32 }, (_, client) => {
      // Each has its own order and source, which shows which event was kept.
      const turned = [...events.slice(client), ...events.slice(0, client)];
      return server.publish(...turned.map((event) => ({ ...event, source: `client-${client}` })));
    }),
  );
  const { events: stored, count } = await server.events();
  assert.equal(count, 40);
  for (const event of stored) {
    const results = answers.map(({ results }) => results!.find(({ event_id: id }) => id === event.event_id)!);
    const accepted = results.flatMap(({ verdict }, client) => (verdict === 'accepted' ? [client] : []));
    assert.deepEqual(
      accepted.map((client) => `client-${client}`),
      [event.source],
    );
    assert.ok(results.every(({ offset, verdict }) => offset === event.offset && verdict !== 'duplicate'));
  }
  const stats = await server.stats();
  assert.deepEqual(
    [stats.received, stats.unique_processed, stats.duplicated_dropped, stats.conflicts],
    [32 * 40, 40, 31 * 40, 31 * 40],
  );
});

test('a reader sees a batch completely or not at all [P-3]', async (t) => {
  const server = await TestServer.start(t);
  const state = { publishing: true };
  const publishers = Array.from({ length: 4 }, async (_, p) => {
    for (let i = 0; i < 10; i++)
      await server.publish(...manyEvents(250, (n) => ({ event_id: `${p}-${i}-${n}` })));
  });
  const reader = async (): Promise<void> => {
    while (state.publishing) {
      const { count, events } = await server.events();
      assert.deepEqual([count % 250, events.length], [0, count]);
      const { received, last_offset: last } = await server.stats();
      assert.deepEqual([received % 250, last], [0, received]);
    }
  };
  const reading = reader();
  await Promise.all(publishers);
  state.publishing = false;
  await reading;
  assert.equal((await server.events()).count, 10_000);
});
