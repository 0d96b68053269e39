import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { GroupAction } from '../../audit-store.ts';
import type { DeadLetter, DeadReason, FreshEvents } from '../../group-store.ts';
import type { Claim, GroupLog, GroupRow, GroupTables, HandRows, LetterRows, NewRow, RowChange } from '../../groups/group-tables.ts'; // prettier-ignore
import type { Trail } from '../audit/trail.ts';
import { lastOffsetBefore } from '../blocks/offset-by-time.ts';
import { readLedger } from '../file/ledger.ts';
import { FreshReader } from './fresh-events.ts';
import { HandStatements, SqliteHands } from './hands.ts';

/** The groups' tables in the file, within the open transaction of the writer's thread. */
export class SqliteTables implements GroupTables {
  readonly #db: DatabaseSync;
  readonly #trail: Trail;
  readonly #handStatements: HandStatements;
  readonly #statements = new Map<string, StatementSync>();
  readonly log: GroupLog;
  /**
   * Which sender may send a group's events, by group. Not in the file: it has one process at a time, so every claim from
   * before it was opened is void. A claim whose transaction is rolled back runs out harmlessly.
   */
  readonly #claims = new Map<number, Claim>();

  constructor(db: DatabaseSync, trail: Trail) {
    this.#db = db;
    this.#trail = trail;
    this.#handStatements = new HandStatements(db);
    this.log = new SqliteLog(db);
  }

  row(id: number): GroupRow | undefined {
    return this.#prepared('SELECT * FROM event_group WHERE group_id = ?').get(id) as GroupRow | undefined;
  }

  idOf(name: string): number | undefined {
    const row = this.#prepared('SELECT group_id FROM event_group WHERE name = ?').get(name);
    return row === undefined ? undefined : Number(row['group_id']);
  }

  ids(): number[] {
    const rows = this.#prepared('SELECT group_id FROM event_group ORDER BY name').all();
    return rows.map((row) => Number(row['group_id']));
  }

  count(): number {
    return Number(this.#prepared('SELECT count(*) AS groups FROM event_group').get()!['groups']);
  }

  insert(made: NewRow): number {
    const names = Object.keys(made);
    const places = names.map(() => '?').join();
    const statement = this.#prepared(`INSERT INTO event_group (${names.join()}) VALUES (${places})`);
    return Number(statement.run(...(Object.values(made) as SQLInputValue[])).lastInsertRowid);
  }

  update(id: number, change: RowChange): void {
    const set = Object.keys(change).join(' = ?, ');
    const statement = this.#prepared(`UPDATE event_group SET ${set} = ? WHERE group_id = ?`);
    statement.run(...(Object.values(change) as SQLInputValue[]), id);
  }

  remove(id: number): boolean {
    this.#claims.delete(id);
    this.#prepared('DELETE FROM hand WHERE group_id = ?').run(id);
    this.#prepared('DELETE FROM dead_letter WHERE group_id = ?').run(id);
    return this.#prepared('DELETE FROM event_group WHERE group_id = ?').run(id).changes === 1;
  }

  hands(id: number): HandRows {
    return new SqliteHands(this.#handStatements, id);
  }

  letters(id: number): LetterRows {
    const all = (sql: string, ...values: SQLInputValue[]): DeadLetter[] =>
      this.#prepared(sql).all(id, ...values).map(letterOf); // prettier-ignore
    return {
      add: ({ offset, deliveries, bytes, deadMs, reason }) =>
        void this.#prepared(
          'INSERT INTO dead_letter (group_id, offset, deliveries, bytes, dead_ms, reason) VALUES (?, ?, ?, ?, ?, ?)',
        ).run(id, offset, deliveries, bytes, deadMs, reason),
      above: (offset, lettersMax) =>
        all('SELECT * FROM dead_letter WHERE group_id = ? AND offset > ? ORDER BY offset LIMIT ?', offset, lettersMax), // prettier-ignore
      at: (offsets, lettersMax) =>
        all(
          `SELECT * FROM dead_letter WHERE group_id = ? AND offset IN (SELECT value FROM json_each(?))
           ORDER BY offset LIMIT ?`,
          JSON.stringify(offsets),
          lettersMax,
        ),
      remove: (offset) =>
        void this.#prepared('DELETE FROM dead_letter WHERE group_id = ? AND offset = ?').run(id, offset),
      removeAbove: (offset) =>
        Number(
          this.#prepared('DELETE FROM dead_letter WHERE group_id = ? AND offset > ?').run(id, offset).changes,
        ),
    };
  }

  note(action: GroupAction, { name }: GroupRow, offset: number, delivery: number): void {
    this.#trail.step(action, name, offset, delivery);
  }

  claim(id: number): Claim | undefined {
    return this.#claims.get(id);
  }

  setClaim(id: number, claim: Claim): void {
    this.#claims.set(id, claim);
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
}

class SqliteLog implements GroupLog {
  readonly #db: DatabaseSync;
  readonly #fresh: FreshReader;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#fresh = new FreshReader(db);
  }

  get lastOffset(): number {
    return readLedger(this.#db).lastOffset;
  }

  lastOffsetBefore(timeMs: number): number {
    return lastOffsetBefore(this.#db, timeMs);
  }

  earliest(topics: readonly string[]): number {
    return this.#fresh.earliest(topics);
  }

  next(topics: readonly string[], after: number, eventsMax: number): FreshEvents {
    return this.#fresh.next(topics, after, eventsMax);
  }
}

function letterOf(row: Record<string, unknown>): DeadLetter {
  return {
    offset: Number(row['offset']),
    bytes: Number(row['bytes']),
    deliveries: Number(row['deliveries']),
    deadMs: Number(row['dead_ms']),
    reason: row['reason'] as DeadReason,
  };
}
