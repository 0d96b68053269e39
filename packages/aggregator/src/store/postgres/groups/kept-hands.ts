import type { HandTable } from './hand-table.ts';
import type { Kept, KeptHands } from './load.ts';

/** Hands kept here at most, of all groups together. */
const HANDS_MAX = 100_000;

/**
 * The hands of groups as an instance wrote or loaded them last, so that a step need not load them again. In: hands that are
 * committed, with the version of the group's row. They hold while the row has this version, which every apply that writes
 * changes, to one that no other apply has.
 */
export class HandsOfGroups {
  /** The least recently used first. */
  readonly #byId = new Map<number, KeptHands>();
  #hands = 0;

  get kept(): Kept {
    return this.#byId;
  }

  keep(id: number, version: number, hands: HandTable): void {
    this.forget([id]);
    this.#byId.set(id, { version, hands });
    this.#hands += hands.size;
    for (const oldest of this.#byId.keys()) {
      if (this.#hands <= HANDS_MAX || oldest === id) return;
      this.forget([oldest]);
    }
  }

  forget(ids: Iterable<number>): void {
    for (const id of ids) {
      const known = this.#byId.get(id);
      if (known === undefined) continue;
      this.#byId.delete(id);
      this.#hands -= known.hands.size;
    }
  }

  forgetAll(): void {
    this.#byId.clear();
    this.#hands = 0;
  }
}
