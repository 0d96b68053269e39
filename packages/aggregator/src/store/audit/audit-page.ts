import {
  AUDIT_ACTIONS,
  type AuditAction,
  type AuditEntry,
  type AuditPage,
  type AuditQuery,
  type GroupAction,
} from '../audit-store.ts';
import { type TopicFilter, compileTopicFilter, selectsAll } from '../topic-filter.ts';
import {
  type AuditRecord,
  type RecordedEntry,
  codeOf,
  entriesIn,
  hasOffset,
  numberOf,
  recordOf,
} from './audit-records.ts';

/** A page looks at no more entries, and asks for records no more often; the next one goes on. */
const ENTRIES_EXAMINED_MAX = 20_000;
const LOOKS_MAX = 20;

/** Events whose names are looked up together. */
const NAMED_AT_ONCE = 256;

/** What a store on a disk must offer for its trail to be read. */
export interface AuditSource {
  /** Some records of the query, the newest first. */
  records(query: RecordsQuery): Promise<FoundRecords>;

  /** Of each event at these offsets its topic, and its id where its text is kept; null if it is on another topic than these. */
  names(offsets: readonly number[], topics: TopicFilter): Promise<readonly (EventName | null)[]>;

  /** The offset of the event with this id; null if the id is not known. */
  locate(topic: string, eventId: string): Promise<number | null>;
}

export interface RecordsQuery {
  /** From this record on, inclusive, or the newest one below it if there is none with this number; null: from the newest on. */
  readonly start: number | null;
  /** Their codes; null: all. */
  readonly actions: readonly number[] | null;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface FoundRecords {
  readonly records: readonly AuditRecord[];
  /** The last record that was looked at, with which to go on; null at the end. Never the one that this look began with. */
  readonly resumeAt: number | null;
}

export interface EventName {
  readonly topic: string;
  readonly eventId: string | null;
}

/** Reads a page of the trail. */
export async function auditPage(source: AuditSource, query: AuditQuery): Promise<AuditPage> {
  const { event, fromMs, toMs, actions: wanted } = query;
  const offset = event === undefined ? undefined : await source.locate(event.topic, event.eventId);
  if (offset === null) return { entries: [], next: null };
  const page = new PageInProgress(source, query);
  const actions = wanted === undefined ? null : [...wanted].map(codeOf);
  // The entry behind which to go on: those of its record from there on were told already.
  let { before } = query;
  let examined = 0;
  for (let looks = 1; ; looks++) {
    const start = before === null ? null : recordOf(before);
    const { records, resumeAt } = await source.records({ start, actions, fromMs, toMs });
    for (const record of records) {
      const told = record.record === start ? before! : Number.POSITIVE_INFINITY;
      if (offset !== undefined && !hasOffset(record, offset)) continue;
      examined += record.entries;
      for (const entry of entriesIn(record)) {
        if (entry.number >= told || (offset !== undefined && entry.offset !== offset)) continue;
        if (page.mustNameWith(entry) && (await page.name())) return page.full();
      }
    }
    if (await page.name()) return page.full();
    const { entries } = page;
    if (resumeAt === null) return { entries, next: null };
    before = numberOf(resumeAt);
    if (looks === LOOKS_MAX || examined > ENTRIES_EXAMINED_MAX) return { entries, next: before };
  }
}

/** Takes entries until there are enough. Their events are looked up some at a time, and then those on other topics are dropped. */
class PageInProgress {
  readonly #source: AuditSource;
  readonly #query: AuditQuery;
  readonly #takesAll: boolean;
  readonly #isMeant: (topic: string) => boolean;
  readonly entries: AuditEntry[] = [];
  #unnamed: RecordedEntry[] = [];

  constructor(source: AuditSource, query: AuditQuery) {
    this.#source = source;
    this.#query = query;
    this.#takesAll = selectsAll(query.topics);
    this.#isMeant = compileTopicFilter(query.topics);
  }

  /** Takes another entry. Returns whether the events must be looked up now. */
  mustNameWith(entry: RecordedEntry): boolean {
    const count = this.#unnamed.push(entry);
    return count === NAMED_AT_ONCE || (this.#takesAll && count === this.#query.limit - this.entries.length);
  }

  /** Looks up the events. Returns whether the page is full. */
  async name(): Promise<boolean> {
    const taken = this.#unnamed;
    this.#unnamed = [];
    const { limit, topics } = this.#query;
    const offsets = taken.flatMap(({ offset }) => (offset === null ? [] : [offset]));
    const names = offsets.length === 0 ? [] : await this.#source.names(offsets, topics);
    let next = 0;
    for (const one of taken) {
      const name = one.offset === null ? this.#nameOfNote(one) : names[next++]!;
      if (name !== null) this.entries.push(entryOf(one, name));
      if (this.entries.length === limit) return true;
    }
    return false;
  }

  full(): AuditPage {
    return { entries: this.entries, next: this.entries.at(-1)!.number };
  }

  #nameOfNote({ details }: RecordedEntry): Partial<EventName> | null {
    const topic = details?.topic;
    if (topic === undefined) return this.#takesAll ? {} : null;
    return this.#isMeant(topic) ? { topic } : null;
  }
}

const OF_GROUPS: ReadonlySet<AuditAction> = new Set<GroupAction>([
  'delivered',
  'withdrawn',
  'acknowledged',
  'dead',
]);

function entryOf(
  { record, number, offset, delivery, details }: RecordedEntry,
  { topic, eventId }: Partial<EventName>,
): AuditEntry {
  const action = AUDIT_ACTIONS[record.action]!;
  const isOfGroup = OF_GROUPS.has(action);
  const { topic: _topic, offset: _offset, ...others } = details ?? {};
  return {
    number,
    atMs: record.atMs,
    action,
    offset,
    topic: topic ?? null,
    eventId: eventId ?? null,
    key: isOfGroup ? null : record.who,
    group: isOfGroup ? record.who : null,
    delivery,
    count: details === null ? 1 : record.entries,
    details: others,
  };
}
