import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../../lab/program.ts';
import { manyEvents } from '../../aggregator/test/support/events.ts';
import { ChronicleWeaver, type Handler, type Retry } from '../src/index.ts';
import { Transport } from '../src/transport.ts';
import { ServerThread } from './support/server-thread.ts';
import { ScriptedServer } from './support/scripted-server.ts';
import { sharedServer } from './support/shared-server.ts';

const TIMEOUT = { timeout: 60_000 };
const server = await sharedServer();

function compute(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Blocks the loop where its next turn fires timers before it reads what has arrived. */
async function blockFor(ms: number): Promise<void> {
  await sleep(50);
  await new Promise((resolve) => setImmediate(resolve));
  compute(ms);
}

const handlers: Record<string, Handler> = {
  computes: () => compute(200),
  'awaits and computes': async () => {
    await sleep(5);
    compute(200);
  },
  'computes, awaits and computes': async () => {
    compute(100);
    await sleep(5);
    compute(100);
  },
};

for (const [what, handler] of Object.entries(handlers)) {
  test(`a handler that ${what} works on each event once [GRP-6, GRP-10]`, TIMEOUT, async (t) => {
    await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
    await server.publish(...manyEvents(16, () => ({ topic: t.name })));
    const name = `busy-${what.replaceAll(/\W+/g, '-')}`;
    const definition = { topics: [t.name], start: 'earliest', lease_ms: 1000, max_deliveries: 3 } as const;
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
      40_000,
    );
    stop.abort();
    await consuming;
    const { acknowledged, dead } = await chronicle.groups.get(name);
    assert.deepEqual({ runs, acknowledged, dead, told }, { runs: 16, acknowledged: 16, dead: 0, told: [] });
  });
}

test('no handler begins on a lease that ended while the loop was blocked', TIMEOUT, async (t) => {
  const stop = new AbortController();
  let pulls = 0;
  const server = await ScriptedServer.start(t, ({ url }) => {
    if (url.pathname.endsWith('/ack')) return {};
    if (!url.pathname.endsWith('/pull')) return { body: { lease_ms: 400 } };
    if (++pulls > 2) return 'silence';
    const event = { lease_id: `lease-${pulls}`, delivery: pulls };
    if (pulls === 2) return { body: { events: [event] } };
    return (response) => {
      response.end(JSON.stringify({ events: [event] }));
      compute(1000);
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

test('a request whose answer came while the loop was blocked has not timed out', TIMEOUT, async (t) => {
  const server = await ServerThread.start(t);
  const retries: Retry[] = [];
  await using chronicle = new ChronicleWeaver({
    url: server.url,
    requestMs: 300,
    retryMs: 0,
    onRetry: (retry) => retries.push(retry),
  });
  const asking = chronicle.stats();
  await blockFor(1500);
  assert.equal((await asking).unique_processed, 0);
  assert.deepEqual(retries, []);
});

test('a stream that spoke while the loop was blocked is not silent', TIMEOUT, async (t) => {
  const server = await ServerThread.start(t);
  const transport = new Transport({ url: server.url }, new AbortController().signal);
  const chunks = transport.stream('/events/stream', {}, 300, undefined, () => {});
  assert.match(String((await chunks.next()).value), /hello/);
  const next = chunks.next();
  await blockFor(1500);
  assert.match(String((await next).value), /hello/);
  await chunks.return(undefined);
});
