import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  EVENT_ID,
  type EventBatch,
  SOURCE,
  SPANS_PER_EVENT,
  TEXT,
  TOPIC,
  partText,
} from '../../../event/event-batch.ts';
import type { PublisherRun } from '../../commit-group.ts';
import { ACCEPTED, CONFLICT } from '../../event-store.ts';
import { CONFLICTS_KEPT_MAX } from '../../repeat-store.ts';
import { BlockReader } from '../block-reader.ts';
import type { Books } from '../books.ts';
import type { TopicRow } from '../topic-rows.ts';
import { Conflicts, type FreshConflict } from './conflicts.ts';
import { CommitPacker } from './packed.ts';
import { PendingRepeats } from './pending.ts';
import { Settling, settleSome } from './settling.ts';
import { TimeMarks } from './time-marks.ts';

/** Repeats packed together: they are settled together. */
const PACKED_MAX = 1024;

/** Pending repeats before commits settle them. A reader of counts looks at all of them. */
const PENDING_MAX = 32_768;

/** Repeats settled by one commit then, and in one idle transaction: a few milliseconds of work. */
export const SETTLED_AT_ONCE = 1024;

/** The events of a commit, and who published them if that is known. */
export type AppendedGroup = EventBatch & { readonly publishers?: readonly PublisherRun[] };

/** The events of a commit, with what became of each. */
export interface JudgedGroup {
  readonly group: AppendedGroup;
  readonly verdicts: Uint8Array;
  readonly offsets: Float64Array;
  /** Of the first one that this commit accepts. */
  readonly firstOffset: number;
}

/**
 * Remembers repeats in the writer's thread. In: the duplicates and conflicts of each commit, in its transaction. Out: a small
 * packed body that holds the repeats (packed.ts), and rows of conflicts (conflicts.ts).
 *
 * The body travels in the row of the commit's block. It is *pending* (pending.ts) until it is *settled*: counted in the tables, in
 * the order of the commits (settling.ts), while nobody publishes or when much is pending. Readers add what is pending. So all
 * that is told of repeats follows from what the commits wrote, whatever crashes.
 */
export class Repeats {
  readonly #books: Books;
  readonly #marks: TimeMarks;
  readonly #pending: PendingRepeats;
  readonly #settling: Settling;
  readonly #conflicts: Conflicts;
  readonly #blocks: BlockReader;
  readonly #packer = new CommitPacker();
  readonly #forgetHistory: StatementSync;
  /** As of the open transaction. */
  #pendingCount = 0;
  /** Whether what memory has of the tables may differ from the file. */
  #isStale = true;

