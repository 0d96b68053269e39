import type { DeadLetter, DeadReason } from '../../group-store.ts';
import type { GroupRows } from './group-rows.ts';
import { NOBODY } from './hands.ts';

/** The steps on events that were delivered as often as allowed. */
export class DeadLetters {
  readonly #rows: GroupRows;

  constructor(rows: GroupRows) {
    this.#rows = rows;
  }

  list(nowMs: number, id: number, after: number, eventsMax: number): DeadLetter[] | null {
    if (this.#rows.at(nowMs, id) === undefined) return null;
    const rows = this.#rows.all(
      `SELECT offset, bytes, deliveries, dead_ms, reason FROM dead_letter
       WHERE group_id = ? AND offset > ? ORDER BY offset LIMIT ?`,
      id,
      after,
      eventsMax,
    );
    return rows.map((row) => ({
      offset: Number(row['offset']),
      bytes: Number(row['bytes']),
      deliveries: Number(row['deliveries']),
      deadMs: Number(row['dead_ms']),
      reason: row['reason'] as DeadReason,
    }));
  }

  replay(nowMs: number, id: number, offsets: readonly number[] | null, eventsMax: number): number | null {
    if (this.#rows.at(nowMs, id) === undefined) return null;
    const letters =
      offsets === null
        ? this.#rows.all(
            'SELECT offset, bytes FROM dead_letter WHERE group_id = ? ORDER BY offset LIMIT ?',
            id,
            eventsMax,
          )
        : this.#rows.all(
            `SELECT offset, bytes FROM dead_letter
             WHERE group_id = ? AND offset IN (SELECT value FROM json_each(?)) ORDER BY offset LIMIT ?`,
            id,
            JSON.stringify(offsets),
            eventsMax,
          );
    const kept = this.#rows.hands(id);
    for (const letter of letters) {
      const offset = Number(letter['offset']);
      this.#rows.run('DELETE FROM dead_letter WHERE group_id = ? AND offset = ?', id, offset);
      kept.put(NOBODY, nowMs, false, offset, { deliveries: 0, bytes: Number(letter['bytes']) });
    }
    kept.save();
    this.#rows.run(
      'UPDATE event_group SET dead = dead - ?, outstanding = outstanding + ? WHERE group_id = ?',
      letters.length,
      letters.length,
      id,
    );
    return letters.length;
  }
}
