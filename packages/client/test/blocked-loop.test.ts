import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChronicleWeaver, ConnectionError, type Retry } from '../src/index.ts';
import { Transport } from '../src/transport.ts';
import { blockFor, compute } from './support/blocked-loop.ts';
import { ServerThread } from './support/server-thread.ts';

const TIMEOUT = { timeout: 60_000 };
// Each block is longer than what it outlasts, and that long enough for a request to reach a thread of a busy machine before it.
const FAST = { backoffMinMs: 1, backoffMaxMs: 4, source: 'shop' };
const now = (): number => performance.timeOrigin + performance.now();

test('a request does not time out if its answer came while the loop was blocked', TIMEOUT, async (t) => {
  const server = await ServerThread.start(t, (_, response) => {
    setTimeout(() => response.end('{"unique_processed":0}'), 100);
  });
  await using chronicle = new ChronicleWeaver({ url: server.url, requestMs: 1000, retryMs: 0 });
  const asking = chronicle.stats();
  await server.requests(1);
  await blockFor(2000);
  assert.equal((await asking).unique_processed, 0);
});

test('a connection that broke while the loop was blocked is not a timeout', TIMEOUT, async (t) => {
  const server = await ServerThread.start(t, (request) => {
    setTimeout(() => request.socket.destroy(), 100);
  });
  await using chronicle = new ChronicleWeaver({ url: server.url, requestMs: 1500, retryMs: 0 });
  const begunMs = performance.now();
  const refused = assert.rejects(chronicle.stats(), { code: 'unreachable' });
  await server.requests(1);
  // Too short for the timer to be noticeably late.
  await blockFor(begunMs + 1520 - performance.now());
  await refused;
});

test('a request that failed while the loop was blocked is retried', TIMEOUT, async (t) => {
  const server = await ServerThread.start(t, (request, response, number) => {
    if (number > 1) response.end('{"unique_processed":0}');
    else setTimeout(() => request.socket.destroy(), 100);
  });
  const retries: Retry[] = [];
  await using chronicle = new ChronicleWeaver({
    ...FAST,
    url: server.url,
    retryMs: 1500,
    onRetry: (retry) => retries.push(retry),
  });
  const asking = chronicle.stats();
  await server.requests(1);
  await blockFor(2000);
  await asking;
  assert.deepEqual(
    retries.map(({ error }) => error.code),
    ['unreachable'],
  );
});

test('a wait for the next attempt ends right after a block that outlasted it', TIMEOUT, async (t) => {
  t.mock.method(Math, 'random', () => 1);
  const transport = new Transport(
    { url: 'http://127.0.0.1', backoffMinMs: 1500 },
    new AbortController().signal,
  );
  const waiting = transport.retry(1, new ConnectionError('unreachable', 'gone'), undefined);
  compute(3000);
  const unblockedMs = performance.now();
  await waiting;
  const waitedMs = performance.now() - unblockedMs;
  assert.ok(waitedMs < 1200, `${waitedMs} ms`);
});

test('a stream that sent something while the loop was blocked is not silent', TIMEOUT, async (t) => {
  const server = await ServerThread.start(t, (_, response) => {
    response.writeHead(200).write(': hello\n\n');
    const speaking = setInterval(() => response.write(': hello\n\n'), 150);
    response.on('close', () => clearInterval(speaking));
  });
  const transport = new Transport({ url: server.url }, new AbortController().signal);
  const chunks = transport.stream('/events/stream', {}, 1000, undefined, () => {});
  assert.match(String((await chunks.next()).value), /hello/);
  const next = chunks.next();
  await blockFor(2000);
  assert.match(String((await next).value), /hello/);
  await chunks.return(undefined);
});

test(
  'events published before a block are sent right after it, once, and get one verdict each',
  TIMEOUT,
  async (t) => {
    const server = await ServerThread.start(t, (request, response) => {
      const { events } = JSON.parse((request as unknown as { text: string }).text) as { events: object[] };
      setTimeout(() => response.end(JSON.stringify({ results: events })), 100);
    });
    await using chronicle = new ChronicleWeaver({
      ...FAST,
      url: server.url,
      batchDelayMs: 50,
      requestMs: 1000,
    });
    const told: string[] = [];
    const publish = async (event_id: string): Promise<void> => {
      const result = await chronicle.publish({ topic: 'orders', event_id, payload: {} });
      told.push(result.event_id);
    };
    const first = publish('in flight');
    await server.requests(1);
    const others = ['buffered', 'buffered, too'].map(publish);
    await blockFor(2000);
    const unblockedMs = now();
    await Promise.all([first, ...others]);
    const ids = server.arrived.map(({ body }) =>
      (JSON.parse(body) as { events: { event_id: string }[] }).events.map(({ event_id }) => event_id),
    );
    assert.deepEqual(ids, [['in flight'], ['buffered', 'buffered, too']]);
    assert.deepEqual(told, ids.flat());
    const afterMs = server.arrived[1]!.atMs - unblockedMs;
    assert.ok(afterMs < 500, `sent ${afterMs} ms after the block`);
  },
);

test(
  'a follower whose connection breaks while its loop is blocked misses no event and sees none twice',
  TIMEOUT,
  async (t) => {
    // Sends an event every 30 ms, and cuts the connection in the middle of the fourth.
    const server = await ServerThread.start(t, (request, response) => {
      let offset = Number(new URL(request.url!, 'http://x').searchParams.get('after'));
      const last = offset + 4;
      response.writeHead(200).write(`id: ${offset}\n\n`);
      const speaking = setInterval(() => {
        const frame = `id: ${++offset}\ndata: {"offset":${offset}}\n\n`;
        if (offset < last) response.write(frame);
        else {
          response.write(frame.slice(0, -1), () => request.socket.destroy());
          clearInterval(speaking);
        }
      }, 30);
      response.on('close', () => clearInterval(speaking));
    });
    await using chronicle = new ChronicleWeaver({ ...FAST, url: server.url });
    const seen: number[] = [];
    for await (const { offset } of chronicle.subscribe({ after: 0 })) {
      seen.push(offset);
      if (seen.length === 2 || seen.length === 7) await blockFor(600);
      if (seen.length === 12) break;
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
    assert.ok(server.arrived.length >= 4, `${server.arrived.length} connections`);
  },
);