  constructor(db: DatabaseSync, books: Books) {
    this.#books = books;
    this.#marks = new TimeMarks(db, books.ledger.lastOffset, books.ledger.lastMs);
    this.#pending = new PendingRepeats(db);
    this.#settling = new Settling(db);
    this.#conflicts = new Conflicts(db);
    this.#blocks = new BlockReader(db);
    this.#forgetHistory = db.prepare(
      'DELETE FROM repeat_history WHERE offset IN (SELECT value FROM json_each(?))',
    );
  }

  /** Whether some repeats are not settled, as far as is known: the first transaction after a start finds out. */
  get arePending(): boolean {
    return this.#pendingCount > 0;
  }

  /** Call this first in every transaction. */
  begin(): void {
    if (!this.#isStale) return;
    this.#pendingCount = this.#pending.count();
    this.#settling.begin();
    this.#conflicts.begin();
    this.#isStale = false;
  }

  rolledBack(): void {
    this.#isStale = true;
  }

  /** The commit of these events is durable. */
  committed(firstOffset: number, lastOffset: number, receivedMs: number): void {
    this.#marks.add(firstOffset, lastOffset, receivedMs);
  }

  /** Packs the repeats of a commit, which the books count already, and keeps its conflicts. */
  pack(judged: JudgedGroup): Uint8Array[] {
    const { group, verdicts, offsets, firstOffset } = judged;
    const { count, spans, bytes, publishers = [] } = group;
    const { lastMs } = this.#books.ledger;
    const bodies: Uint8Array[] = [];
    const conflicts: number[] = [];
    let run = 0;
    this.#packer.clear();
    for (let i = 0; i < count; i++) {
      while (run < publishers.length && publishers[run]!.end <= i) run += 1;
      if (verdicts[i] === ACCEPTED) continue;
      const at = i * SPANS_PER_EVENT;
      const isConflict = verdicts[i] === CONFLICT;
      if (isConflict) conflicts.push(i);
      const offset = offsets[i]!;
      const topicId = this.#topicOf(group, i).id;
      const bucket = offset >= firstOffset ? 0 : this.#marks.bucket(offset, lastMs);
      const publisher = publishers[run]?.publisher ?? null;
      const repeat = { offset, topicId, bucket, isConflict, publisher };
      this.#packer.add(repeat, bytes, spans[at + SOURCE]!, spans[at + SOURCE + 1]!);
      this.#pendingCount += 1;
      if (this.#packer.count === PACKED_MAX) bodies.push(this.#packer.take(lastMs));
    }
    if (this.#packer.count > 0) bodies.push(this.#packer.take(lastMs));
    if (conflicts.length > 0) this.#keepConflicts(judged, conflicts);
    return bodies;
  }

  /** Leaves repeats of this commit that no block holds to rows of their own. */
  leave(bodies: readonly Uint8Array[]): void {
    this.#pending.leave(bodies, this.#books.ledger.received);
  }

  /** Settles some repeats if many are pending. Call it once per commit that has repeats. */
  step(): void {
    if (this.#pendingCount > PENDING_MAX) this.settleSome(SETTLED_AT_ONCE);
  }

  /** Settles commits until these are so many repeats. */
  settleSome(repeatsMin: number): void {
    this.#pendingCount -= settleSome(this.#pending, this.#settling, repeatsMin);
  }

  /** Lets go of the texts that lost to some of the events in a range, which are losing their own. */
  dropTexts(from: number, to: number, isMeant: (offset: number) => boolean): void {
    this.#conflicts.dropTexts(from, to, isMeant);
  }

  /** Forgets what is known of these events, except for the counts. Their texts are gone. */
  forget(offsets: readonly number[]): void {
    const list = JSON.stringify(offsets);
    this.#forgetHistory.run(list);
    this.#conflicts.forget(list);
    if (this.#pendingCount > 0) this.#pending.forget(new Set(offsets));
  }

  #topicOf({ spans, bytes }: EventBatch, i: number): TopicRow {
    const at = i * SPANS_PER_EVENT + TOPIC;
    return this.#books.topicNamed(bytes, spans[at]!, spans[at + 1]!);
  }

  /** `places` are those of the conflicts in the group. */
  #keepConflicts({ group, offsets, firstOffset }: JudgedGroup, places: readonly number[]): void {
    const { ledger } = this.#books;
    const { publishers = [] } = group;
    const first = ledger.conflicts - places.length + 1;
    const kept = places.map((place, i): FreshConflict | null => {
      if (i < places.length - CONFLICTS_KEPT_MAX) return null;
      const at = place * SPANS_PER_EVENT + TEXT;
      const topic = this.#topicOf(group, place);
      const offset = offsets[place]!;
      return {
        number: first + i,
        offset,
        topicId: topic.id,
        eventId: partText(group, place, EVENT_ID),
        source: partText(group, place, SOURCE),
        publisher: publishers.find(({ end }) => end > place)?.publisher ?? null,
        text: this.#isKept(topic, offset, firstOffset)
          ? group.bytes.subarray(group.spans[at], group.spans[at + 1])
          : null,
      };
    });
    this.#conflicts.keep(
      kept.filter((conflict) => conflict !== null),
      ledger.lastMs,
    );
  }

  /** Whether the text of the event is kept, as of the open transaction, whose own events begin at `firstOffset`. */
  #isKept(topic: TopicRow, offset: number, firstOffset: number): boolean {
    if (offset >= firstOffset) return !topic.isBare;
    if (topic.expired + topic.bare === 0) return true;
    const block = this.#blocks.find(offset);
    return block?.isKept(offset - block.firstOffset) === true;
  }
}

/** Settles all that is pending, where nobody else writes and no transaction is open. */
export function settleRepeats(db: DatabaseSync): void {
  const [pending, settling] = [new PendingRepeats(db), new Settling(db)];
  for (let settled = 1; settled > 0;) {
    db.exec('BEGIN');
    settled = settleSome(pending, settling, SETTLED_AT_ONCE);
    db.exec('COMMIT');
  }
}

/** Notes that repeats are counted from a time on, unless that began before. */
export function countRepeatsSince(db: DatabaseSync, nowMs: number): void {
  const { since_ms: sinceMs } = db.prepare('SELECT since_ms FROM repeat_state').get()!;
  if (sinceMs === null) db.prepare('UPDATE repeat_state SET since_ms = ?').run(nowMs);
}
