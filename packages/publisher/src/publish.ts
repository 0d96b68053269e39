import { type RecordableHistogram, createHistogram } from 'node:perf_hooks';
import type { Event } from '@chronicleweaver/protocol';
import type { Progress } from '@chronicleweaver/terminal';
import type { Aggregator, VerdictAnswer } from './aggregator.ts';
import type { Plan } from './events.ts';
import type { Options } from './options.ts';

/** The sums of a run's answers. They are right at any moment, even if the run stops in the middle. */
export interface Tally {
  /** Events whose answer has arrived. */
  answered: number;
  accepted: number;
  /** Including conflicts, as on the wire. */
  duplicates: number;
  conflicts: number;
  retries: number;
  /** Time spent publishing. */
  elapsedMs: number;
  /** Latency of each batch's answered attempt, in µs, because a histogram takes only whole numbers. */
  latencyUs: RecordableHistogram;
  /** By index of the unique event, the offset of its verdicts, or NaN before the first verdict. */
  offsets: Float64Array;
  /** Verdicts that contradict each other or the batch they answer, each as a phrase; only the first few. */
  contradictions: string[];
  contradictionCount: number;
}

export function createTally(plan: Plan): Tally {
  return {
    answered: 0,
    accepted: 0,
    duplicates: 0,
    conflicts: 0,
    retries: 0,
    elapsedMs: 0,
    latencyUs: createHistogram(),
    offsets: new Float64Array(plan.uniqueCount).fill(Number.NaN),
    contradictions: [],
    contradictionCount: 0,
  };
}

/**
 * Sends the plan in batches, `concurrency` at a time, and adds every answer to the tally.
 * @throws ChronicleWeaverError if a batch is given up, which stops the others, or the signal's reason
 */
export async function publishPlan(
  plan: Plan,
  aggregator: Aggregator,
  options: Pick<Options, 'batchSize' | 'concurrency'>,
  tally: Tally,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const failure = new AbortController();
  const stop = AbortSignal.any([signal, failure.signal]);
  const acceptedBefore = new Uint8Array(plan.uniqueCount);
  const start = performance.now();
  let nextPlace = 0;

  const lane = async (): Promise<void> => {
    try {
      while (nextPlace < plan.order.length && !stop.aborted) {
        const indexes = plan.order.subarray(nextPlace, nextPlace + options.batchSize);
        nextPlace += indexes.length;
        const events = Array.from(indexes, (index) => plan.eventAt(index));
        const { answer, latencyMs } = await aggregator.publish(JSON.stringify({ events }), stop, (reason) => {
          tally.retries++;
          progress.note(`retry ${tally.retries}: ${reason}`);
        });
        tally.latencyUs.record(Math.max(1, Math.round(latencyMs * 1000)));
        addAnswer(indexes, events, answer, tally, acceptedBefore);
        progress.advance(tally.answered);
      }
    } catch (error) {
      failure.abort(error);
    }
  };

  const lanes = Math.min(options.concurrency, Math.ceil(plan.order.length / options.batchSize));
  await Promise.all(Array.from({ length: lanes }, lane));
  tally.elapsedMs = performance.now() - start;
  stop.throwIfAborted();
}

function addAnswer(
  indexes: Uint32Array,
  events: Event[],
  answer: VerdictAnswer,
  tally: Tally,
  acceptedBefore: Uint8Array,
): void {
  const contradict = (phrase: string): void => {
    tally.contradictionCount++;
    if (tally.contradictions.length < 3) tally.contradictions.push(phrase);
  };
  const counted = { accepted: 0, duplicate: 0, conflict: 0 };

  if (answer.results.length !== indexes.length) {
    contradict(`${answer.results.length} verdicts for a batch of ${indexes.length}`);
  }
  for (const [place, result] of answer.results.slice(0, indexes.length).entries()) {
    const index = indexes[place]!;
    const { event_id: eventId, topic } = events[place]!;
    tally.answered++;
    counted[result.verdict]++;
    if (result.event_id !== eventId || result.topic !== topic) {
      contradict(`${result.topic}/${result.event_id} where ${topic}/${eventId} was sent`);
      continue;
    }
    if (result.verdict === 'accepted') {
      if (acceptedBefore[index] === 1) contradict(`${topic}/${eventId} accepted twice`);
      acceptedBefore[index] = 1;
    }
    const known = tally.offsets[index]!;
    if (!Number.isNaN(known) && known !== result.offset) {
      contradict(`${topic}/${eventId} at offset ${known} and at ${result.offset}`);
    }
    tally.offsets[index] = result.offset;
  }

  tally.accepted += counted.accepted;
  tally.duplicates += counted.duplicate + counted.conflict;
  tally.conflicts += counted.conflict;
  if (
    answer.events_count !== indexes.length ||
    answer.accepted !== counted.accepted ||
    answer.duplicates !== counted.duplicate + counted.conflict ||
    answer.conflicts !== counted.conflict
  ) {
    contradict('an answer whose counts differ from its verdicts');
  }
}
