import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Site } from '../lab/aggregator-process.ts';
import { TestServer } from '../packages/aggregator/test/support/server.ts';
import { OriginalClient, asOriginal, originalEvent, originalEvents } from './support/original-client.ts';

const TIMEOUT = { timeout: 120_000 };

test('events, their order and the books survive a restart [P-1, P-5]', TIMEOUT, async (t) => {
  const site = new Site(t);
  const events = originalEvents(50, (i) => ({ topic: `topic-${i % 3}` }));
  const before = await site.start();
  await new OriginalClient(before.url).publish(...events, ...events.slice(0, 10));
  await before.stop();

  const restartedMs = performance.now();
  const after = new OriginalClient((await site.start()).url);
  assert.deepEqual((await after.events()).events.map(asOriginal), events);
  assert.deepEqual(
    (await after.events('topic-1')).events.map(asOriginal),
    events.filter(({ topic }) => topic === 'topic-1'),
  );
  const { uptime, ...stats } = await after.stats();
  assert.ok(uptime <= (performance.now() - restartedMs) / 1000 + 1, `${uptime} s`);
  assert.equal(stats.received, 60);
  assert.equal(stats.unique_processed, 50);
  assert.equal(stats.duplicated_dropped, 10);
  assert.deepEqual(stats.topics.toSorted(), ['topic-0', 'topic-1', 'topic-2']);
});

test('an event retried after a restart is a duplicate, not a second event [P-2]', TIMEOUT, async (t) => {
  const server = await TestServer.start(t);
  await new OriginalClient(server.url).publish(originalEvent());

  await server.restart();
  const retried = new OriginalClient(server.url);
  await retried.publish(originalEvent(), originalEvent({ event_id: 'event-002' }));
  assert.deepEqual(
    (await retried.events()).events.map(({ event_id }) => event_id),
    ['event-001', 'event-002'],
  );

  await server.restart();
  const stats = await new OriginalClient(server.url).stats();
  assert.equal(stats.received, 3);
  assert.equal(stats.unique_processed, 2);
  assert.equal(stats.duplicated_dropped, 1);
});

test('events stored before a crash are known after it [P-1, P-2]', TIMEOUT, async (t) => {
  const site = new Site(t);
  const before = await site.start();
  await new OriginalClient(before.url).publish(...originalEvents(100));
  await before.kill();

  const after = new OriginalClient((await site.start()).url);
  await after.publish(...originalEvents(100));
  assert.equal((await after.events()).count, 100);
  const stats = await after.stats();
  assert.equal(stats.received, 200);
  assert.equal(stats.duplicated_dropped, 100);
});

test('the database path is created if it is missing', TIMEOUT, async (t) => {
  const site = new Site(t);
  const path = join(site.folder, 'a', 'folder that is new', 'chronicle.db');
  const aggregator = await site.start({ settings: { DEDUPLICATION_DB_PATH: path } });
  await new OriginalClient(aggregator.url).publish(originalEvent());
  assert.ok(existsSync(path));
});

test('two files are independent of each other', TIMEOUT, async (t) => {
  for (let file = 1; file <= 2; file++) {
    const client = new OriginalClient((await TestServer.start(t)).url);
    await client.publish(originalEvent());
    assert.equal((await client.stats()).unique_processed, 1);
  }
});
