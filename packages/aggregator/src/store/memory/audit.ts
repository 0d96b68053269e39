import {
  AUDIT_ACTIONS,
  type AuditAction,
  type AuditEntry,
  type AuditExtent,
  type AuditNote,
  type AuditPage,
  type AuditQuery,
  type AuditStore,
  type AuditSummary,
  type AuditSummaryQuery,
  type GroupAction,
} from '../audit-store.ts';
import { compileTopicFilter, selectsAll } from '../topic-filter.ts';
import type { LoggedEvent } from './logged-event.ts';

type Written = Omit<AuditEntry, 'topic' | 'eventId'> & { readonly topicOfNote: string | null };

/** What the trail asks of the log. */
interface Log {
  readonly events: readonly LoggedEvent[];
  find(topic: string, eventId: string): LoggedEvent | undefined;
}

/** The reference: what an audit trail has to tell, in as little code as possible. */
export class MemoryAudit implements AuditStore {
  readonly #log: Log;
  readonly #now: () => number;
  #entries: Written[] = [];
  #lastNumber = 0;
  #isOn = false;

  constructor(log: Log, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  async begin(): Promise<void> {
    this.#isOn = true;
  }

  /** Notes a verdict, as part of a commit. */
  judged(verdict: number, offset: number, publisher: string | null, atMs: number): void {
    const action = AUDIT_ACTIONS[verdict]!;
    this.#write({ ...EVENT, atMs, action, offset, key: publisher });
  }

  /** Notes what becomes of an event in a group, as part of the step. */
  stepped(action: GroupAction, group: string, offset: number, delivery: number): void {
    this.#write({ ...EVENT, atMs: this.#now(), action, offset, group, delivery: delivery || null });
  }

  async note(notes: readonly AuditNote[]): Promise<void> {
    for (const { action, key, count, details } of notes) {
      const { topic = null, offset = null, ...others } = details;
      const atMs = this.#now();
      this.#write({ ...EVENT, atMs, action, offset, key, count, details: others, topicOfNote: topic });
    }
  }

  async page(query: AuditQuery): Promise<AuditPage> {
    const { actions, topics, event, before, limit } = query;
    const sought = event === undefined ? undefined : this.#log.find(event.topic, event.eventId);
    if (event !== undefined && sought === undefined) return { entries: [], next: null };
    const isMeant = compileTopicFilter(topics);
    const matching = this.#within(query)
      .map((entry) => this.#named(entry))
      .filter(({ number, action, topic, offset }) => {
        if (number >= (before ?? Infinity) || actions?.has(action) === false) return false;
        if (topic === null ? !selectsAll(topics) : !isMeant(topic)) return false;
        return sought === undefined || offset === sought.offset;
      })
      .toReversed();
    const entries = matching.slice(0, limit);
    return { entries, next: matching.length > limit ? entries.at(-1)!.number : null };
  }

  async summary(query: AuditSummaryQuery): Promise<AuditSummary> {
    const { periodMs, recordsMax } = query;
    const within = this.#within(query);
    if (within.length > recordsMax) return { kind: 'too_many', records: within.length };
    const counts = new Map<string, { periodMs: number; action: AuditAction; entries: number }>();
    for (const { atMs, action, count } of within) {
      const startMs = periodMs === null ? 0 : Math.floor(atMs / periodMs) * periodMs;
      const known = counts.get(`${startMs} ${action}`) ?? { periodMs: startMs, action, entries: 0 };
      known.entries += count;
      counts.set(`${startMs} ${action}`, known);
    }
    return { kind: 'counted', counts: [...counts.values()].toSorted((a, b) => a.periodMs - b.periodMs) };
  }

  async extent(): Promise<AuditExtent> {
    return { records: this.#entries.length, oldestMs: this.#entries[0]?.atMs ?? null };
  }

  async trim(beforeMs: number): Promise<boolean> {
    this.#entries = this.#entries.filter(({ atMs }) => atMs >= beforeMs);
    return true;
  }

  #write(entry: Omit<Written, 'number'>): void {
    if (this.#isOn) this.#entries.push({ ...entry, number: ++this.#lastNumber });
  }

  #within({ fromMs, toMs }: Pick<AuditQuery, 'fromMs' | 'toMs'>): Written[] {
    return this.#entries.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
  }

  #named({ topicOfNote, ...entry }: Written): AuditEntry {
    const event = entry.offset === null ? undefined : this.#log.events[entry.offset - 1];
    if (event === undefined) return { ...entry, topic: topicOfNote, eventId: null };
    return { ...entry, topic: event.topic, eventId: event.state === 'kept' ? event.eventId : null };
  }
}

const EVENT = {
  offset: null,
  key: null,
  group: null,
  delivery: null,
  count: 1,
  details: {},
  topicOfNote: null,
};
