import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Commit, commitsIn } from '../../blocks/block-format.ts';
import { damaged } from '../../errors.ts';
import { AGE_ERROR_MAX, ageBucket } from '../../repeat-store.ts';

/** Marks are thinned when there are so many, or twice as many as the last time left. */
const MARKS_MIN = 8192;

/** Neighbours in the order of the log, an entry of each list per mark. */
interface Marks {
  readonly offsets: number[];
  readonly ms: number[];
  readonly slack: number[];
}

/**
 * Tells how old an event is from its offset, without reading blocks as a rule. In: the offset and time of each commit. Out:
 * ages, off by AGE_ERROR_MAX of themselves at most.
 *
 * A mark says that the events from its offset to the next mark were committed at its time, or at most its *slack* later.
 * A new mark has no slack. As they age, neighbours become one, whose slack is still small for that age: so some thousands of
 * marks span years. What a mark cannot tell well enough is read from the block and marked, as sparsely as its age allows: after
 * a start, that is every stretch of the log when it is first asked for.
 */
export class TimeMarks {
  readonly #marks: Marks = { offsets: [], ms: [], slack: [] };
  #lastOffset: number;
  #thinAt = MARKS_MIN;
  readonly #blockAt: StatementSync;

  constructor(db: DatabaseSync, lastOffset: number, lastMs: number) {
    this.#blockAt = db.prepare(
      'SELECT first_offset, directory FROM block WHERE first_offset <= ? ORDER BY first_offset DESC LIMIT 1',
    );
    this.#lastOffset = lastOffset;
    if (lastOffset > 0) push(this.#marks, 1, 0, lastMs);
  }

  /** How many there are. */
  get size(): number {
    return this.#marks.offsets.length;
  }

  /** Marks the events of a commit, which end the log. */
  add(firstOffset: number, lastOffset: number, receivedMs: number): void {
    const { ms, slack } = this.#marks;
    this.#lastOffset = lastOffset;
    if (ms.at(-1) === receivedMs && slack.at(-1) === 0) return;
    push(this.#marks, firstOffset, receivedMs, 0);
    this.#bound(receivedMs);
  }

  /** The place in AgeCounts of an event's age at a time, which is none before the last commit. */
  bucket(offset: number, nowMs: number): number {
    const at = this.#markOf(offset);
    const ms = this.#marks.ms[at]!;
    const slack = this.#marks.slack[at]!;
    const bucket = ageBucket(nowMs - ms);
    if (slack === 0) return bucket;
    const youngest = nowMs - ms - slack;
    if (slack <= youngest * AGE_ERROR_MAX || ageBucket(youngest) === bucket) return bucket;
    return ageBucket(nowMs - this.#read(at, offset, nowMs));
  }

  /** The last mark that is not above the offset. */
  #markOf(offset: number): number {
    const { offsets } = this.#marks;
    let [low, high] = [0, offsets.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (offsets[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Puts marks for the commits of the event's block in the place of one. Returns when the event was committed. */
  #read(at: number, offset: number, nowMs: number): number {
    const row = this.#blockAt.get(offset) as { first_offset: number; directory: Uint8Array } | undefined;
    if (row === undefined) throw damaged(`the block with offset ${offset} is missing`);
    const { offsets, ms, slack } = this.#marks;
    const [from, to] = [offsets[at]!, offsets[at + 1] ?? this.#lastOffset + 1];
    const [fromMs, toMs] = [ms[at]!, ms[at]! + slack[at]!];
    const commits: Commit[] = commitsIn(row.directory);
    const read: Marks = { offsets: [], ms: [], slack: [] };
    let found: number | null = null;
    let first = row.first_offset;
    let lastMs = fromMs;
    if (first > from) push(read, from, fromMs, Math.min(toMs, commits[0]!.receivedMs) - fromMs);
    for (const { events, receivedMs } of commits) {
      const next = first + events;
      if (next > from && first < to) {
        push(read, Math.max(first, from), receivedMs, 0);
        lastMs = receivedMs;
      }
      if (first <= offset && offset < next) found = receivedMs;
      first = next;
    }
    if (found === null) throw damaged(`the block at offset ${row.first_offset} does not reach ${offset}`);
    if (first < to) push(read, first, lastMs, Math.max(0, toMs - lastMs));
    // A block has up to thousands of commits, and any number of blocks may be asked about.
    thin(read, nowMs);
    offsets.splice(at, 1, ...read.offsets);
    ms.splice(at, 1, ...read.ms);
    slack.splice(at, 1, ...read.slack);
    this.#bound(nowMs);
    return found;
  }

  #bound(nowMs: number): void {
    if (this.size < this.#thinAt) return;
    thin(this.#marks, nowMs);
    this.#thinAt = Math.max(MARKS_MIN, 2 * this.size);
  }
}

function push({ offsets, ms, slack }: Marks, offset: number, timeMs: number, slackMs: number): void {
  offsets.push(offset);
  ms.push(timeMs);
  slack.push(slackMs);
}

/** Makes neighbours one where the age allows it; it will allow it later, too. */
function thin({ offsets, ms, slack }: Marks, nowMs: number): void {
  let kept = 0;
  for (let i = 1; i < offsets.length; i++) {
    const widened = Math.max(slack[kept]!, ms[i]! - ms[kept]! + slack[i]!);
    if (widened <= (nowMs - ms[kept]! - widened) * AGE_ERROR_MAX) {
      slack[kept] = widened;
      continue;
    }
    kept += 1;
    [offsets[kept], ms[kept], slack[kept]] = [offsets[i]!, ms[i]!, slack[i]!];
  }
  for (const list of [offsets, ms, slack]) list.length = kept + 1;
}
