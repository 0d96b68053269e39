import type { TopicFilter } from './topic-filter.ts';

/**
 * The audit trail: what became of events, and who did what. All stores behave the same, and one suite proves it for each of
 * them (test/store/audit-store.test.ts). Read memory/audit.ts first.
 *
 * In: what commits and steps of groups do, written by the very transactions that do it, so that no crash can part the two; and
 * notes of what no transaction of the store knows. Out: entries, the newest first, and their counts.
 *
 * An entry names its event by its offset alone. Topic and id are read from the log when the entry is, so the trail holds
 * nothing that erasing an event or forgetting its id would have to find here.
 *
 * Invariants: nothing is written before `begin`; numbers are never given twice; entries go only by `trim`, the oldest first.
 */
export interface AuditStore {
  /** From here on this process writes the trail. */
  begin(): Promise<void>;

  /**
   * Adds notes. Resolves once they are durable; those that may be lost cost no sync: a crash undoes them unless something was
   * committed after them.
   */
  note(notes: readonly AuditNote[], mayBeLost: boolean): Promise<void>;

  /** Matching entries, the newest first. Bounded in entries and work. */
  page(query: AuditQuery): Promise<AuditPage>;

  /** How many entries there are of each action. */
  summary(query: AuditSummaryQuery): Promise<AuditSummary>;

  /** How much there is: records (what one transaction did of one action for one key or group), and when the oldest was made. */
  extent(): Promise<AuditExtent>;

  /** Deletes some records from before this time, milliseconds since 1970, the oldest first; true if that was all. */
  trim(beforeMs: number): Promise<boolean>;
}

/** What can happen. Stores hold the places in this list, so it only grows at its end. The first three are the verdicts. */
export const AUDIT_ACTIONS = [
  'accepted',
  'dropped',
  'conflict',
  'delivered',
  'withdrawn',
  'acknowledged',
  'dead',
  'refused',
  'erased',
  'truncated',
  'key_added',
  'key_changed',
  'key_revoked',
  'started',
  'lost',
  'source_set',
  'source_deleted',
  'policy_set',
  'policy_deleted',
] as const;

export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** What becomes of an event in a group; `withdrawn` undoes a delivery that reached nobody. */
export type GroupAction = 'delivered' | 'withdrawn' | 'acknowledged' | 'dead';

/** What no transaction of the store knows. */
export interface AuditNote {
  readonly action: Exclude<AuditAction, 'accepted' | 'dropped' | 'conflict' | GroupAction>;
  /** The key of whoever did it, or the one that was added, changed or revoked; null without keys. */
  readonly key: string | null;
  /** How many of these it stands for, at least 1: refusals alike are noted together. */
  readonly count: number;
  readonly details: AuditDetails;
}

export function noteOf(action: AuditNote['action'], key: string | null, details: AuditDetails): AuditNote {
  return { action, key, count: 1, details };
}

/** What is told of a note, as far as it is known. */
export interface AuditDetails {
  readonly topic?: string;
  readonly offset?: number;
  /** Of the problem that refused. */
  readonly code?: string;
  /** Events that a truncation let go of. */
  readonly events?: number;
  /** Whether the id was forgotten with the text. */
  readonly forgotten?: boolean;
  /** The source that was set or deleted. */
  readonly source?: string;
  /** The policy that was set or deleted. */
  readonly policy?: string;
  /** What was changed of a key. */
  readonly changed?: readonly string[];
  /** Of the service that started. */
  readonly version?: string;
}

export interface AuditQuery {
  /** Undefined: all. */
  readonly actions?: ReadonlySet<AuditAction> | undefined;
  /** Entries of events on other topics, and those that have no topic, do not match a filter with conditions. */
  readonly topics: TopicFilter;
  /** Only entries of the event with this id. An id that is not known matches nothing. */
  readonly event?: { readonly topic: string; readonly eventId: string } | undefined;
  /** Inclusive, and exclusive; milliseconds since 1970. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Entries behind the one with this number, in the order of the list; null: from the newest on. */
  readonly before: number | null;
  /** At least 1. */
  readonly limit: number;
}

export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** The `before` of the next page; null at the end. A value does not promise another entry. */
  readonly next: number | null;
}

export interface AuditEntry {
  /** Another one for each entry, with gaps. In a file they ascend; where many processes write, they do so but for moments. */
  readonly number: number;
  readonly atMs: number;
  readonly action: AuditAction;
  /** Of the event; null if the entry is about none. */
  readonly offset: number | null;
  readonly topic: string | null;
  /** Null if the entry is about no single event, or the event's text is gone. */
  readonly eventId: string | null;
  /** The key that published, asked, or was added, changed or revoked; null without keys, and for what groups do. */
  readonly key: string | null;
  readonly group: string | null;
  /** The how manieth delivery it was; null for everything else. */
  readonly delivery: number | null;
  /** Of a note. */
  readonly count: number;
  readonly details: Omit<AuditDetails, 'topic' | 'offset'>;
}

export interface AuditSummaryQuery {
  readonly fromMs: number;
  readonly toMs: number;
  /** Counts are told by periods of this length since 1970, milliseconds; null: all in one. */
  readonly periodMs: number | null;
  /** If the range has more records, nothing is counted. */
  readonly recordsMax: number;
}

export type AuditSummary =
  | { readonly kind: 'counted'; readonly counts: readonly AuditCount[] }
  /** About so many records. */
  | { readonly kind: 'too_many'; readonly records: number };

export interface AuditCount {
  /** When the period begins; 0 if there are none. Ascending. */
  readonly periodMs: number;
  readonly action: AuditAction;
  readonly entries: number;
}

export interface AuditExtent {
  readonly records: number;
  /** Null if there are none. */
  readonly oldestMs: number | null;
}
