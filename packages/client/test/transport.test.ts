import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChronicleWeaver, ConnectionError, ProblemError, type Retry } from '../src/index.ts';
import { ScriptedServer, accepted, eventsIn, problem } from './support/scripted-server.ts';

const FAST = { backoffMinMs: 1, backoffMaxMs: 4, source: 'shop' };
const EVENT = { topic: 'orders', payload: {} };

test('network errors, timeouts, 408, 429 and 5xx are retried with the same events', async (t) => {
  const answers = ['cut', 'silence', 408, 429, 500, 502, 503, 504] as const;
  const server = await ScriptedServer.start(t, (request) => {
    const answer = answers[request.number - 1];
    if (answer === undefined) return accepted(request);
    return typeof answer === 'number' ? { status: answer, body: 'no' } : answer;
  });
  const retries: Retry[] = [];
  await using chronicle = new ChronicleWeaver({
    ...FAST,
    url: server.url,
    requestMs: 1000,
    onRetry: (retry) => retries.push(retry),
  });
  const { event_id } = await chronicle.publish(EVENT);
  assert.equal(server.arrived.length, answers.length + 1);
  for (const request of server.arrived) assert.equal(eventsIn(request)[0]?.event_id, event_id);
  assert.equal(new Set(server.arrived.map(({ body }) => body)).size, 1, 'a retry changed the event');
  assert.deepEqual(
    retries.map(({ error, attempts }) => [attempts, error.code]),
    answers.map((answer, i) => [
      i + 1,
      answer === 'cut' ? 'unreachable' : answer === 'silence' ? 'timeout' : 'http_error',
    ]),
  );
});

test('no other refusal is retried', async (t) => {
  for (const status of [400, 401, 403, 404, 405, 409, 415, 422]) {
    const server = await ScriptedServer.start(t, () => problem(status, 'a_code', { errors: [] }));
    await using chronicle = new ChronicleWeaver({ ...FAST, url: server.url });
    await assert.rejects(chronicle.publish(EVENT), (error) => {
      assert.ok(error instanceof ProblemError);
      assert.deepEqual([error.status, error.code, error.retryable], [status, 'a_code', false]);
      assert.equal(error.detail, 'because of a_code');
      return true;
    });
    assert.equal(server.arrived.length, 1, `${status} was retried`);
  }
});

test('waits double up to a cap, and each is drawn at random from its whole range', async (t) => {
  const server = await ScriptedServer.start(t, ({ number }) =>
    number < 7 ? { status: 503 } : { body: { unique_processed: 0 } },
  );
  const drawn: number[] = [];
  t.mock.method(Math, 'random', () => {
    drawn.push(drawn.length);
    return 0.999;
  });
  await using chronicle = new ChronicleWeaver({ url: server.url, backoffMinMs: 50, backoffMaxMs: 400 });
  await chronicle.stats();
  const waits = server.arrived.slice(1).map(({ atMs }, i) => atMs - server.arrived[i]!.atMs);
  for (const [i, least] of [50, 100, 200, 400, 400, 400].entries()) {
    // By another clock, a timer may fire a moment early.
    assert.ok(waits[i]! >= least - 2, `wait ${i + 1} was ${waits[i]} ms`);
  }
  t.mock.method(Math, 'random', () => 0);
  server.arrived.length = 0;
  const start = performance.now();
  await chronicle.stats();
  assert.ok(performance.now() - start < 1400, 'a draw of 0 does not wait');
});

test('a retry waits for Retry-After, as seconds and as a date', async (t) => {
  const headers = [() => '1', () => new Date(Date.now() + 2000).toUTCString()];
  const waits = headers.map(async (header) => {
    const server = await ScriptedServer.start(t, ({ number }) =>
      number === 1
        ? { status: 503, headers: { 'retry-after': header() } }
        : { body: { unique_processed: 0 } },
    );
    await using chronicle = new ChronicleWeaver({ ...FAST, url: server.url });
    await chronicle.stats();
    return server.arrived[1]!.atMs - server.arrived[0]!.atMs;
  });
  for (const waitMs of await Promise.all(waits)) assert.ok(waitMs >= 990, `came back after ${waitMs} ms`);
});

test('a request is given up after the time for retries, or at once if the service asks to wait longer', async (t) => {
  const busy = await ScriptedServer.start(t, () => problem(503, 'queue_full'));
  await using chronicle = new ChronicleWeaver({ ...FAST, url: busy.url, retryMs: 1000 });
  await assert.rejects(chronicle.publish(EVENT), {
    name: 'ProblemError',
    code: 'queue_full',
    status: 503,
    message: /answered 503 queue_full: because of queue_full; given up after attempt \d+$/,
  });
  assert.ok(busy.arrived.length > 2);

  const patient = await ScriptedServer.start(t, () => ({ status: 429, headers: { 'retry-after': '3600' } }));
  await using other = new ChronicleWeaver({ ...FAST, url: patient.url });
  await assert.rejects(other.stats(), {
    status: 429,
    retryAfterMs: 3_600_000,
    message: /it asks to wait 3600 s; given up after attempt 1$/,
  });
  assert.equal(patient.arrived.length, 1);
});

