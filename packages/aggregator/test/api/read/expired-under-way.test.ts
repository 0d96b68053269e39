import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SqliteStore } from '../../../src/store/sqlite/store.ts';
import { eventWith } from '../../support/events.ts';
import { type EventsAnswer, TestServer } from '../../support/server.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

const EVENTS = 16;
const MESSAGE = 'x'.repeat(1_000_000);
const TICK_MS = 10;

test(
  'a whole answer whose reader is slow has all its events, and then the policy is obeyed [RET-22]',
  { timeout: 60_000 },
  async (t) => {
    const open = () => SqliteStore.open(join(tempFolder(t), 'events.db'));
    const server = await TestServer.startOn(t, open, {}, {}, { tickMs: TICK_MS, gatherMs: 0 });
    for (let i = 0; i < EVENTS; i++) {
      await server.publish(eventWith({ event_id: `e-${i}`, payload: { message: MESSAGE } }));
    }
    const response = await fetch(`${server.url}/events`);
    const policy = JSON.stringify({ topics: ['orders'], max_events: 1 });
    const put = await fetch(`${server.url}/retention/orders`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: policy,
    });
    assert.equal(put.status, 201);
    await sleep(20 * TICK_MS);
    assert.ok((await server.stats()).stored > 2, 'what the answer still needs is kept');
    const { count, events } = (await response.json()) as EventsAnswer;
    assert.deepEqual([count, events.length], [EVENTS, EVENTS]);
    await until(
      () => 'the others expire',
      async () => (await server.stats()).stored === 1,
    );
  },
);
