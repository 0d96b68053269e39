import { ChronicleWeaverError } from '@chronicleweaver/client';
import { createProgress } from '@chronicleweaver/terminal';
import { Aggregator, type TimeLimits } from './aggregator.ts';
import { type Check, checkAnswers, checkBooks, checkStored } from './check.ts';
import { createPlan } from './events.ts';
import type { Options } from './options.ts';
import { createTally, publishPlan } from './publish.ts';
import { type Ending, type Report, createReport } from './report.ts';

/**
 * One run, from waiting to the report. It always ends in a report: if the aggregator is unreachable or refuses, the
 * report says so; if the signal stops the run, it covers what was done until then. Only a bug throws.
 *
 * @param signal its reason must be an `Interrupted`
 * @param progressStream where waiting and progress are shown, stderr
 */
export async function runPublisher(
  options: Options,
  signal: AbortSignal,
  progressStream: NodeJS.WritableStream & { isTTY?: boolean },
  timeLimits: Partial<TimeLimits> = {},
): Promise<Report> {
  const aggregator = new Aggregator(options, { retryMs: options.retryMs, ...timeLimits });
  const plan = createPlan(options);
  const tally = createTally(plan);
  const checks: Check[] = [];

  let ending: Ending = { kind: 'finished' };
  try {
    await aggregator.waitUntilReady(signal, sayOnce(progressStream));
    const before = await aggregator.stats(signal);
    const progress = createProgress(
      { what: 'publishing', total: plan.order.length, unit: 'events' },
      progressStream,
    );
    try {
      await publishPlan(plan, aggregator, options, tally, progress, signal);
    } finally {
      progress.stop();
    }
    checks.push(checkAnswers(plan, tally));
    checks.push(checkBooks(before, await aggregator.stats(signal), plan, tally));
    checks.push(await checkStored(plan, tally, aggregator, signal));
  } catch (error) {
    if (error instanceof Interrupted) ending = { kind: 'interrupted', reason: error.message };
    else if (error instanceof ChronicleWeaverError) ending = { kind: 'gave-up', reason: error.message };
    else throw error;
  }
  return createReport(options, plan, tally, checks, ending);
}

/** Why a run is to stop early: the reason of the signal that `runPublisher` takes. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}

function sayOnce(stream: NodeJS.WritableStream): (reason: string) => void {
  let said = false;
  return (reason) => {
    if (!said) stream.write(`waiting for the aggregator: ${reason}\n`);
    said = true;
  };
}
