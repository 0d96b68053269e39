import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { eventWith } from '../../support/events.ts';
import { RawConnection, requestText } from '../../support/raw-http.ts';
import { type EventsAnswer, TestServer, problemIn } from '../../support/server.ts';
import { STALLED_COUNT, stallReader } from '../../support/stalled-reader.ts';

const TIMEOUT = { timeout: 120_000 };
/** Several pauses of the slow reader, though the machine be busy; it reads for longer. */
const STALLED_MS = 4000;
const ROOM = { READ_BYTES_MAX: `${1024 * 1024}` };

/** Repeats the request until its answer has the expected status. */
async function untilStatus(url: string, status: number): Promise<Response> {
  for (;;) {
    const response = await fetch(url);
    if (response.status === status) return response;
    await response.arrayBuffer();
  }
}

test(
  'while other answers take all the room, a read gets 503 with Retry-After [READ-11, ERR-5]',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(t, ROOM);
    const stalled = await stallReader(t, server);
    const refused = await untilStatus(`${server.url}/events?topic=none`, 503);
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    await problemIn(refused, 503, 'readers_full');
    // Small reads still fit, and other requests need no room.
    await server.publish(eventWith({ event_id: 'small', topic: 'small' }));
    assert.equal((await server.events('?topic=small&limit=10')).count, 1);
    await server.get('/events/small/small');
    await server.stats();

    stalled.leave();
    const response = await untilStatus(`${server.url}/events`, 200);
    assert.equal(((await response.json()) as EventsAnswer).count, STALLED_COUNT + 1);
  },
);

test(
  'a page for which there is not enough room has fewer events, and the next one continues there [READ-5, READ-11]',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(t, { READ_BYTES_MAX: `${2 * 1024 * 1024}` });
    const stalled = await stallReader(t, server);
    await untilShort();
    const ids: string[] = [];
    for (let after: number | null = 0; after !== null;) {
      const page: EventsAnswer = await server.events(`?limit=10&after=${after}`);
      assert.ok(page.count >= 1 && page.count <= 2, `${page.count} events`);
      ids.push(...page.events.map(({ event_id: id }) => id));
      after = page.next!;
    }
    assert.deepEqual(
      ids,
      Array.from({ length: STALLED_COUNT }, (_, i) => `large-${i}`),
    );
    stalled.leave();

    async function untilShort(): Promise<void> {
      while ((await server.events('?limit=3')).count === 3);
    }
  },
);

test(
  'a stalled reader gives way when others need its room, an active one does not [READ-11, READ-2]',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(t, ROOM, { readStalledMs: STALLED_MS });
    const stalled = await stallReader(t, server);
    const waited = await untilStatus(`${server.url}/events`, 200);
    assert.equal(
      ((await waited.json()) as EventsAnswer).count,
      STALLED_COUNT,
      'another reader gets its room',
    );
    stalled.resume();
    assert.ok(
      !(await stalled.closed()).endsWith('0\r\n\r\n'),
      'an answer that was cut does not look complete',
    );

    const slow = await RawConnection.open(t, server.url);
    slow.send(requestText('GET /events', { connection: 'close' }));
    await slow.received('HTTP/1.1 200 OK\r\n');
    const reading = slow.closed();
    slow.pause();
    const pausing = setInterval(() => {
      slow.resume();
      setTimeout(() => slow.pause(), 2);
    }, STALLED_MS / 6);
    let refused = 0;
    while (!slow.isClosed) {
      const response = await fetch(`${server.url}/events?topic=none`);
      if (response.status === 503) refused += 1;
      await response.arrayBuffer();
      // The reader and the service are in this process.
      await sleep(10);
    }
    clearInterval(pausing);
    assert.ok((await reading).endsWith(']}\r\n0\r\n\r\n'));
    assert.ok(refused > 0, 'it ended before anybody needed its room');
  },
);

test(
  'a request that follows a read on its connection starts when the read is answered [READ-12]',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(t);
    const stalled = await stallReader(t, server);
    const tail = requestText('GET /events?limit=1&order=desc', { connection: 'close' });
    stalled.send(tail);
    await server.publish(eventWith({ event_id: 'later' }));
    stalled.resume();
    const answered = await stalled.closed();
    assert.match(answered.slice(answered.lastIndexOf('HTTP/1.1 200')), /"event_id":"later"/);
  },
);
