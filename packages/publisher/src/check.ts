import { isDeepStrictEqual } from 'node:util';
import type { Aggregator, Stats } from './aggregator.ts';
import type { Plan } from './events.ts';
import type { Tally } from './publish.ts';

/** One criterion that a run is judged by. `detail` is one line; `remarks` are worth a look, but are no failure. */
export interface Check {
  name: 'answers' | 'books' | 'stored';
  pass: boolean;
  detail: string;
  remarks: string[];
}

/** Every event sent got one verdict, no verdict contradicts another, and none is a conflict. */
export function checkAnswers(plan: Plan, tally: Tally): Check {
  const sent = plan.order.length;
  const wrong = [
    ...(tally.answered === sent ? [] : [`${sent - tally.answered} events without a verdict`]),
    ...(tally.conflicts === 0 ? [] : [`${tally.conflicts} conflicts`]),
    ...(tally.contradictionCount === 0
      ? []
      : [`${tally.contradictionCount} contradictions (${tally.contradictions.join('; ')})`]),
  ];
  return verdict('answers', wrong, `each of ${sent} events got its verdict, none a conflict`);
}

/**
 * `/stats` balances before and after, and grew by at least this run. More is no failure: others may publish at the
 * same time, and a batch whose answer got lost counts each time it arrives. But if `received` grew by exactly what
 * was sent, neither happened, and `unique_processed` must have grown by exactly what was accepted.
 */
export function checkBooks(before: Stats, after: Stats, plan: Plan, tally: Tally): Check {
  const sent = plan.order.length;
  const received = after.received - before.received;
  const unique = after.unique_processed - before.unique_processed;
  const wrong: string[] = [];
  const remarks: string[] = [];

  for (const [when, stats] of [['before', before] as const, ['after', after] as const]) {
    const sum = stats.unique_processed + stats.duplicated_dropped;
    if (stats.received !== sum) {
      wrong.push(`${when} the run received was ${stats.received}, but unique and dropped add up to ${sum}`);
    }
  }
  if (received < sent) wrong.push(`received grew by ${received}, though ${sent} were sent`);
  if (unique < tally.accepted || (received === sent && unique > tally.accepted)) {
    wrong.push(`unique_processed grew by ${unique}, though ${tally.accepted} were accepted`);
  }
  if (received > sent) {
    const why =
      tally.retries === 0 ? 'others published too' : 'retried batches arrived twice, or others published';
    remarks.push(`received grew by ${received - sent} more than was sent: ${why}`);
  }
  return verdict(
    'books',
    wrong,
    `received grew by ${received}, unique_processed by ${unique}, and both sides balance`,
    remarks,
  );
}

/**
 * Reads the run's events back: each unique event is stored once, as it was sent, at the offset of its verdict, and
 * the offsets of a topic only rise.
 * @throws ChronicleWeaverError if a page cannot be read
 */
export async function checkStored(
  plan: Plan,
  tally: Tally,
  aggregator: Aggregator,
  signal: AbortSignal,
): Promise<Check> {
  const indexes = new Map<string, number>();
  for (let index = 0; index < plan.uniqueCount; index++) indexes.set(plan.eventAt(index).event_id, index);
  const seen = new Uint8Array(plan.uniqueCount);
  const findings = new Map<string, { count: number; first: string }>();
  const find = (what: string, which: string): void => {
    const finding = findings.get(what);
    if (finding === undefined) findings.set(what, { count: 1, first: which });
    else finding.count++;
  };
  let strangers = 0;

  for (const topic of plan.topicNames) {
    let after: number | null = null;
    let lastOffset = -1;
    do {
      const page = await aggregator.page(topic, plan.source, after, signal);
      for (const event of page.events) {
        const which = `${topic}/${event.event_id}`;
        if (event.offset <= lastOffset) find('out of order', which);
        lastOffset = event.offset;

        const index = indexes.get(event.event_id);
        const sent = index === undefined ? undefined : plan.eventAt(index);
        if (index === undefined || sent?.topic !== topic) {
          strangers++;
          continue;
        }
        const { offset, received_at: _, ...fields } = event;
        if (seen[index] === 1) find('stored twice', which);
        seen[index] = 1;
        if (!isDeepStrictEqual(fields, sent)) find('changed', `${which}, ${changedFields(fields, sent)}`);
        const promised = tally.offsets[index]!;
        if (!Number.isNaN(promised) && promised !== offset) {
          find('not at the offset of its verdict', `${which}, ${offset} instead of ${promised}`);
        }
      }
      if (page.next !== null && page.next <= (after ?? -1)) {
        find('page without end', `${topic}, next ${page.next} after ${after}`);
        break;
      }
      after = page.next;
    } while (after !== null);
  }

  for (const [index, times] of seen.entries()) {
    if (times > 0) continue;
    const { topic, event_id: eventId } = plan.eventAt(index);
    find('missing', `${topic}/${eventId}`);
  }
  return verdict(
    'stored',
    Array.from(findings, ([what, { count, first }]) => `${count} ${what} (first: ${first})`),
    `each of ${plan.uniqueCount} unique events is stored once, as it was sent, in order`,
    strangers === 0
      ? []
      : [`${strangers} more events of ${plan.source} are stored: this run id ran before with other flags`],
  );
}

function changedFields(stored: object, sent: object): string {
  const theirs = new Map<string, unknown>(Object.entries(stored));
  const ours = new Map<string, unknown>(Object.entries(sent));
  const names = new Set([...ours.keys(), ...theirs.keys()]);
  return [...names].filter((name) => !isDeepStrictEqual(theirs.get(name), ours.get(name))).join(', ');
}

function verdict(name: Check['name'], wrong: string[], right: string, remarks: string[] = []): Check {
  return { name, pass: wrong.length === 0, detail: wrong.length === 0 ? right : wrong.join('; '), remarks };
}
