import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { TimeLimits } from '../src/aggregator.ts';
import type { Check } from '../src/check.ts';
import { createPlan } from '../src/events.ts';
import type { Options } from '../src/options.ts';
import { type Report, reportText } from '../src/report.ts';
import { Interrupted, runPublisher } from '../src/run.ts';
import { Collector } from './collector.ts';
import { type FakeAggregator, type Faults, startFakeAggregator } from './fake-aggregator.ts';

const SMALL: Omit<Options, 'baseUrl'> = {
  count: 500,
  duplicateRatio: 0.2,
  batchSize: 20,
  concurrency: 3,
  topics: 3,
  runId: 'run-1',
  retryMs: 5000,
  json: false,
};

async function run(
  fake: FakeAggregator,
  given: Partial<Options> = {},
  timeLimits: Partial<TimeLimits> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<{ report: Report; progress: string }> {
  const stream = new Collector();
  const options = { ...SMALL, baseUrl: `http://127.0.0.1:${fake.port}`, ...given };
  const report = await runPublisher(options, signal, stream, timeLimits);
  return { report, progress: stream.text };
}

async function runAgainst(t: TestContext, faults: Faults, timeLimits?: Partial<TimeLimits>): Promise<Report> {
  return (await run(await startFakeAggregator(t, faults), {}, timeLimits)).report;
}

function checkOf(report: Report, name: Check['name']): Check {
  const check = report.checks.find((check) => check.name === name);
  assert.ok(check, `${name} was not checked: ${report.stopped}`);
  return check;
}

function assertFails(report: Report, name: Check['name'], detail: RegExp): void {
  assert.equal(report.outcome, 'FAIL');
  assert.equal(checkOf(report, name).pass, false);
  assert.match(checkOf(report, name).detail, detail);
}

function assertPasses(report: Report): void {
  assert.deepEqual(
    report.checks.map(({ name, pass, detail }) => (pass ? name : `${name}: ${detail}`)),
    ['answers', 'books', 'stored'],
    report.stopped ?? '',
  );
  assert.equal(report.outcome, 'PASS');
}

const victim = createPlan(SMALL).eventAt(7);

function isVictim(event: { event_id: string }): boolean {
  return event.event_id === victim.event_id;
}

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

test('two runs with other ids keep apart', async (t) => {
  const fake = await startFakeAggregator(t);
  const reports = await Promise.all([run(fake), run(fake, { runId: 'run-2' })]);
  for (const { report } of reports) {
    assertPasses(report);
    assert.equal(report.accepted, 400);
  }
});

test('a run id that was used for more events before passes with a remark', async (t) => {
  const fake = await startFakeAggregator(t);
  await run(fake);
  const { report } = await run(fake, { count: 100 });
  assertPasses(report);
  assert.match(checkOf(report, 'stored').remarks.join(), /320 more events of stress-run-1 are stored/);
});

test('events of others in between are a remark, not a failure', async (t) => {
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

test('an event that was accepted and lost fails', async (t) => {
  const report = await runAgainst(t, { keep: (event) => (isVictim(event) ? [] : [event]) });
  assertFails(report, 'stored', new RegExp(`^1 missing \\(first: ${victim.topic}/${victim.event_id}\\)$`));
});

test('an event that is kept twice fails', async (t) => {
  const report = await runAgainst(t, { keep: (event) => (isVictim(event) ? [event, event] : [event]) });
  assertFails(report, 'stored', new RegExp(`1 stored twice \\(first: ${victim.topic}/${victim.event_id}\\)`));
});

test('a payload that came back changed fails', async (t) => {
  const report = await runAgainst(t, {
    keep: (event) => [isVictim(event) ? { ...event, payload: { ...event.payload, user_id: 'x' } } : event],
  });
  assertFails(report, 'stored', /^1 changed \(first: .*, payload\)$/);
});

test('a timestamp that came back in another form fails', async (t) => {
  const report = await runAgainst(t, {
    keep: (event) => [{ ...event, timestamp: event.timestamp.replace('Z', '+00:00') }],
  });
  assertFails(report, 'stored', /^400 changed \(first: .*, timestamp\)$/);
});

test('an event in another topic than its own is missing', async (t) => {
  assert.notEqual(victim.topic, 'orders');
  const report = await runAgainst(t, {
    keep: (event) => [isVictim(event) ? { ...event, topic: 'orders' } : event],
  });
  assertFails(report, 'stored', /^1 missing/);
});

test('a page out of order fails', async (t) => {
  const report = await runAgainst(t, { page: (events) => events.toReversed() });
  assertFails(report, 'stored', /^\d+ out of order/);
});

test('a page that leads to itself fails instead of going round for ever', async (t) => {
  const report = await runAgainst(t, { next: () => 1 });
  assertFails(report, 'stored', /page without end \(first: .*, next 1 after 1\)/);
});

test('an offset that is not the one of the verdict fails', async (t) => {
  const report = await runAgainst(t, {
    verdict: (result) => (isVictim(result) ? { ...result, offset: 99_999 } : result),
  });
  assertFails(report, 'stored', /^1 not at the offset of its verdict .* instead of 99999/);
});

test('verdicts that give one event two offsets fail', async (t) => {
  const report = await runAgainst(t, {
    verdict: (result) =>
      result.verdict === 'duplicate' ? { ...result, offset: result.offset + 1000 } : result,
  });
  assertFails(report, 'answers', /contradictions \(.* at offset \d+ and at \d+/);
});

test('an event that is accepted twice fails', async (t) => {
  const report = await runAgainst(t, { verdict: (result) => ({ ...result, verdict: 'accepted' }) });
  assertFails(report, 'answers', /^100 contradictions \(.* accepted twice/);
});

test('a conflict fails', async (t) => {
  const fake = await startFakeAggregator(t);
  fake.publish({ ...victim, payload: { message: 'somebody was here first' } });
  const { report } = await run(fake);
  assertFails(report, 'answers', /^\d+ conflicts$/);
  assert.ok(report.conflicts > 0);
  assert.equal(report.accepted, 399);
  assert.equal(report.duplicates, 101, 'duplicates count conflicts too');
  assertFails(report, 'stored', /^1 changed/);
});

test('a verdict about another event fails', async (t) => {
  const report = await runAgainst(t, {
    verdict: (result) => (isVictim(result) ? { ...result, event_id: 'another' } : result),
  });
  assertFails(report, 'answers', /another where .* was sent/);
});

test('counts that differ from the verdicts fail', async (t) => {
  const report = await runAgainst(t, { counts: (counts) => ({ ...counts, accepted: counts.accepted + 1 }) });
  assertFails(report, 'answers', /^25 contradictions \(an answer whose counts differ from its verdicts/);
});

test('an event without a verdict fails', async (t) => {
  const report = await runAgainst(t, { results: (results) => results.slice(1) });
  assertFails(report, 'answers', /^25 events without a verdict; .*19 verdicts for a batch of 20/);
});

test('an answer that is no publish answer is given up at once', async (t) => {
  const report = await runAgainst(t, { refuse: () => ({ status: 200, body: 'hello' }) });
  assert.equal(report.outcome, 'FAIL');
  assert.match(report.stopped ?? '', /answered 200 without a verdict per event$/);
});

test('books that do not balance fail', async (t) => {
  const report = await runAgainst(t, {
    stats: (stats) => ({ ...stats, duplicated_dropped: stats.duplicated_dropped + 1 }),
  });
  assertFails(
    report,
    'books',
    /^before the run received was 0, but unique and dropped add up to 1; after the run received was 500, .* 501/,
  );
});

test('books that forget a part of the run fail', async (t) => {
  const report = await runAgainst(t, {
    stats: ({ received, unique_processed: unique, ...rest }) => ({
      ...rest,
      received: Math.max(0, received - 3),
      unique_processed: Math.max(0, unique - 3),
    }),
  });
  assertFails(report, 'books', /^received grew by 497, though 500 were sent; unique_processed grew by 397, /);
});

test('books that count a dropped event as unique fail', async (t) => {
  const report = await runAgainst(t, {
    stats: ({ received, unique_processed: unique, duplicated_dropped: dropped }) => {
      const moved = Math.min(1, dropped);
      return { received, unique_processed: unique + moved, duplicated_dropped: dropped - moved };
    },
  });
  assertFails(report, 'books', /^unique_processed grew by 401, though 400 were accepted/);
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
  const report = await runAgainst(t, { hang: (request) => request === 2 }, { requestMs: 300 });
  assertPasses(report);
  assert.equal(report.retries, 1);
});

test('an aggregator that stays away is given up after the time for retries', async (t) => {
  const fake = await startFakeAggregator(t, {
    refuse: (request) =>
      request > 3 ? { status: 503, body: { code: 'queue_full', detail: 'the queue is full' } } : undefined,
  });
  const { report } = await run(fake, { retryMs: 400 });
  assert.equal(report.outcome, 'FAIL');
  assert.match(report.stopped ?? '', /503 queue_full: the queue is full; given up after attempt \d+$/);
  assert.equal(report.answered, 60);
  assert.ok(report.retries > 0);
});

test('a Retry-After longer than the time for retries is given up at once', async (t) => {
  const { report } = await run(
    await startFakeAggregator(t, { refuse: () => ({ status: 429, headers: { 'retry-after': '3600' } }) }),
  );
  assert.equal(report.outcome, 'FAIL');
  assert.match(report.stopped ?? '', /asks to wait 3600 s; given up after attempt 1$/);
});

test('another 4xx is given up at once, with what the problem document says', async (t) => {
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
  const { report } = await run(fake, {}, { readyMs: 400 });
  assert.equal(report.outcome, 'FAIL');
  assert.match(report.stopped ?? '', /not ready within 0.4 s: GET .*\/ready answered 503/);
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
      return { status: 503, headers: { 'retry-after': '4' } };
    },
  });
  const start = performance.now();
  const { report } = await run(fake, {}, {}, interrupt.signal);
  assert.equal(report.outcome, 'INTERRUPTED');
  assert.ok(performance.now() - start < 2000);
});
