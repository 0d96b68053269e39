import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../../lab/program.ts';
import { manyEvents } from '../../aggregator/test/support/events.ts';
import { ChronicleWeaver, type Handler } from '../src/index.ts';
import { compute } from './support/blocked-loop.ts';
import { ScriptedServer } from './support/scripted-server.ts';
import { sharedServer } from './support/shared-server.ts';

const TIMEOUT = { timeout: 60_000 };
const server = await sharedServer();

/** All that are handled block the loop for longer than a lease; each leaves a busy machine the time to extend it. */
const handlers: Record<string, Handler> = {
  computes: () => compute(500),
  'awaits and computes': async () => {
    await sleep(5);
    compute(500);
  },
  'computes, awaits and computes': async () => {
    compute(250);
    await sleep(5);
    compute(250);
  },
};

for (const [what, handler] of Object.entries(handlers)) {
  test(`a handler that ${what} handles each event once [GRP-6, GRP-10]`, TIMEOUT, async (t) => {
    await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
    await server.publish(...manyEvents(7, () => ({ topic: t.name })));
    const name = `busy-${what.replaceAll(/\W+/g, '-')}`;
    const definition = { topics: [t.name], start: 'earliest', lease_ms: 2500, max_deliveries: 3 } as const;
    await chronicle.groups.create(name, definition);
    let runs = 0;
    const told: unknown[] = [];
    const stop = new AbortController();
    const consuming = chronicle.consume(
      name,
      (event, context) => {
        runs++;
        return handler(event, context);
      },
      { concurrency: 8, signal: stop.signal, onError: (error) => told.push(error) },
    );
    await until(
      () => 'the group to be drained',
      async () => (await chronicle.groups.get(name)).lag === 0,
      50_000,
    );
    stop.abort();
    await consuming;
    const { acknowledged, dead } = await chronicle.groups.get(name);
    assert.deepEqual({ runs, acknowledged, dead, told }, { runs: 7, acknowledged: 7, dead: 0, told: [] });
  });
}

test('no handler starts on a lease that ended while the loop was blocked', TIMEOUT, async (t) => {
  const stop = new AbortController();
  let pulls = 0;
  const server = await ScriptedServer.start(t, ({ url }) => {
    if (url.pathname.endsWith('/ack')) return {};
    if (!url.pathname.endsWith('/pull')) return { body: { lease_ms: 2000 } };
    if (++pulls > 2) return 'silence';
    const event = { lease_id: `lease-${pulls}`, delivery: pulls };
    if (pulls === 2) return { body: { events: [event] } };
    return (response) => {
      response.end(JSON.stringify({ events: [event] }));
      compute(2400);
    };
  });
  await using chronicle = new ChronicleWeaver({ url: server.url });
  const begun: number[] = [];
  await chronicle.consume(
    'workers',
    ({ delivery }) => {
      begun.push(delivery);
      stop.abort();
    },
    { signal: stop.signal },
  );
  assert.deepEqual(begun, [2]);
});

test('a long handler keeps its lease through a block of the event loop [GRP-10]', TIMEOUT, async (t) => {
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  await server.publish(...manyEvents(2, () => ({ topic: t.name })));
  await chronicle.groups.create('patient', { topics: [t.name], start: 'earliest', lease_ms: 4000 });
  const stop = new AbortController();
  let begun = 0;
  const lost: boolean[] = [];
  await chronicle.consume(
    'patient',
    async (_, { signal }) => {
      if (++begun === 2) setTimeout(compute, 1000, 1000);
      await sleep(4500);
      if (lost.push(signal.aborted) === 2) stop.abort();
    },
    { concurrency: 2, signal: stop.signal },
  );
  assert.deepEqual(lost, [false, false]);
  const { acknowledged, redeliveries } = await chronicle.groups.get('patient');
  assert.deepEqual({ acknowledged, redeliveries }, { acknowledged: 2, redeliveries: 0 });
});
