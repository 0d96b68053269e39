import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';
import { type Socket, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestContext, test } from 'node:test';
import type { Event, Problem } from '@chronicleweaver/protocol';
import { type AggregatorProcess, Site, assertBalanced } from '../lab/aggregator-process.ts';
import { STORE } from '../lab/test-store.ts';
import { until } from '../lab/program.ts';

const TIMEOUT = { timeout: 60_000 };

/** What the service promises to operators who stop it. */
const EXIT_WITHIN_MS = 10_000;

function eventsOf(prefix: string, count: number, messageChars = 100): Event[] {
  return Array.from({ length: count }, (_, i) => ({
    event_id: `${prefix}-${i}`,
    topic: 'orders',
    source: 'web',
    payload: { message: 'x'.repeat(messageChars) },
    timestamp: '2025-10-28T10:00:00Z',
  }));
}

interface Answered {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Settles with the answer, or with the code of the error if there is none. */
function answerTo(sent: ClientRequest): Promise<Answered | string> {
  return new Promise((resolve) => {
    sent.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    sent.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (body += piece));
      response.once('error', (error) => resolve(`cut short: ${error.message}`));
      response.once('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
  });
}

function publishRequest(aggregator: AggregatorProcess, options: { agent?: Agent; headers?: object }) {
  return request(`${aggregator.url}/publish`, {
    method: 'POST',
    agent: options.agent ?? false,
    headers: { 'content-type': 'application/json', ...options.headers },
  });
}

function assertShuttingDown(answer: Answered): void {
  assert.equal(answer.status, 503, answer.body);
  assert.equal((JSON.parse(answer.body) as Problem).code, 'shutting_down');
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
  assert.ok(Number(answer.headers['retry-after']) > 0);
}

/** Waits for a clean end in time, and checks that the log was checkpointed into the file. */
async function assertCleanExit(site: Site, aggregator: AggregatorProcess, withinMs: number): Promise<void> {
  const { code, signal } = await aggregator.program.exit(withinMs);
  assert.equal(code, 0, `${signal} ${aggregator.program.printed()}`);
  assert.equal(aggregator.program.stderr, '');
  assert.equal(aggregator.logs.at(-1)?.msg, 'stopped');
  const wal = `${site.databasePath}-wal`;
  assert.ok(!existsSync(wal) || statSync(wal).size === 0, 'the log was not checkpointed into the file');
}

function signal(aggregator: AggregatorProcess, name: NodeJS.Signals): Promise<void> {
  aggregator.program.signal(name);
  return until(
    () => 'the stop to begin',
    () => aggregator.logs.some((line) => line['signal'] === name),
  );
}

for (const name of ['SIGTERM', 'SIGINT'] as const) {
  test(
    `after ${name} amid publishes, exactly the answered ones are stored [P-1, P-5, ERR-5]`,
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      const aggregator = await site.start();
      const acknowledged = new Set<string>();
      const outcomes = new Map<string, number>();
      const publisher = async (id: number): Promise<void> => {
        for (let batch = 0; ; batch++) {
          const events = eventsOf(`${id}-${batch}`, 20);
          const sent = publishRequest(aggregator, {});
          const answering = answerTo(sent);
          sent.end(JSON.stringify({ events }));
          const answer = await answering;
          const outcome = typeof answer === 'string' ? answer : String(answer.status);
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          if (outcome === '200') {
            for (const { event_id } of events) acknowledged.add(event_id);
          } else if (typeof answer === 'string') {
            // No longer accepted: refused, or dropped by the kernel from the queue of waiting connections.
            assert.match(answer, /^(ECONNREFUSED|ECONNRESET|EPIPE)$/);
            return;
          } else assertShuttingDown(answer);
        }
      };
      const publishers = Promise.all(Array.from({ length: 8 }, (_, id) => publisher(id)));
      await until(
        () => 'an answer',
        () => acknowledged.size > 0,
      );
      await Promise.race([sleep(300), publishers]);
      aggregator.program.signal(name);
      const start = performance.now();
      await assertCleanExit(site, aggregator, EXIT_WITHIN_MS);
      const tookMs = performance.now() - start;
      await publishers;
      t.diagnostic(`${Math.round(tookMs)} ms, ${JSON.stringify(Object.fromEntries(outcomes))}`);
      assert.ok(tookMs < 4000, `nothing was slow, yet the stop took ${tookMs} ms`);

      const after = await site.start();
      const { events } = await after.events();
      const stored = new Set(events.map(({ event_id }) => event_id));
      assert.deepEqual(
        [...acknowledged].filter((id) => !stored.has(id)),
        [],
      );
      assert.deepEqual(
        [...stored].filter((id) => !acknowledged.has(id)),
        [],
      );
      assertBalanced(await after.stats());
    },
  );
}

