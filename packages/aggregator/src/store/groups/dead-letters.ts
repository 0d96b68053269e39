import type { DeadLetter } from '../group-store.ts';
import type { GroupRows } from './group-rows.ts';
import { NOBODY } from './hands.ts';

/** The steps on events that were delivered as often as allowed. */
export class DeadLetters {
  readonly #rows: GroupRows;

  constructor(rows: GroupRows) {
    this.#rows = rows;
  }

  list(nowMs: number, id: number, after: number, eventsMax: number): readonly DeadLetter[] | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    return row.dead === 0 ? [] : this.#rows.tables.letters(id).above(after, eventsMax);
  }

  replay(nowMs: number, id: number, offsets: readonly number[] | null, eventsMax: number): number | null {
    const row = this.#rows.at(nowMs, id);
    if (row === undefined) return null;
    if (row.dead === 0) return 0;
    const table = this.#rows.tables.letters(id);
    const letters = offsets === null ? table.above(0, eventsMax) : table.at(offsets, eventsMax);
    const kept = this.#rows.hands(id);
    for (const { offset, bytes } of letters) {
      table.remove(offset);
      kept.put(NOBODY, nowMs, false, offset, { deliveries: 0, bytes });
    }
    kept.save();
    this.#rows.tables.update(id, {
      dead: row.dead - letters.length,
      outstanding: row.outstanding + letters.length,
    });
    return letters.length;
  }
}
