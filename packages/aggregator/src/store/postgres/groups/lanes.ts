import type { ClientBase } from 'pg';
import { unbroken } from '../unbroken.ts';

/** The row may be there already, if the answer to an earlier try was lost. */
const MAKE = `
  INSERT INTO lane (lane_id, apply_id, used_ms) VALUES ($1::bigint, 0, floor(extract(epoch FROM clock_timestamp()) * 1000))
  ON CONFLICT (lane_id) DO NOTHING`;

/** Of instances that are gone: nobody is in doubt for so long. */
const SWEEP = `
  DELETE FROM lane WHERE lane_id = ANY ($1::text::bigint[])
    OR used_ms < floor(extract(epoch FROM clock_timestamp()) * 1000) - 24 * 3600 * 1000`;

/**
 * Where an instance does one apply after another: a row that each apply locks first and marks with its id when it is committed.
 * Only this instance knows the lane's id, so nobody else overwrites the mark before it was read.
 */
class Lane {
  readonly #nextId: (client: ClientBase) => Promise<number>;
  #id: number | null = null;
  #isMade = false;

  constructor(nextId: (client: ClientBase) => Promise<number>) {
    this.#nextId = nextId;
  }

  /** Known after `make`. */
  get id(): number {
    return this.#id!;
  }

  /** Null if it has no row. */
  get madeId(): number | null {
    return this.#isMade ? this.#id : null;
  }

  async make(client: ClientBase): Promise<void> {
    if (this.#isMade) return;
    const id = (this.#id ??= await this.#nextId(client));
    await unbroken(client, () => client.query(MAKE, [id]));
    this.#isMade = true;
  }

  /** The row is not there any more. */
  isLost(): void {
    this.#isMade = false;
  }
}

/** The lanes of an instance: one for each apply under way, used again by later ones. */
export class Lanes {
  readonly #nextId: (client: ClientBase) => Promise<number>;
  readonly #free: Lane[] = [];

  constructor(nextId: (client: ClientBase) => Promise<number>) {
    this.#nextId = nextId;
  }

  take(): Lane {
    return this.#free.pop() ?? new Lane(this.#nextId);
  }

  giveBack(lane: Lane): void {
    this.#free.push(lane);
  }

  /** Removes the rows of these lanes, when nothing is under way any more, and those of instances that left theirs behind. */
  async sweep(client: ClientBase): Promise<void> {
    const ids = this.#free.splice(0).flatMap((lane) => lane.madeId ?? []);
    await client.query(SWEEP, [`{${ids.join()}}`]);
  }
}
