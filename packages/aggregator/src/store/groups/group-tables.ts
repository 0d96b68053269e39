import type { GroupAction } from '../audit-store.ts';
import type { DeadLetter, FreshEvents, Push, PushState } from '../group-store.ts';

/**
 * The groups' tables as the steps of one transaction see them, read and written at once. Stores on a disk have the same
 * three: a row for each group, hands (hands.ts) and dead letters. A store in a file reads each row as it is asked for; a
 * store behind a network has loaded what it will be asked for, and writes afterwards. Whatever the steps know is in here, so
 * a transaction that is undone leaves no trace.
 */
export interface GroupTables {
  row(id: number): GroupRow | undefined;
  idOf(name: string): number | undefined;
  /** Of all groups, in the order of their names' bytes. */
  ids(): readonly number[];
  /** How many groups there are. */
  count(): number;

  /** @returns the new group's id, which no other group ever has */
  insert(made: NewRow): number;
  /** Writes these columns. */
  update(id: number, change: RowChange): void;
  /** Deletes the group, and its hands and dead letters; false if there is none. */
  remove(id: number): boolean;

  hands(id: number): HandRows;
  letters(id: number): LetterRows;

  /** Who has claimed the right to send, and until when; undefined if nobody ever has. */
  claim(id: number): Claim | undefined;
  setClaim(id: number, claim: Claim): void;

  /** Notes, for the audit trail, what becomes of an event; with the transaction or not at all. */
  note(action: GroupAction, group: GroupRow, offset: number, delivery: number): void;

  readonly log: GroupLog;
}

/** What groups ask of the log. */
export interface GroupLog {
  readonly lastOffset: number;
  /** The offset of the last event committed before the time, 0 if there is none. */
  lastOffsetBefore(timeMs: number): number;
  /** See earliestOf; of matching topics. */
  earliest(topics: readonly string[]): number;
  /** The next events above the offset on matching topics, at most `eventsMax`. */
  next(topics: readonly string[], after: number, eventsMax: number): FreshEvents;
}

/** A group's hands. Those of a group differ in take, due time or `is_last`. */
export interface HandRows {
  all(): readonly HandRow[];
  ofTake(take: number): readonly HandRow[];
  one(key: HandKey): HandRow | undefined;
  /** Due hands, the longest due first, those due at the same time by take. Not all are read if the caller stops. */
  due(isLast: number, nowMs: number): Iterable<HandRow>;
  /** Those that may have events from `lowest` to `highest`. */
  between(lowest: number, highest: number): Iterable<Pick<HandRow, 'entries'>>;
  /** When the next one is due; null if there is none. */
  nextDueMs(): number | null;
  /** How many events are leased, and the lowest offset of all; null if there is none. */
  summary(nowMs: number): { readonly leased: number; readonly lowest: number | null };
  /** Writes the hand in the place of one with the same key. */
  write(hand: WrittenHand): void;
  remove(key: HandKey): void;
  removeAll(): void;
}

/** A group's dead letters. */
export interface LetterRows {
  add(letter: DeadLetter): void;
  /** Those above the offset, ascending. */
  above(offset: number, lettersMax: number): readonly DeadLetter[];
  /** Those at these offsets, ascending. */
  at(offsets: readonly number[], lettersMax: number): readonly DeadLetter[];
  remove(offset: number): void;
  /** Says how many there were. */
  removeAbove(offset: number): number;
}

export interface Claim {
  readonly sender: string;
  readonly untilMs: number;
}

export interface GroupRow {
  readonly group_id: number;
  readonly name: string;
  /** JSON. */
  readonly topics: string;
  /** JSON. */
  readonly start: string;
  readonly lease_ms: number;
  readonly deliveries_max: number;
  readonly secret: Uint8Array;
  readonly created_ms: number;
  /** Above it nothing was given out. */
  readonly position: number;
  /** So far. */
  readonly takes: number;
  /** Leases of takes up to this one ended with a seek. */
  readonly void_takes: number;
  /** Events in hands. */
  readonly outstanding: number;
  /** Dead letters. */
  readonly dead: number;
  readonly deliveries: number;
  readonly redeliveries: number;
  readonly acknowledged: number;
  readonly expired: number;
  readonly push_url: string | null;
  /** JSON. */
  readonly push_secrets: string | null;
  readonly push_format: 'cloudevents' | null;
  /** 1 or 0. */
  readonly is_paused: number;
  /** 1 or 0: it was paused on request. Means nothing while it is not paused. */
  readonly pause_asked: number;
  readonly failing_since_ms: number | null;
  readonly last_failure: string | null;
}

/** What a new group begins with; the rest is 0 or null. */
export type NewRow = Pick<
  GroupRow,
  | 'name'
  | 'topics'
  | 'start'
  | 'lease_ms'
  | 'deliveries_max'
  | 'push_url'
  | 'push_secrets'
  | 'push_format'
  | 'secret'
  | 'created_ms'
  | 'position'
>;

/** What changes of a group. */
export type RowChange = Partial<Omit<GroupRow, 'group_id' | 'name' | 'topics' | 'start' | 'secret'>>;

export interface HandKey {
  readonly take: number;
  readonly due_ms: number;
  /** 1 or 0. */
  readonly is_last: number;
}

export interface HandRow extends HandKey {
  readonly events: number;
  /** LEB128 numbers, three per event: its offset's difference to the previous one, its deliveries, its bytes. */
  readonly entries: Uint8Array;
}

export interface WrittenHand extends HandRow {
  readonly first_offset: number;
  readonly last_offset: number;
}

export function pushOf({ push_url: url, push_secrets: secrets, push_format: format }: GroupRow): Push | null {
  if (url === null || secrets === null) return null;
  return { url, secrets: JSON.parse(secrets) as string[], ...(format !== null && { format }) };
}

export function pushStateOf(row: GroupRow): PushState {
  return {
    pausedBy: row.is_paused === 0 ? null : row.pause_asked === 1 ? 'request' : 'failures',
    failingSinceMs: row.failing_since_ms,
    lastFailure: row.last_failure,
  };
}
