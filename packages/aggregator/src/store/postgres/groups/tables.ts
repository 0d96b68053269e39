import type { GroupAction } from '../../audit-store.ts';
import { type FreshRecord, FreshRecords, codeOf } from '../../audit/audit-records.ts';
import type { DeadLetter, FreshEvents } from '../../group-store.ts';
import type { Claim, GroupLog, GroupRow, GroupTables, LetterRows, NewRow, RowChange } from '../../groups/group-tables.ts'; // prettier-ignore
import type { Answers } from './answers.ts';
import { ChangedHands, type HandTable } from './hand-table.ts';

/** A group's row, with what only this store has in it. */
export interface StoredRow extends GroupRow {
  readonly sender: string | null;
  readonly sender_until_ms: number;
  /** The apply that wrote it last. */
  readonly version: number;
}

/** What a transaction has loaded. */
export interface Loaded {
  readonly nowMs: number;
  readonly rows: ReadonlyMap<number, StoredRow>;
  readonly hands: ReadonlyMap<number, HandTable>;
  readonly lastOffset: number;
  /** How many groups there are, and the id of the last one that was made; known where groups are made. */
  readonly groups: number;
  readonly lastId: number;
}

/** What a transaction asks for while it runs. */
export interface Questions {
  lettersAbove(id: number, offset: number, lettersMax: number): Promise<DeadLetter[]>;
  lettersAt(id: number, offsets: readonly number[]): Promise<DeadLetter[]>;
  countLettersAbove(id: number, offset: number): Promise<number>;
  lastOffsetBefore(timeMs: number): Promise<number>;
  earliest(topics: readonly string[]): Promise<number>;
  next(topics: readonly string[], after: number, eventsMax: number): Promise<FreshEvents>;
}

/** What the steps of one transaction have made of a group. */
export class ChangedGroup {
  /** As it was loaded; null if the group is new. */
  readonly before: StoredRow | null;
  row: StoredRow;
  readonly hands: ChangedHands;
  readonly letters: ChangedLetters;
  isRemoved = false;

  constructor(before: StoredRow | null, row: StoredRow, table: HandTable, ask: Ask) {
    this.before = before;
    this.row = row;
    this.hands = new ChangedHands(table);
    this.letters = new ChangedLetters(row.group_id, ask);
  }

  get isChanged(): boolean {
    return this.isRemoved || this.row !== this.before || this.hands.isChanged || this.letters.isChanged;
  }
}

interface Ask {
  readonly answers: Answers;
  readonly questions: Questions;
}

/** The groups' tables as they were loaded, and what the steps change in them, to be written afterwards. */
export class LoadedTables implements GroupTables {
  readonly #loaded: Loaded;
  readonly #ask: Ask;
  readonly #groups = new Map<number, ChangedGroup>();
  readonly #newTable: () => HandTable;
  readonly #records: FreshRecords | null;
  readonly log: GroupLog;
  lastId: number;

  /** @param isAudited whether what becomes of events is to be recorded */
  constructor(loaded: Loaded, ask: Ask, newTable: () => HandTable, isAudited: boolean) {
    this.#records = isAudited ? new FreshRecords() : null;
    this.#loaded = loaded;
    this.#ask = ask;
    this.#newTable = newTable;
    this.lastId = loaded.lastId;
    for (const [id, row] of loaded.rows) {
      this.#groups.set(id, new ChangedGroup(row, row, loaded.hands.get(id) ?? newTable(), ask));
    }
    const { answers, questions } = ask;
    this.log = {
      lastOffset: loaded.lastOffset,
      lastOffsetBefore: (timeMs) => answers.get(`before ${timeMs}`, () => questions.lastOffsetBefore(timeMs)),
      earliest: (topics) => answers.get(`earliest ${topics.join()}`, () => questions.earliest(topics)),
      next: (topics, after, eventsMax) =>
        answers.get(`next ${topics.join()} ${after} ${eventsMax}`, () =>
          questions.next(topics, after, eventsMax),
        ),
    };
  }

  changed(): ChangedGroup[] {
    return [...this.#groups.values()].filter(({ before, isRemoved, isChanged }) =>
      before === null ? !isRemoved : isChanged,
    );
  }

  /** What is to be written into the audit trail. */
  records(): FreshRecord[] {
    return this.#records?.take() ?? [];
  }

  note(action: GroupAction, { name }: GroupRow, offset: number, delivery: number): void {
    this.#records?.add(codeOf(action), name, offset, delivery);
  }

  row(id: number): GroupRow | undefined {
    return this.#group(id)?.row;
  }

  idOf(name: string): number | undefined {
    return this.#all().find(({ row }) => row.name === name)?.row.group_id;
  }

  ids(): readonly number[] {
    const rows = this.#all().map(({ row }) => ({ id: row.group_id, name: Buffer.from(row.name) }));
    return rows.toSorted((a, b) => Buffer.compare(a.name, b.name)).map(({ id }) => id);
  }

