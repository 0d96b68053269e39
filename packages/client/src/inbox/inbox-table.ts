import type { DeliveredEvent } from '../groups.ts';
import { ChronicleWeaverError } from '../errors.ts';
import type { InboxContext } from './databases.ts';

/**
 * The seam between the inbox and the database that holds its table.
 *
 * A row says that an event is done: it is inserted in the transaction of the event's effect, so neither can be without
 * the other. Its key is the group with `topic` and `event_id`, the identity by which the log itself knows an event. An
 * offset would be no key: after a restore of the log it means another event, and an event that its publisher then sends
 * again has another offset. The row's offset is the one of the last delivery; it tells only when the row can go.
 */
export interface InboxTable {
  /** Makes the table if there is none. @throws ChronicleWeaverError `inbox_table` if it cannot be used */
  open(): Promise<void>;

  /**
   * Handles those of the events that are not done yet, in one transaction that notes them as done. Two that do this with the
   * same event at once wait for each other. If it rejects, nothing of it has happened, or all of it: to learn which, do it again.
   */
  handle(deliveries: readonly Delivery[]): Promise<Outcome>;

  /** The next rows above the offset, in the order of the offsets. */
  next(after: number, rowsMax: number): Promise<Row[]>;

  /** Removes the rows with these offsets that are old. */
  remove(offsets: readonly number[]): Promise<void>;

  /** Whether the database failed in a way that may pass, so that the same can be tried again. */
  isPassing(error: unknown): boolean;
}

/** An event in the hands of this worker, since this time by its clock. */
export interface Delivery {
  readonly event: DeliveredEvent;
  readonly context: InboxContext;
  readonly sinceMs: number;
}

/** What became of a transaction: all of its events are done, or it was rolled back because of what the handler did. */
export type Outcome = { readonly kind: 'done' } | Failed;

export interface Failed {
  readonly kind: 'failed';
  readonly error: unknown;
}

export interface Row {
  readonly offset: number;
  /** Whether it was kept for as long as it must be. */
  readonly isOld: boolean;
}

export interface TableOptions {
  readonly group: string;
  /** In its parts: a schema, perhaps, and a name. */
  readonly name: readonly string[];
  readonly keepMs: number;
}

export const DONE: Outcome = { kind: 'done' };

export function failed(error: unknown): Failed {
  return { kind: 'failed', error };
}

/**
 * Whether an event was in our hands for so long that the row of another worker who has had it since may be gone again: a
 * process can be stopped for hours, and then go on.
 */
export function isStalled({ sinceMs }: Delivery, keepMs: number): boolean {
  return Date.now() - sinceMs > keepMs / 2;
}

export function stalled({ offset }: DeliveredEvent): ChronicleWeaverError {
  const what = `event ${offset} was in hand for too long to know that nobody else has handled it`;
  return new ChronicleWeaverError('stalled', what);
}

/** A table's name, of letters, digits and underscores, so that it means the same in quotes everywhere. */
export function partsOf(table: string, partsMax: number): string[] {
  const parts = table.split('.');
  if (parts.length > partsMax || !parts.every((part) => /^[a-z_]\w{0,49}$/i.test(part))) {
    const form = partsMax === 1 ? 'a name' : 'a name, or a schema and a name with a dot between';
    throw new TypeError(
      `table must be ${form}, each of 1 to 50 letters, digits and underscores, not beginning with a digit; it is ${JSON.stringify(table)}`,
    );
  }
  return parts;
}

export function quoted(parts: readonly string[]): string {
  return parts.map((part) => `"${part}"`).join('.');
}

/** The error for a table that cannot be used. */
export function unusable(name: string, why: string, cause: unknown): ChronicleWeaverError {
  return new ChronicleWeaverError('inbox_table', `the inbox table ${name} cannot be used: ${why}`, cause);
}

/** SQL on one line. */
export function inline(sql: string): string {
  return sql.replaceAll(/\s+/g, ' ').trim();
}
