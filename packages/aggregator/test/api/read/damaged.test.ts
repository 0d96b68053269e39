import assert from 'node:assert/strict';
import { type IncomingMessage, get } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { changeBehind, flippedIn } from '../../support/behind.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { TestServer, problemIn } from '../../support/server.ts';
import { StreamReader } from '../../support/stream-reader.ts';
import { until } from '../../support/until.ts';

/** Flips one bit of the block that begins with this offset, as a faulty disk does. */
function damage(
  server: TestServer,
  firstOffset: number,
  part = 'body',
  table = 'fresh_block',
): Promise<void> {
  return changeBehind(server, {
    sqlite: `UPDATE ${table} SET ${part} = flipped(${part}) WHERE first_offset = ${firstOffset}`,
    postgres: `
      UPDATE block SET ${part} = ${flippedIn(part)} FROM log
      WHERE log.append_id = block.append_id AND log.first_offset + block.place = ${firstOffset};
      UPDATE merged_block SET ${part} = ${flippedIn(part)} WHERE first_offset = ${firstOffset}`,
  });
}

/** Publishes each event in a commit, and so a block, of its own; some are compressed, some are not. */
async function publishBlocks(server: TestServer, count: number): Promise<void> {
  for (let block = 0; block < count; block++) {
    const chars = block % 2 === 0 ? 10 : 2000;
    await server.publish(
      ...Array.from({ length: 10 }, (_, i): Event =>
        eventWith({
          event_id: `${block}-${i}`,
          topic: `t${block}`,
          payload: { message: `${block} `.repeat(chars) },
        }),
      ),
    );
  }
  if (server.storeUrl !== undefined) return;
  // For a moment the newest blocks alone tell the topics' counts; this is about blocks that only hold events.
  using db = new DatabaseSync(server.databasePath, { readOnly: true });
  const lag = db.prepare('SELECT books.last_offset - ledger.last_offset AS events FROM books, ledger');
  await until(
    () => 'the rows of the books are up to date',
    () => lag.get()!['events'] === 0,
  );
}

for (const [what, firstOffset, part] of [
  ['an uncompressed text', 21, 'body'],
  ['compressed texts', 11, 'body'],
  ['the directory of a block', 21, 'directory'],
] as const) {
  test(`one flipped bit in ${what} is noticed by readers and not delivered [ERR-7]`, async (t) => {
    const server = await TestServer.start(t);
    await publishBlocks(server, 4);
    await damage(server, firstOffset, part);

    const topic = `t${(firstOffset - 1) / 10}`;
    for (const path of [
      `/events?after=${firstOffset - 1}&limit=5`,
      `/events?after=${firstOffset - 1}`,
      `/events?topic=${topic}`,
      '/events?limit=1000',
      `/events/${topic}/${topic.slice(1)}-3`,
    ]) {
      const { detail } = await problemIn(await fetch(server.url + path), 500, 'store_damaged');
      assert.match(detail, new RegExp(`block at offset ${firstOffset}: .*verify`), path);
    }
    // Everything else can still be read.
    assert.equal((await server.events('?after=30')).count, 10);
    assert.equal((await server.events('?limit=5')).count, 5);
    assert.equal((await server.stats()).received, 40);
    assert.equal((await server.publish(eventWith({ event_id: 'new' }))).accepted, 1);
  });
}

test('a live stream that meets damage is cut off, and the reconnect is told why [STR-11, ERR-7]', async (t) => {
  const server = await TestServer.start(t);
  await publishBlocks(server, 40);
  await damage(server, 381);
  const url = `${server.url}/events/stream?after=earliest`;
  const reader = await StreamReader.open(url);
  await reader.ended;
  const last = Number(reader.lastEventId);
  assert.ok(last > 0 && last < 381, `got up to ${last}`);
  assert.equal(reader.events.length, last);
  const back = await fetch(url, { headers: { 'last-event-id': reader.lastEventId } });
  await problemIn(back, 500, 'store_damaged');
  // New events can still be followed.
  const live = await StreamReader.open(`${server.url}/events/stream`);
  await server.publish(eventWith({ event_id: 'new' }));
  await live.until(1);
});

test('an answer that meets damage halfway is cut short, so that no reader takes it for complete [ERR-7]', async (t) => {
  const server = await TestServer.start(t);
  await publishBlocks(server, 40);
  await damage(server, 381);
  for (const accept of ['application/json', 'application/x-ndjson']) {
    const response = await fetch(`${server.url}/events`, { headers: { accept } });
    assert.equal(response.status, 200);
    await assert.rejects(response.text(), /terminated/, accept);
  }
});

test('damage met while a reader takes nothing ends its answer and nothing else [ERR-7]', async (t) => {
  const server = await TestServer.start(t);
  // More than the sockets buffer.
  const message = Array.from({ length: 12_000 }, (_, i) => String.fromCodePoint(33 + ((i * i) % 90))).join(
    '',
  );
  for (let block = 0; block < 30; block++) {
    await server.publish(...manyEvents(50, (k) => ({ event_id: `${block}-${k}`, payload: { message } })));
  }
  // Wherever the answer stalls, the next block read is one of these.
  for (let block = 29; block > 0; block--) {
    await damage(server, 1 + 50 * block, 'body', 'merged_block');
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`${server.url}/events`, resolve).once('error', reject);
    });
    response.on('error', () => {});
    response.pause();
    await sleep(30);
    response.destroy();
  }
  assert.equal((await server.stats()).received, 1500);
});
