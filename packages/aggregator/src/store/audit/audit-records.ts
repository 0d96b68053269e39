import { AUDIT_ACTIONS, type AuditAction, type AuditDetails, type AuditNote } from '../audit-store.ts';
import { damaged, messageOf } from '../errors.ts';

/**
 * How stores on a disk hold the trail. A record is what one transaction did of one action for one key or group. Its body is
 * JSON: a note's details as an object, or the events as runs, three numbers each: the first offset, how many follow one
 * another from there, and the delivery (0 if there is none). An offset below 0 counts from the end of the log before the
 * commit, `base`: -1 is the first event behind it. So a record is made before its offsets are known.
 */
export interface FreshRecord {
  readonly action: number;
  /** Whose doing it was: a key or a group. */
  readonly who: string | null;
  readonly entries: number;
  readonly body: string;
}

export interface AuditRecord extends FreshRecord {
  readonly record: number;
  readonly atMs: number;
  readonly base: number;
}

/** A record has at most so many events, so that one never takes much memory, and its entries can be numbered within it. */
const EVENTS_MAX = 4096;

/** The number of a record's first entry. */
export function numberOf(record: number): number {
  return record * EVENTS_MAX;
}

/** The record that has the entry with this number. */
export function recordOf(number: number): number {
  return Math.floor(number / EVENTS_MAX);
}

export function codeOf(action: AuditAction): number {
  return AUDIT_ACTIONS.indexOf(action);
}

/** Gathers what a transaction does. In: events, one by one. Out: its records. */
export class FreshRecords {
  /** By action, those that were added to last. */
  readonly #last: (Gathered | undefined)[] = [];
  #gathered: Gathered[] = [];

  /** @param delivery 0 if it is none */
  add(action: number, who: string | null, offset: number, delivery: number): void {
    let into = this.#last[action];
    if (into === undefined || into.who !== who || into.events === EVENTS_MAX) {
      into = this.#gathered.find(
        (one) => one.action === action && one.who === who && one.events < EVENTS_MAX,
      );
      if (into === undefined) this.#gathered.push((into = new Gathered(action, who)));
      this.#last[action] = into;
    }
    into.add(offset, delivery);
  }

  /** What was gathered since the last time. */
  take(): FreshRecord[] {
    if (this.#gathered.length === 0) return [];
    const records = this.#gathered.map(({ action, who, events, runs }) => {
      return { action, who, entries: events, body: JSON.stringify(runs) };
    });
    this.clear();
    return records;
  }

  clear(): void {
    this.#last.length = 0;
    this.#gathered = [];
  }
}

class Gathered {
  readonly action: number;
  readonly who: string | null;
  readonly runs: number[] = [];
  events = 0;
  #next = 0;

  constructor(action: number, who: string | null) {
    this.action = action;
    this.who = who;
  }

  add(offset: number, delivery: number): void {
    const { runs } = this;
    this.events += 1;
    if (offset === this.#next && runs.at(-1) === delivery) runs[runs.length - 2]! += 1;
    else runs.push(offset, 1, delivery);
    this.#next = offset < 0 ? offset - 1 : offset + 1;
  }
}

export function recordsOfNotes(notes: readonly AuditNote[]): FreshRecord[] {
  return notes.map(({ action, key, count, details }) => ({
    action: codeOf(action),
    who: key,
    entries: count,
    body: JSON.stringify(details),
  }));
}

/** An entry as its record has it. */
export interface RecordedEntry {
  readonly record: AuditRecord;
  readonly number: number;
  readonly offset: number | null;
  readonly delivery: number | null;
  /** Null if it is no note. */
  readonly details: AuditDetails | null;
}

/** The entries of a record, the newest first. Throws a StoreError if its body is none. */
export function* entriesIn(record: AuditRecord): Generator<RecordedEntry> {
  const { base } = record;
  const body = bodyIn(record);
  const first = numberOf(record.record);
  if (!Array.isArray(body)) {
    yield { record, number: first, offset: body.offset ?? null, delivery: null, details: body };
    return;
  }
  let place = record.entries;
  for (let at = body.length - 3; at >= 0; at -= 3) {
    const [start, count, delivery] = body.slice(at, at + 3) as [number, number, number];
    for (let i = count - 1; i >= 0; i--) {
      place -= 1;
      const offset = start < 0 ? base - start + i : start + i;
      yield { record, number: first + place, offset, delivery: delivery || null, details: null };
    }
  }
}

/** Whether the record has this event, without walking through all of them. */
export function hasOffset(record: AuditRecord, offset: number): boolean {
  const body = bodyIn(record);
  if (!Array.isArray(body)) return body.offset === offset;
  for (let at = 0; at < body.length; at += 3) {
    const start = body[at]! < 0 ? record.base - body[at]! : body[at]!;
    if (offset >= start && offset < start + body[at + 1]!) return true;
  }
  return false;
}

/** The body with whole offsets, as of a record whose base is 0. */
export function wholeBody(record: Pick<AuditRecord, 'record' | 'base' | 'body'>): string {
  const body = record.base === 0 ? null : bodyIn(record);
  if (!Array.isArray(body)) return record.body;
  return JSON.stringify(body.map((value, i) => (i % 3 === 0 && value < 0 ? record.base - value : value)));
}

function bodyIn({ record, body }: Pick<AuditRecord, 'record' | 'body'>): number[] | AuditDetails {
  try {
    return JSON.parse(body) as number[] | AuditDetails;
  } catch (cause) {
    throw damaged(`record ${record} of the audit trail: ${messageOf(cause)}`, cause);
  }
}
