import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { AuditNote, GroupAction } from '../../audit-store.ts';
import { FreshRecords, codeOf, recordsOfNotes } from '../../audit/audit-records.ts';
import type { JudgedGroup } from '../repeats/repeats.ts';

/** Records deleted in one step: a millisecond of work, unless they are long. */
const TRIMMED_AT_ONCE = 256;

/**
 * Writes the audit trail in the writer's thread. In: the verdicts of each commit, what becomes of events in groups, and notes.
 * Out: rows of `audit` in the same transaction (audit-records.ts).
 *
 * Invariants: rows are numbered without gaps and their times never go back, whatever the clock does, so that a time can be
 * found by a binary search; the newest row stays, so that no number is given twice.
 */
export class Trail {
  readonly #fresh = new FreshRecords();
  #isOn = false;
  /** The time of the newest row; null: it must be read. */
  #lastMs: number | null = null;
  readonly #insert: StatementSync;
  readonly #newest: StatementSync;
  readonly #oldest: StatementSync;
  readonly #delete: StatementSync;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT INTO audit (at_ms, action, who, entries, body) VALUES (?, ?, ?, ?, ?)');
    this.#newest = db.prepare('SELECT record, at_ms FROM audit ORDER BY record DESC LIMIT 1');
    this.#oldest = db.prepare('SELECT record, at_ms FROM audit ORDER BY record LIMIT 1');
    this.#delete = db.prepare('DELETE FROM audit WHERE record BETWEEN ? AND ? AND at_ms < ?');
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  turnOn(): void {
    this.#isOn = true;
  }

  /** Call this first in every transaction. */
  begin(): void {
    this.#fresh.clear();
  }

  rolledBack(): void {
    this.#lastMs = null;
  }

  /** Writes what became of the events of a commit. */
  judged({ group, verdicts, offsets }: JudgedGroup, nowMs: number): void {
    if (!this.#isOn) return;
    const { publishers = [] } = group;
    let run = 0;
    for (let i = 0; i < group.count; i++) {
      while (run < publishers.length && publishers[run]!.end <= i) run += 1;
      // The first actions are the verdicts.
      this.#fresh.add(verdicts[i]!, publishers[run]?.publisher ?? null, offsets[i]!, 0);
    }
    this.#write(nowMs);
  }

  /** Notes what becomes of an event in a group, to be written by `stepped`. */
  step(action: GroupAction, group: string, offset: number, delivery: number): void {
    if (this.#isOn) this.#fresh.add(codeOf(action), group, offset, delivery);
  }

  /** Writes what the steps have noted. */
  stepped(nowMs: number): void {
    this.#write(nowMs);
  }

  note(notes: readonly AuditNote[], nowMs: number): void {
    if (!this.#isOn) return;
    const atMs = this.#timeOf(nowMs);
    for (const { action, who, entries, body } of recordsOfNotes(notes))
      this.#insert.run(atMs, action, who, entries, body);
  }

  /** Whether there are rows from before this time that may go. */
  isDue(beforeMs: number): boolean {
    const oldest = this.#oldest.get();
    return (
      oldest !== undefined &&
      Number(oldest['at_ms']) < beforeMs &&
      oldest['record'] !== this.#newest.get()!['record']
    );
  }

  trim(beforeMs: number): void {
    const first = Number(this.#oldest.get()!['record']);
    const last = Number(this.#newest.get()!['record']);
    this.#delete.run(first, Math.min(first + TRIMMED_AT_ONCE, last) - 1, beforeMs);
  }

  #write(nowMs: number): void {
    const records = this.#fresh.take();
    if (records.length === 0) return;
    const atMs = this.#timeOf(nowMs);
    for (const { action, who, entries, body } of records) this.#insert.run(atMs, action, who, entries, body);
  }

  #timeOf(nowMs: number): number {
    this.#lastMs ??= Number(this.#newest.get()?.['at_ms'] ?? 0);
    return (this.#lastMs = Math.max(this.#lastMs, nowMs));
  }
}
