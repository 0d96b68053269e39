import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reportText } from '../src/report.ts';
import { Interrupted } from '../src/run.ts';
import { type Faults, startFakeAggregator } from './fake-aggregator.ts';
import { assertPasses, checkOf, run, runAgainst, victim } from './stress-run.ts';

test('a faultless aggregator passes, and the report counts what was sent', async (t) => {
  const fake = await startFakeAggregator(t);
  const { report, progress } = await run(fake);
  assertPasses(report);
  assert.equal(fake.taken.length, 500);
  assert.equal(new Set(fake.taken).size, 400);
  assert.equal(report.answered, 500);
  assert.equal(report.accepted, 400);
  assert.equal(report.duplicates, 100);
  assert.equal(report.conflicts, 0);
  assert.equal(report.retries, 0);
  assert.ok(report.events_per_second > 0);
  assert.ok(report.latency_ms !== null && report.latency_ms.p50 > 0);
  assert.ok(
    report.latency_ms.p50 <= report.latency_ms.p99 && report.latency_ms.p99 <= report.latency_ms.max + 0.1,
  );
  assert.match(
    reportText(report),
    /^PASS: .*\n(.*\n)*  PASS  answers: .*\n  PASS  books: .*\n  PASS  stored: .*\n$/,
  );
  assert.equal(progress, '');
});

test('the same run id a second time is all duplicates, and passes', async (t) => {
  const fake = await startFakeAggregator(t);
  await run(fake);
  const { report } = await run(fake);
  assertPasses(report);
  assert.equal(report.accepted, 0);
  assert.equal(report.duplicates, 500);
});

test('two runs with different ids do not interfere', async (t) => {
  const fake = await startFakeAggregator(t);
  const reports = await Promise.all([run(fake), run(fake, { runId: 'run-2' })]);
  for (const { report } of reports) {
    assertPasses(report);
    assert.equal(report.accepted, 400);
  }
});

test('a run id that was used before for more events passes with a remark', async (t) => {
  const fake = await startFakeAggregator(t);
  await run(fake);
  const { report } = await run(fake, { count: 100 });
  assertPasses(report);
  assert.match(checkOf(report, 'stored').remarks.join(), /320 more events of stress-run-1 are stored/);
});

test("other publishers' events in between are a remark, not a failure", async (t) => {
  const fake = await startFakeAggregator(t, {
    refuse(request) {
      if (request === 5) fake.publish({ ...victim, event_id: 'theirs', source: 'somebody-else' });
      return undefined;
    },
  });
  const { report } = await run(fake);
  assertPasses(report);
  assert.match(
    checkOf(report, 'books').remarks.join(),
    /received grew by 1 more than was sent: others published/,
  );
});

test('one duplicate-free batch of one event is enough for a run', async (t) => {
  const fake = await startFakeAggregator(t);
  const { report } = await run(fake, { count: 1, topics: 1 });
  assertPasses(report);
  assert.equal(report.accepted, 1);
});

test('a 503 is retried, not before Retry-After has passed', async (t) => {
  const at: number[] = [];
  const refuse: Faults['refuse'] = (request) => {
    at.push(performance.now());
    return request === 1 ? { status: 503, headers: { 'retry-after': '1' } } : undefined;
  };
  const fake = await startFakeAggregator(t, { refuse });
  const { report, progress } = await run(fake, { count: 10 });
  assertPasses(report);
  assert.equal(report.retries, 1);
  assert.ok(at[1]! - at[0]! >= 1000, `came back after ${at[1]! - at[0]!} ms`);
  assert.match(progress, /retry 1: POST .* answered 503/);
});

test('408, 429 and 5xx are retried', async (t) => {
  const statuses = [408, 429, 500, 502];
  const refuse: Faults['refuse'] = (request) =>
    request % 2 === 1 && request < 8 ? { status: statuses[(request - 1) / 2]! } : undefined;
  const fake = await startFakeAggregator(t, { refuse });
  const { report } = await run(fake, { concurrency: 1 });
  assertPasses(report);
  assert.equal(report.retries, 4);
});

