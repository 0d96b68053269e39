import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { NOBODY } from '../../groups/hands.ts';
import type { HandKey, HandRow, HandRows, WrittenHand } from '../../groups/group-tables.ts';

/** A group's hands in the file. */
export class SqliteHands implements HandRows {
  readonly #statements: HandStatements;
  readonly #id: number;

  constructor(statements: HandStatements, id: number) {
    this.#statements = statements;
    this.#id = id;
  }

  all(): readonly HandRow[] {
    return this.#statements.all.all(this.#id) as unknown as HandRow[];
  }

  ofTake(take: number): readonly HandRow[] {
    return this.#statements.ofTake.all(this.#id, take) as unknown as HandRow[];
  }

  one({ take, due_ms: dueMs, is_last: isLast }: HandKey): HandRow | undefined {
    return this.#statements.one.get(this.#id, take, dueMs, isLast) as HandRow | undefined;
  }

  due(isLast: number, nowMs: number): Iterable<HandRow> {
    return this.#statements.due.iterate(this.#id, isLast, nowMs) as unknown as Iterable<HandRow>;
  }

  between(lowest: number, highest: number): Iterable<Pick<HandRow, 'entries'>> {
    return this.#statements.between.iterate(this.#id, highest, lowest) as unknown as Iterable<HandRow>;
  }

  nextDueMs(): number | null {
    // Each of the two by the index.
    const dueOf = (isLast: number) => this.#statements.nextDue.get(this.#id, isLast)!['due'] as number | null;
    const [due, lastDue] = [dueOf(0), dueOf(1)];
    return due === null || lastDue === null ? (due ?? lastDue) : Math.min(due, lastDue);
  }

  summary(nowMs: number): { readonly leased: number; readonly lowest: number | null } {
    return this.#statements.summary.get(nowMs, this.#id) as { leased: number; lowest: number | null };
  }

  write(hand: WrittenHand): void {
    const { take, due_ms: dueMs, is_last: isLast, events, first_offset: first, last_offset: last, entries } = hand; // prettier-ignore
    this.#statements.write.run(this.#id, take, dueMs, isLast, events, first, last, entries);
  }

  remove({ take, due_ms: dueMs, is_last: isLast }: HandKey): void {
    this.#statements.remove.run(this.#id, take, dueMs, isLast);
  }

  removeAll(): void {
    this.#statements.removeAll.run(this.#id);
  }
}

/** The statements, prepared once per connection. */
export class HandStatements {
  readonly all: StatementSync;
  readonly ofTake: StatementSync;
  readonly due: StatementSync;
  readonly between: StatementSync;
  readonly one: StatementSync;
  readonly nextDue: StatementSync;
  readonly summary: StatementSync;
  readonly write: StatementSync;
  readonly remove: StatementSync;
  readonly removeAll: StatementSync;

  constructor(db: DatabaseSync) {
    this.all = db.prepare('SELECT take, due_ms, is_last, events, entries FROM hand WHERE group_id = ?');
    this.ofTake = db.prepare(
      'SELECT take, due_ms, is_last, events, entries FROM hand WHERE group_id = ? AND take = ?',
    );
    this.due = db.prepare(`
      SELECT take, due_ms, is_last, events, entries FROM hand
      WHERE group_id = ? AND is_last = ? AND due_ms <= ? ORDER BY due_ms, take`);
    this.between = db.prepare(
      'SELECT entries FROM hand WHERE group_id = ? AND first_offset <= ? AND last_offset >= ?',
    );
    this.one = db.prepare(`
      SELECT take, due_ms, is_last, events, entries FROM hand
      WHERE group_id = ? AND take = ? AND due_ms = ? AND is_last = ?`);
    this.nextDue = db.prepare('SELECT min(due_ms) AS due FROM hand WHERE group_id = ? AND is_last = ?');
    this.summary = db.prepare(`
      SELECT ifnull(sum(iif(take <> ${NOBODY} AND due_ms > ?, events, 0)), 0) AS leased, min(first_offset) AS lowest
      FROM hand WHERE group_id = ?`);
    this.write = db.prepare(`
      INSERT OR REPLACE INTO hand (group_id, take, due_ms, is_last, events, first_offset, last_offset, entries)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.remove = db.prepare(
      'DELETE FROM hand WHERE group_id = ? AND take = ? AND due_ms = ? AND is_last = ?',
    );
    this.removeAll = db.prepare('DELETE FROM hand WHERE group_id = ?');
  }
}