test(
  'a publish whose body is under way is stored and answered, and a later one is refused [P-1, ERR-5]',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const aggregator = await site.start();
    const body = JSON.stringify({ events: eventsOf('under-way', 50) });

    const sent = publishRequest(aggregator, {
      headers: { expect: '100-continue', 'content-length': String(body.length) },
    });
    const answering = answerTo(sent);
    const taken = new Promise((resolve) => sent.once('continue', resolve));
    sent.flushHeaders();
    await taken;
    sent.write(body.slice(0, 1000));
    // Half a request head: the request begins before the stop and completes after it.
    const late = await openSocket(t, aggregator, 'POST /publish HTTP/1.1\r\nhost: localhost\r\n');

    await signal(aggregator, 'SIGTERM');
    const lateText = text(late);
    const lateBody = JSON.stringify({ events: eventsOf('late', 1) });
    late.write(`content-type: application/json\r\ncontent-length: ${lateBody.length}\r\n\r\n${lateBody}`);
    const [head, problem] = (await lateText).split('\r\n\r\n') as [string, string];
    assert.match(head, /^HTTP\/1\.1 503 /);
    assert.match(head, /\r\nconnection: close/i);
    assert.match(head, /\r\nretry-after: [1-9]/i);
    assert.match(head, /\r\ncontent-type: application\/problem\+json/i);
    assert.equal((JSON.parse(problem) as Problem).code, 'shutting_down');

    const tooLate = publishRequest(aggregator, {});
    const tooLateAnswering = answerTo(tooLate);
    tooLate.end(JSON.stringify({ events: eventsOf('too-late', 1) }));
    assert.equal(await tooLateAnswering, 'ECONNREFUSED');

    sent.end(body.slice(1000));
    const answer = await answering;
    assert.ok(typeof answer !== 'string' && answer.status === 200, JSON.stringify(answer));
    await assertCleanExit(site, aggregator, 3000);

    const after = await site.start();
    const { events } = await after.events();
    assert.equal(events.length, 50);
    assert.ok(events.every(({ event_id }) => event_id.startsWith('under-way')));
  },
);

test('connections that are kept open do not hold up the stop', TIMEOUT, async (t) => {
  const site = new Site(t);
  const aggregator = await site.start();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (let i = 0; i < 2; i++) {
    const sent = publishRequest(aggregator, { agent });
    const answering = answerTo(sent);
    sent.end(JSON.stringify({ events: eventsOf(`kept-${i}`, 1) }));
    assert.notEqual(typeof (await answering), 'string');
  }
  await openSocket(t, aggregator);
  const start = performance.now();
  aggregator.program.signal('SIGTERM');
  await assertCleanExit(site, aggregator, EXIT_WITHIN_MS);
  const tookMs = performance.now() - start;
  t.diagnostic(`${Math.round(tookMs)} ms`);
  assert.ok(tookMs < 3000, `${tookMs} ms`);
});

test(
  'a slow reader of a long answer and a request that never completes are cut off in time [READ-2]',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const aggregator = await site.start();
    // More than the buffers of two sockets hold.
    for (let i = 0; i < 30; i++) await aggregator.publish(...eventsOf(`long-${i}`, 1000, 1000));

    const reader = await openSocket(t, aggregator);
    let received = '';
    reader.setEncoding('utf8').on('data', (piece: string) => (received += piece));
    reader.write('GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await until(
      () => 'the answer to begin',
      () => received.includes('{"count":30000,"events":['),
    );
    reader.pause();
    await openSocket(t, aggregator, 'POST /publish HTTP/1.1\r\nhost: localhost\r\n');

    const start = performance.now();
    await signal(aggregator, 'SIGTERM');
    await assertCleanExit(site, aggregator, EXIT_WITHIN_MS);
    t.diagnostic(`${Math.round(performance.now() - start)} ms`);

    const closed = new Promise((resolve) => reader.once('close', resolve));
    reader.resume();
    await closed;
    assert.ok(!received.endsWith('0\r\n\r\n'), 'the answer looks complete');

    const after = await site.start();
    assert.equal((await after.stats()).unique_processed, 30_000);
    await after.stop();
    if (STORE === 'sqlite') assert.deepEqual(readdirSync(site.folder), ['events.db', 'events.db-lock']);
  },
);

/** A connection whose bytes the service has seen, because one opened after it was answered. */
async function openSocket(t: TestContext, aggregator: AggregatorProcess, sent = ''): Promise<Socket> {
  const socket = connect(aggregator.port, '127.0.0.1');
  t.after(() => socket.destroy());
  // That it was cut is seen by what it got.
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write(sent);
  const probe = request(`${aggregator.url}/health`, { agent: false });
  const answering = answerTo(probe);
  probe.end();
  assert.notEqual(typeof (await answering), 'string');
  return socket;
}
