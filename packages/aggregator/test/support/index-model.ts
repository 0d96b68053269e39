import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { MIGRATIONS } from '../../src/store/sqlite/file/migrations.ts';
import { EntryList } from '../../src/store/sqlite/keys/bare-keys.ts';
import type { IndexShape } from '../../src/store/sqlite/keys/index-shape.ts';
import { ForgetPass, type Forgotten, type PassShape } from '../../src/store/sqlite/keys/forget-pass.ts';
import { KeyIndex } from '../../src/store/sqlite/keys/key-index.ts';
import { StoredKeys } from '../../src/store/sqlite/move/stored-keys.ts';
import { OffsetSet } from '../../src/store/offset-set.ts';

/** Few keys go through all levels. */
const SMALL_INDEX: IndexShape = { hotKeysMax: 16, baseBits: 1 };

/** Offsets that a move takes out of the runs at once. */
const WINDOW = 300;

const SMALL_PASS: PassShape = { keysMax: 3, bucketsMax: 6, shareMin: 0 };

type Key = readonly [number, number, number, number];

interface Event {
  readonly id: number;
  readonly offset: number;
  /** Whether a start can compute its key from a text. */
  hasText: boolean;
}

/** A key index beside a plain Map of what it should know. Instead of a log there is a list of which events have a text. */
export class IndexModel {
  readonly db = new DatabaseSync(':memory:');
  index: KeyIndex;
  /** How many runs shrank, and how many merges there were, so that tests see that they try them. */
  shrunk = 0;
  merged = 0;
  #events: Event[] = [];
  #known = new Map<number, Event>();
  #pass: { readonly pass: ForgetPass; readonly meant: OffsetSet } | null = null;

  constructor() {
    for (const migration of MIGRATIONS) this.db.exec(migration);
    this.index = new KeyIndex(this.db, SMALL_INDEX);
  }

  get events(): readonly Readonly<Event>[] {
    return this.#events;
  }

