import type { HandKey, HandRow, HandRows, WrittenHand } from '../../groups/group-tables.ts';
import { NOBODY } from '../../groups/hands.ts';

/** A group's hands as they are in the database at one version of its row. */
export class HandTable {
  readonly #byKey = new Map<string, WrittenHand>();
  readonly #byTake = new Map<number, Map<string, WrittenHand>>();
  /** When the first falls due of those at their last delivery, and of the others; undefined: to be looked up. */
  readonly #firstDueMs: [number | undefined, number | undefined] = [undefined, undefined];

  constructor(hands: Iterable<WrittenHand> = []) {
    for (const hand of hands) this.set(hand);
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): WrittenHand | undefined {
    return this.#byKey.get(key);
  }

  entries(): Iterable<readonly [string, WrittenHand]> {
    return this.#byKey;
  }

  ofTake(take: number): Iterable<readonly [string, WrittenHand]> {
    return this.#byTake.get(take) ?? [];
  }

  firstDueMs(isLast: number): number {
    const known = this.#firstDueMs[isLast];
    if (known !== undefined) return known;
    let first = Number.POSITIVE_INFINITY;
    for (const hand of this.#byKey.values()) {
      if (hand.is_last === isLast && hand.due_ms < first) first = hand.due_ms;
    }
    this.#firstDueMs[isLast] = first;
    return first;
  }

  set(hand: WrittenHand): void {
    const key = keyOf(hand);
    this.#byKey.set(key, hand);
    const ofTake = this.#byTake.get(hand.take) ?? new Map<string, WrittenHand>();
    this.#byTake.set(hand.take, ofTake.set(key, hand));
    this.#firstDueMs[hand.is_last] = undefined;
  }

  delete(key: string): void {
    const hand = this.#byKey.get(key);
    if (hand === undefined) return;
    this.#byKey.delete(key);
    const ofTake = this.#byTake.get(hand.take)!;
    ofTake.delete(key);
    if (ofTake.size === 0) this.#byTake.delete(hand.take);
    this.#firstDueMs[hand.is_last] = undefined;
  }

  clear(): void {
    this.#byKey.clear();
    this.#byTake.clear();
    this.#firstDueMs.fill(undefined);
  }
}

/** A group's hands as one transaction sees them: those of a table, and what the steps have changed, which is beside it. */
export class ChangedHands implements HandRows {
  readonly #table: HandTable;
  /** Null: removed. */
  readonly #changed = new Map<string, WrittenHand | null>();
  #isCleared = false;

  constructor(table: HandTable) {
    this.#table = table;
  }

  get isCleared(): boolean {
    return this.#isCleared;
  }

  get isChanged(): boolean {
    return this.#isCleared || this.#changed.size > 0;
  }

  written(): WrittenHand[] {
    return [...this.#changed.values()].filter((hand) => hand !== null);
  }

  /** Those of the table that are gone; where it is cleared, all are. */
  removed(): HandKey[] {
    return [...this.#changed].flatMap(([key, hand]) => (hand === null ? (this.#stored(key) ?? []) : []));
  }

  /** Brings the table up to what was committed. */
  commit(): HandTable {
    if (this.#isCleared) this.#table.clear();
    for (const [key, hand] of this.#changed) {
      if (hand === null) this.#table.delete(key);
      else this.#table.set(hand);
    }
    return this.#table;
  }

  all(): readonly WrittenHand[] {
    return [...this.#each(this.#table.entries(), () => true)];
  }

  ofTake(take: number): readonly HandRow[] {
    return [...this.#each(this.#table.ofTake(take), (hand) => hand.take === take)];
  }

  one(key: HandKey): HandRow | undefined {
    const text = keyOf(key);
    const changed = this.#changed.get(text);
    return changed === undefined ? this.#stored(text) : (changed ?? undefined);
  }

  due(isLast: number, nowMs: number): readonly HandRow[] {
    const isDue = (hand: HandRow): boolean => hand.is_last === isLast && hand.due_ms <= nowMs;
    const stored = this.#table.firstDueMs(isLast) > nowMs ? [] : this.#table.entries();
    const due = [...this.#each(stored, isDue)].filter(isDue);
    return due.toSorted((a, b) => a.due_ms - b.due_ms || a.take - b.take);
  }

  between(lowest: number, highest: number): readonly HandRow[] {
    return this.all().filter((hand) => hand.first_offset <= highest && hand.last_offset >= lowest);
  }

  nextDueMs(): number | null {
    let next = Number.POSITIVE_INFINITY;
    for (const hand of this.#each(this.#table.entries(), () => true)) next = Math.min(next, hand.due_ms);
    return next === Number.POSITIVE_INFINITY ? null : next;
  }

  summary(nowMs: number): { readonly leased: number; readonly lowest: number | null } {
    let leased = 0;
    let lowest: number | null = null;
    for (const hand of this.all()) {
      if (hand.take !== NOBODY && hand.due_ms > nowMs) leased += hand.events;
      lowest = Math.min(lowest ?? hand.first_offset, hand.first_offset);
    }
    return { leased, lowest };
  }

  write(hand: WrittenHand): void {
    this.#changed.set(keyOf(hand), hand);
  }

  remove(key: HandKey): void {
    this.#changed.set(keyOf(key), null);
  }

  removeAll(): void {
    this.#isCleared = true;
    this.#changed.clear();
  }

  #stored(key: string): WrittenHand | undefined {
    return this.#isCleared ? undefined : this.#table.get(key);
  }

  /** Of these of the table those that are unchanged, and of the changed ones those that are meant. */
  *#each(
    stored: Iterable<readonly [string, WrittenHand]>,
    isMeant: (hand: WrittenHand) => boolean,
  ): Generator<WrittenHand> {
    if (!this.#isCleared) for (const [key, hand] of stored) if (!this.#changed.has(key)) yield hand;
    for (const hand of this.#changed.values()) if (hand !== null && isMeant(hand)) yield hand;
  }
}

function keyOf({ take, due_ms: dueMs, is_last: isLast }: HandKey): string {
  return `${take} ${dueMs} ${isLast}`;
}
