import { isDeepStrictEqual } from 'node:util';
import type { StoredEvent } from '@chronicleweaver/protocol';
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
  const stored = new StoredEvents(plan, tally);
  for (const topic of plan.topicNames) await stored.readTopic(topic, aggregator, signal);
  return stored.judge();
}

/** The stored events of a run, compared one by one with what was sent. */
class StoredEvents {
  readonly #plan: Plan;
  readonly #tally: Tally;
  readonly #indexes = new Map<string, number>();
  readonly #seen: Uint8Array;
  readonly #findings = new Map<string, { count: number; first: string }>();
  #strangers = 0;

  constructor(plan: Plan, tally: Tally) {
    this.#plan = plan;
    this.#tally = tally;
    this.#seen = new Uint8Array(plan.uniqueCount);
    for (let index = 0; index < plan.uniqueCount; index++) {
      this.#indexes.set(plan.eventAt(index).event_id, index);
    }
  }

  async readTopic(topic: string, aggregator: Aggregator, signal: AbortSignal): Promise<void> {
    let after: number | null = null;
    let lastOffset = -1;
    do {
      const page = await aggregator.page(topic, this.#plan.source, after, signal);
      for (const event of page.events) {
        if (event.offset <= lastOffset) this.#find('out of order', `${topic}/${event.event_id}`);
        lastOffset = event.offset;
        this.#compare(topic, event);
      }
      if (page.next !== null && page.next <= (after ?? -1)) {
        this.#find('page without end', `${topic}, next ${page.next} after ${after}`);
        return;
      }
      after = page.next;
    } while (after !== null);
  }

  /** Call it once all topics are read. */
  judge(): Check {
    const { source, uniqueCount } = this.#plan;
    for (const [index, times] of this.#seen.entries()) {
      if (times > 0) continue;
      const { topic, event_id: eventId } = this.#plan.eventAt(index);
      this.#find('missing', `${topic}/${eventId}`);
    }
    return verdict(
      'stored',
      Array.from(this.#findings, ([what, { count, first }]) => `${count} ${what} (first: ${first})`),
      `each of ${uniqueCount} unique events is stored once, as it was sent, in order`,
      this.#strangers === 0
        ? []
        : [`${this.#strangers} more events of ${source} are stored: this run id ran before with other flags`],
    );
  }

  #compare(topic: string, event: StoredEvent): void {
    const which = `${topic}/${event.event_id}`;
    const index = this.#indexes.get(event.event_id);
    const sent = index === undefined ? undefined : this.#plan.eventAt(index);
    if (index === undefined || sent?.topic !== topic) {
      this.#strangers++;
      return;
    }
    const { offset, received_at: _, ...fields } = event;
    if (this.#seen[index] === 1) this.#find('stored twice', which);
    this.#seen[index] = 1;
    if (!isDeepStrictEqual(fields, sent)) this.#find('changed', `${which}, ${changedFields(fields, sent)}`);
    const promised = this.#tally.offsets[index]!;
    if (!Number.isNaN(promised) && promised !== offset) {
      this.#find('not at the offset of its verdict', `${which}, ${offset} instead of ${promised}`);
    }
  }

  #find(what: string, which: string): void {
    const finding = this.#findings.get(what);
    if (finding === undefined) this.#findings.set(what, { count: 1, first: which });
    else finding.count++;
  }
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