  /** Runs the work in one transaction, which is rolled back if it is to fail; then nothing has changed. */
  transaction(work: () => void, fails = false): void {
    const events = this.#events.map((event) => ({ ...event }));
    const known = new Map([...this.#known].map(([id, { offset }]) => [id, events[offset - 1]!]));
    this.index.begin();
    this.db.exec('BEGIN');
    work();
    this.db.exec(fails ? 'ROLLBACK' : 'COMMIT');
    if (fails) this.index.rolledBack();
    else this.index.committed();
    if (this.index.isShrinking) this.shrunk += 1;
    if (this.index.isMerging) this.merged += 1;
    if (!fails) return;
    this.#events = events;
    this.#known = known;
  }

  /** Adds the ids that are not known, with or without texts. */
  add(ids: readonly number[], hasText: boolean): void {
    const bare = new EntryList();
    for (const id of ids) {
      this.assertKnown(id);
      if (this.#known.has(id)) continue;
      const event = { id, offset: this.#events.length + 1, hasText };
      this.index.add(...keyOf(id), event.offset, digestOf(event.offset));
      this.#events.push(event);
      this.#known.set(id, event);
      if (!hasText) bare.push(...keyOf(id), event.offset, digestOf(event.offset));
    }
    if (bare.words.length > 0) this.index.keepBare(bare);
  }

  /** Lets go of the texts of these offsets. */
  expire(offsets: readonly number[]): void {
    const bare = new EntryList();
    for (const offset of offsets.toSorted((a, b) => a - b)) {
      const event = this.#events[offset - 1];
      if (event?.hasText !== true) continue;
      event.hasText = false;
      bare.push(...keyOf(event.id), offset, digestOf(offset));
    }
    this.index.keepBare(bare);
  }

  /** Forgets the ids that are known, and lets go of their texts before or afterwards. */
  forget(ids: readonly number[], isExpiredFirst: boolean): void {
    const known = ids.flatMap((id) => this.#known.get(id) ?? []);
    if (isExpiredFirst) this.expire(known.map(({ offset }) => offset));
    for (const id of ids) {
      assert.equal(this.index.forget(...keyOf(id)), this.#known.delete(id), `id ${id}`);
      this.assertKnown(id);
    }
    if (!isExpiredFirst) this.expire(known.map(({ offset }) => offset));
  }

  /** Does a step of forgetting what is meant among the events without a text; it begins if none is under way. */
  passSome(isMeant: (offset: number) => boolean, fails = false): void {
    this.#pass ??= this.#begunPass(isMeant);
    const { pass, meant } = this.#pass;
    let some: Forgotten | null = null as Forgotten | null;
    this.transaction(() => (some = pass.some()), fails);
    if (fails || some === null) return;
    some.durable();
    const isGone = ({ id, offset }: Event): boolean => meant.has(offset) && !this.index.find(...keyOf(id));
    const gone = [...this.#known.values()].filter(isGone);
    assert.equal(some.ids, gone.length);
    for (const { id } of gone) this.#known.delete(id);
    if (!pass.isDone) return;
    this.#pass = null;
    for (const { offset } of this.#known.values()) assert.ok(!meant.has(offset), `offset ${offset} is known`);
  }

  #begunPass(isMeant: (offset: number) => boolean) {
    const meant = new OffsetSet();
    for (const { offset, hasText } of this.#events) if (!hasText && isMeant(offset)) meant.add(offset);
    return { pass: new ForgetPass(this.index, meant, SMALL_PASS), meant };
  }

  get isPassing(): boolean {
    return this.#pass !== null;
  }

  /** What a start does, whether or not the process was killed before it. */
  reopen(): void {
    this.#pass = null;
    this.index = new KeyIndex(this.db, SMALL_INDEX);
    const { sealedTo } = this.index;
    const addBare = this.index.bareKeysToAdd();
    // In blocks of three events.
    for (let from = sealedTo + 1; from <= this.#events.length; from += 3) {
      const block = this.#events.slice(from - 1, from + 2);
      addBare(from + block.length - 1);
      for (const { id, offset, hasText } of block)
        if (hasText) this.index.addStored(...keyOf(id), offset, digestOf(offset));
      if (this.index.mustSeal) this.transaction(() => this.index.step(64));
    }
  }

  assertKnown(id: number): void {
    const event = this.#known.get(id);
    assert.equal(this.index.find(...keyOf(id)), event !== undefined, `id ${id}`);
    if (event === undefined) return;
    assert.deepEqual(
      [this.index.offset, this.index.digest],
      [event.offset, digestOf(event.offset)],
      `id ${id}`,
    );
  }

  assertAll(ids: number): void {
    for (let id = 0; id < ids; id++) this.assertKnown(id);
    assert.equal(this.index.keys, this.#known.size);
    const { forgotten } = this.db.prepare('SELECT forgotten FROM log').get()!;
    assert.equal(forgotten, this.#events.length - this.#known.size);
    assert.deepEqual([...this.index.problems()], []);
  }

  /** What a move finds beside the writer, by the offsets of the events without a text. */
  assertAllByOffset(): void {
    const textless = this.#events.filter(({ hasText }) => !hasText);
    const keys = new StoredKeys(this.db, SMALL_INDEX, WINDOW);
    for (let from = 0; from < textless.length; from += 100) {
      const some = textless.slice(from, from + 100);
      const found = keys.of(some.map(({ offset }) => offset));
      for (const [i, { id, offset }] of some.entries()) {
        const key = found[i] ?? null;
        const expected = this.#known.get(id)?.offset === offset ? [...keyOf(id), digestOf(offset)] : null;
        assert.deepEqual(key === null ? null : Object.values(key), expected, `offset ${offset}`);
      }
    }
  }
}

/** A key with all bits mixed. */
function keyOf(id: number): Key {
  const word = (seed: number): number => {
    let mixed = Math.imul(id + 1, seed);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
    return (mixed ^ (mixed >>> 13)) | 0;
  };
  return [word(0x9e3779b1), word(0x85ebca77), word(0xc2b2ae3d), word(0x27d4eb2f)];
}

function digestOf(offset: number): number {
  return (offset * 7) & 0xff_ffff;
}
