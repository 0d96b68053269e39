import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { TimeLimits } from '../src/aggregator.ts';
import type { Check } from '../src/check.ts';
import { createPlan } from '../src/events.ts';
import type { Options } from '../src/options.ts';
import type { Report } from '../src/report.ts';
import { runPublisher } from '../src/run.ts';
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

export async function run(
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

export async function runAgainst(
  t: TestContext,
  faults: Faults,
  timeLimits?: Partial<TimeLimits>,
): Promise<Report> {
  return (await run(await startFakeAggregator(t, faults), {}, timeLimits)).report;
}

export function checkOf(report: Report, name: Check['name']): Check {
  const check = report.checks.find((check) => check.name === name);
  assert.ok(check, `${name} was not checked: ${report.stopped}`);
  return check;
}

export function assertFails(report: Report, name: Check['name'], detail: RegExp): void {
  assert.equal(report.outcome, 'FAIL');
  assert.equal(checkOf(report, name).pass, false);
  assert.match(checkOf(report, name).detail, detail);
}

export function assertPasses(report: Report): void {
  assert.deepEqual(
    report.checks.map(({ name, pass, detail }) => (pass ? name : `${name}: ${detail}`)),
    ['answers', 'books', 'stored'],
    report.stopped ?? '',
  );
  assert.equal(report.outcome, 'PASS');
}

export const victim = createPlan(SMALL).eventAt(7);

export function isVictim(event: { event_id: string }): boolean {
  return event.event_id === victim.event_id;
}