test('an answer lost after the commit is retried, and its duplicates pass', async (t) => {
  const report = await runAgainst(t, { loseAnswer: (request) => request === 4 });
  assertPasses(report);
  assert.equal(report.retries, 1);
  assert.ok(report.accepted < 400, 'the batch was accepted by the attempt whose answer got lost');
  assert.match(
    checkOf(report, 'books').remarks.join(),
    /20 more than was sent: retried batches arrived twice/,
  );
});

test('a request without an answer in time is retried', async (t) => {
  const report = await runAgainst(t, { hang: (request) => request === 2 }, { requestMs: 1500 });
  assertPasses(report);
  assert.equal(report.retries, 1);
});

test('an aggregator that stays away makes the run give up after the time for retries', async (t) => {
  const fake = await startFakeAggregator(t, {
    refuse: (request) =>
      request > 3 ? { status: 503, body: { code: 'queue_full', detail: 'the queue is full' } } : undefined,
  });
  const { report } = await run(fake, { retryMs: 1500 });
  assert.equal(report.outcome, 'FAIL');
  assert.match(report.stopped ?? '', /503 queue_full: the queue is full; given up after attempt \d+$/);
  assert.equal(report.answered, 60);
  assert.ok(report.retries > 0);
});

test('a Retry-After longer than the time for retries makes the run give up at once', async (t) => {
  const { report } = await run(
    await startFakeAggregator(t, { refuse: () => ({ status: 429, headers: { 'retry-after': '3600' } }) }),
  );
  assert.equal(report.outcome, 'FAIL');
  assert.match(report.stopped ?? '', /asks to wait 3600 s; given up after attempt 1$/);
});

test('any other 4xx makes the run give up at once, with the detail of the problem document', async (t) => {
  const body = { code: 'invalid_event', detail: 'event 3, topic: is too long' };
  const fake = await startFakeAggregator(t, { refuse: () => ({ status: 422, body }) });
  const { report } = await run(fake, { concurrency: 1 });
  assert.equal(report.outcome, 'FAIL');
  assert.match(report.stopped ?? '', /answered 422 invalid_event: event 3, topic: is too long$/);
  assert.equal(fake.publishCount, 1);
  assert.match(reportText(report), /^FAIL: (.*\n)*  stopped    POST .*\n  resume with --run-id=run-1 /);
});

test('a run waits for an aggregator that is not ready yet', async (t) => {
  const fake = await startFakeAggregator(t, { notReady: 2 });
  const { report, progress } = await run(fake);
  assertPasses(report);
  assert.equal(
    progress.match(/waiting for the aggregator: .* answered 503 store_unavailable: the store is opening\n/g)
      ?.length,
    1,
  );
});

test('an aggregator that never gets ready is a clear error, and nothing is sent', async (t) => {
  const fake = await startFakeAggregator(t, { notReady: 1000 });
  const { report } = await run(fake, {}, { readyMs: 1500 });
  assert.equal(report.outcome, 'FAIL');
  assert.match(report.stopped ?? '', /not ready within 1.5 s: GET .*\/ready answered 503/);
  assert.equal(fake.publishCount, 0);
});

test('an interrupted run reports what was answered until then', async (t) => {
  const interrupt = new AbortController();
  const fake = await startFakeAggregator(t, {
    hang(request) {
      if (request === 10) interrupt.abort(new Interrupted('by SIGINT'));
      return request >= 10;
    },
  });
  const { report } = await run(fake, { concurrency: 1 }, {}, interrupt.signal);
  assert.equal(report.outcome, 'INTERRUPTED');
  assert.equal(report.answered, 180);
  assert.equal(report.stopped, 'by SIGINT');
  assert.deepEqual(report.checks, []);
});

test('an interrupt does not wait for Retry-After', async (t) => {
  const interrupt = new AbortController();
  const fake = await startFakeAggregator(t, {
    refuse() {
      setTimeout(() => interrupt.abort(new Interrupted('by SIGINT')), 50);
      return { status: 503, headers: { 'retry-after': '40' } };
    },
  });
  const start = performance.now();
  const { report } = await run(fake, { retryMs: 60_000 }, {}, interrupt.signal);
  assert.equal(report.outcome, 'INTERRUPTED');
  assert.ok(performance.now() - start < 30_000);
});
