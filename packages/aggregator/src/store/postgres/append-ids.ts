import type { ClientBase } from 'pg';
import { unbroken } from './unbroken.ts';

/** Appends that one range of ids is enough for. */
const RANGE_IDS = 2 ** 20;

/**
 * The ids of appends: an instance takes them from ranges that the database gives it, one with each session that it begins, so
 * that no two instances ever have the same. Where a log goes back it gives no range again (epochs.ts).
 */
export class AppendIds {
  readonly #rangeIds: number;
  readonly #spare: number[] = [];
  #next = 0;
  #end = 0;

  constructor(rangeIds = RANGE_IDS) {
    this.#rangeIds = rangeIds;
  }

  /** One or two are enough: a session that comes and goes leaves a gap, and there are 2^33 ranges. */
  add(range: number): void {
    if (this.#spare.length < 2) this.#spare.push(range);
  }

  async next(client: ClientBase): Promise<number> {
    if (this.#next === this.#end) {
      const range = this.#spare.shift() ?? (await drawnRange(client));
      this.#next = range * RANGE_IDS;
      this.#end = this.#next + this.#rangeIds;
    }
    return this.#next++;
  }
}

async function drawnRange(client: ClientBase): Promise<number> {
  const { rows } = await unbroken(client, () =>
    client.query<{ ranges: string }>('UPDATE head SET ranges = ranges + 1 RETURNING ranges'),
  );
  return Number(rows[0]!.ranges);
}