  count(): number {
    let made = 0;
    for (const { before, isRemoved } of this.#groups.values()) {
      if (before === null && !isRemoved) made += 1;
      if (before !== null && isRemoved) made -= 1;
    }
    return this.#loaded.groups + made;
  }

  insert(made: NewRow): number {
    const id = ++this.lastId;
    this.#groups.set(id, new ChangedGroup(null, { ...EMPTY, ...made, group_id: id }, this.#newTable(), this.#ask)); // prettier-ignore
    return id;
  }

  update(id: number, change: RowChange): void {
    this.#write(id, change);
  }

  remove(id: number): boolean {
    const group = this.#group(id);
    if (group !== undefined) group.isRemoved = true;
    return group !== undefined;
  }

  hands(id: number): ChangedHands {
    return this.#groups.get(id)!.hands;
  }

  letters(id: number): LetterRows {
    return this.#groups.get(id)!.letters;
  }

  claim(id: number): Claim | undefined {
    const row = this.#group(id)?.row;
    return row === undefined || row.sender === null
      ? undefined
      : { sender: row.sender, untilMs: row.sender_until_ms };
  }

  setClaim(id: number, { sender, untilMs }: Claim): void {
    this.#write(id, { sender, sender_until_ms: untilMs });
  }

  #write(id: number, change: Partial<StoredRow>): void {
    const group = this.#group(id);
    if (group !== undefined) group.row = { ...group.row, ...change };
  }

  #group(id: number): ChangedGroup | undefined {
    const group = this.#groups.get(id);
    return group?.isRemoved === true ? undefined : group;
  }

  #all(): ChangedGroup[] {
    return [...this.#groups.values()].filter(({ isRemoved }) => !isRemoved);
  }
}

const EMPTY = {
  takes: 0,
  void_takes: 0,
  outstanding: 0,
  dead: 0,
  deliveries: 0,
  redeliveries: 0,
  acknowledged: 0,
  expired: 0,
  is_paused: 0,
  pause_asked: 0,
  failing_since_ms: null,
  last_failure: null,
  sender: null,
  sender_until_ms: 0,
  version: 0,
} as const;

/** A group's dead letters: those of the database are asked for, what the steps change is beside them. */
export class ChangedLetters implements LetterRows {
  readonly #id: number;
  readonly #ask: Ask;
  readonly added = new Map<number, DeadLetter>();
  readonly removed = new Set<number>();
  /** Of the database all above this are removed. */
  removedAbove = Number.POSITIVE_INFINITY;

  constructor(id: number, ask: Ask) {
    this.#id = id;
    this.#ask = ask;
  }

  get isChanged(): boolean {
    return this.added.size > 0 || this.removed.size > 0 || this.removedAbove !== Number.POSITIVE_INFINITY;
  }

  add(letter: DeadLetter): void {
    this.added.set(letter.offset, letter);
  }

  above(offset: number, lettersMax: number): readonly DeadLetter[] {
    const { answers, questions } = this.#ask;
    const enough = lettersMax + this.removed.size;
    const stored = answers.get(`letters of ${this.#id} above ${offset}, ${enough}`, () =>
      questions.lettersAbove(this.#id, offset, enough),
    );
    return this.#merged(stored, (letter) => letter.offset > offset).slice(0, lettersMax);
  }

  at(offsets: readonly number[], lettersMax: number): readonly DeadLetter[] {
    const { answers, questions } = this.#ask;
    const stored = answers.get(`letters of ${this.#id} at ${offsets.join()}`, () =>
      questions.lettersAt(this.#id, offsets),
    );
    const sought = new Set(offsets);
    return this.#merged(stored, (letter) => sought.has(letter.offset)).slice(0, lettersMax);
  }

  remove(offset: number): void {
    if (!this.added.delete(offset)) this.removed.add(offset);
  }

  removeAbove(offset: number): number {
    const { answers, questions } = this.#ask;
    const countAbove = (above: number): number =>
      above === Number.POSITIVE_INFINITY
        ? 0
        : answers.get(`count of letters of ${this.#id} above ${above}`, () =>
            questions.countLettersAbove(this.#id, above),
          );
    let count = Math.max(0, countAbove(offset) - countAbove(this.removedAbove));
    for (const one of this.removed) if (one > offset && one <= this.removedAbove) count -= 1;
    for (const one of this.added.keys()) {
      if (one <= offset) continue;
      this.added.delete(one);
      count += 1;
    }
    this.removedAbove = Math.min(this.removedAbove, offset);
    return count;
  }

  #merged(stored: readonly DeadLetter[], isMeant: (letter: DeadLetter) => boolean): DeadLetter[] {
    const kept = stored.filter(
      ({ offset }) => !this.removed.has(offset) && offset <= this.removedAbove && !this.added.has(offset),
    );
    return [...kept, ...[...this.added.values()].filter(isMeant)].toSorted((a, b) => a.offset - b.offset);
  }
}