test('an error for a port where nobody listens names address and reason', async (t) => {
  const gone = await ScriptedServer.start(t, () => ({}));
  const chronicle = new ChronicleWeaver({ ...FAST, url: 'http://127.0.0.1:1', retryMs: 0 });
  await assert.rejects(chronicle.stats(), (error) => {
    assert.ok(error instanceof ConnectionError);
    assert.equal(error.code, 'unreachable');
    assert.match(error.message, /^GET http:\/\/127\.0\.0\.1:1\/stats: .*(ECONNREFUSED|bad port)/);
    return true;
  });
  assert.equal(gone.arrived.length, 0);
});

test('a network error that comes at the same moment as the timeout stays a network error', async () => {
  const failing: typeof fetch = (_, init) =>
    new Promise((_, reject) => {
      init!.signal!.addEventListener('abort', () => reject(new TypeError('fetch failed')));
    });
  await using chronicle = new ChronicleWeaver({ url: 'http://x', requestMs: 1, retryMs: 0, fetch: failing });
  await assert.rejects(chronicle.stats(), { code: 'unreachable' });
});

test('an answer that is not from ChronicleWeaver is an error that says so', async (t) => {
  const bodies = ['<html>', '{}', '[]', '"x"', '{"results":[]}'];
  for (const body of bodies) {
    const server = await ScriptedServer.start(t, () => ({ body }));
    await using chronicle = new ChronicleWeaver({ ...FAST, url: server.url });
    const calls = [chronicle.publish(EVENT), chronicle.stats(), chronicle.topics(), chronicle.read().next()];
    for (const one of await Promise.allSettled(calls)) {
      assert.equal(one.status === 'rejected' && (one.reason as ProblemError).code, 'unexpected_answer', body);
    }
  }
});

test('the error for the page of a proxy shows how the page begins', async (t) => {
  const server = await ScriptedServer.start(t, () => ({
    status: 404,
    body: `<h1>Nothing here</h1>${'x'.repeat(1000)}`,
  }));
  await using chronicle = new ChronicleWeaver({ ...FAST, url: server.url });
  await assert.rejects(chronicle.find('orders', 'x'), (error) => {
    assert.ok(error instanceof ProblemError);
    assert.deepEqual([error.status, error.code], [404, 'http_error']);
    assert.match(error.detail, /^<h1>Nothing here/);
    assert.equal(error.detail.length, 200);
    return true;
  });
});

test('the path of the url, the key and the headers go with every request', async (t) => {
  const server = await ScriptedServer.start(t, () => ({ body: { unique_processed: 0 } }));
  await using chronicle = new ChronicleWeaver({
    url: `${server.url}/logs/`,
    key: 'secret',
    headers: { 'x-team': 'shop' },
  });
  await chronicle.stats();
  const { url, headers } = server.arrived[0]!;
  assert.equal(url.pathname, '/logs/stats');
  assert.equal(headers['authorization'], 'Bearer secret');
  assert.equal(headers['x-team'], 'shop');
});

test('a signal ends a request that hangs, and the wait for the next attempt', async (t) => {
  const reason = new Error('enough');
  const hanging = await ScriptedServer.start(t, () => 'silence');
  await using first = new ChronicleWeaver({ url: hanging.url });
  const stop = new AbortController();
  const asking = first.stats({ signal: stop.signal });
  stop.abort(reason);
  await assert.rejects(asking, reason);

  const waiting = new AbortController();
  const busy = await ScriptedServer.start(t, () => ({ status: 503, headers: { 'retry-after': '30' } }));
  await using second = new ChronicleWeaver({ url: busy.url });
  const retrying = second.stats({ signal: waiting.signal });
  while (busy.arrived.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  waiting.abort(reason);
  await assert.rejects(retrying, reason);
});

test('a signal whose reason is the error of another request is not mistaken for a failure of this one', async (t) => {
  const hanging = await ScriptedServer.start(t, () => 'silence');
  await using chronicle = new ChronicleWeaver({ ...FAST, url: hanging.url, retryMs: 0 });
  const reason = new ConnectionError('unreachable', 'another request');
  const stop = new AbortController();
  const calls = [
    chronicle.stats({ signal: stop.signal }),
    chronicle.publish(EVENT, { signal: stop.signal }),
    chronicle.subscribe({}, { signal: stop.signal }).next(),
  ];
  while (hanging.arrived.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  stop.abort(reason);
  for (const one of await Promise.allSettled(calls))
    assert.equal(one.status === 'rejected' && one.reason, reason);
  assert.equal(reason.message, 'another request');
  assert.equal(hanging.arrived.length, 3);
});
