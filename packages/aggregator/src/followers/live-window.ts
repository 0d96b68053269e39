import { StoredEventWriter } from '../store/stored-event.ts';
import type { CommittedEvents } from '../store/news.ts';

/**
 * Neighbouring events, framed once for all followers. Between its first and last event nothing that anybody wanted is
 * missing.
 */
export interface Piece {
  readonly lastOffset: number;
  readonly bytes: Uint8Array;
  /** Where each event ends in `bytes`. */
  readonly ends: readonly number[];
  readonly offsets: readonly number[];
  /** The place in `topics` of each event's topic. */
  readonly topicOf: readonly number[];
  readonly topics: readonly string[];
}

/** Roughly what a piece, and each of its events, costs beside its bytes. */
const PIECE_OVERHEAD_BYTES = 512;
const EVENT_OVERHEAD_BYTES = 32;

function bytesOf({ bytes, ends }: Piece): number {
  return bytes.length + PIECE_OVERHEAD_BYTES + ends.length * EVENT_OVERHEAD_BYTES;
}

/**
 * The newest events, encoded once, so that followers that are live or only a little behind need not read from the
 * store. In: commits, in order. Out: pieces, when they are cut. Bounded in bytes: the oldest pieces are dropped
 * first, but stay valid for whoever holds them.
 *
 * An event is *heard*, copied into the piece under construction, and *cut* with that piece. Invariants: every wanted
 * event above `after`, up to `lastOffset`, is in the pieces, in order; those after that, up to `heardTo`, are in
 * pieces not yet cut.
 */
export class LiveWindow {
  readonly #bytesMax: number;
  readonly #builder: PieceBuilder;
  #pieces: Piece[] = [];
  #bytes = 0;
  #after: number;
  #lastOffset: number;
  #heardTo: number;
  /** Complete pieces that are not yet cut. */
  #built: Piece[] = [];

  /**
   * @param after the end of the log at the window's beginning
   * @param bytesMax of all pieces
   * @param pieceBytesMax of each piece, except that a single event may be larger
   */
  constructor(after: number, bytesMax: number, pieceBytesMax: number) {
    this.#after = after;
    this.#lastOffset = after;
    this.#heardTo = after;
    this.#bytesMax = bytesMax;
    this.#builder = new PieceBuilder(pieceBytesMax);
  }

  get after(): number {
    return this.#after;
  }

  /** Everything up to here is cut. */
  get lastOffset(): number {
    return this.#lastOffset;
  }

  get heardTo(): number {
    return this.#heardTo;
  }

  /** Copies the wanted events of the next commit, which reaches `lastOffset`. */
  hear(events: CommittedEvents, lastOffset: number, isWanted: (topic: string) => boolean): void {
    const builder = this.#builder;
    events.each(this.#heardTo, isWanted, (topic, text, offset, receivedMs) => {
      if (!builder.fits(text)) this.#built.push(builder.take());
      builder.add(topic, text, offset, receivedMs);
    });
    this.#heardTo = lastOffset;
  }

  /** Continues after a hole in the news: everything up to the offset must be read from the store. */
  skip(offset: number): void {
    this.#builder.clear();
    this.#built = [];
    this.#pieces = [];
    this.#bytes = 0;
    this.#after = offset;
    this.#lastOffset = offset;
    this.#heardTo = offset;
  }

  /** Whether an event up to the offset is heard, but not cut. */
  isUncut(offset: number): boolean {
    const first = this.#built[0]?.offsets[0] ?? this.#builder.firstOffset;
    return first !== undefined && first <= offset;
  }

  /** Drops the cut pieces with an event at or below the offset, because some of them have expired. */
  letGo(offset: number): void {
    while (this.#pieces.length > 0 && this.#pieces[0]!.offsets[0]! <= offset) this.#dropOldest();
  }

  /** The pieces heard since the last cut. */
  cut(): Piece[] {
    const pieces = this.#built;
    this.#built = [];
    this.#lastOffset = this.#heardTo;
    if (!this.#builder.isEmpty) pieces.push(this.#builder.take());
    for (const piece of pieces) {
      this.#pieces.push(piece);
      this.#bytes += bytesOf(piece);
    }
    while (this.#bytes > this.#bytesMax) this.#dropOldest();
    return pieces;
  }

  /** The pieces with events above the offset, which must not be below `after`. */
  above(offset: number): readonly Piece[] {
    return this.#pieces.slice(this.#pieces.findLastIndex(({ lastOffset }) => lastOffset <= offset) + 1);
  }

  #dropOldest(): void {
    const piece = this.#pieces.shift();
    if (piece === undefined) throw new Error('the window has bytes and no pieces');
    this.#bytes -= bytesOf(piece);
    this.#after = piece.lastOffset;
  }
}

/**
 * The piece's events above the offset on the meant topics, or null. If that is all of them, returns the piece's own
 * memory.
 *
 * @param meant whether each topic of the piece is meant
 */
export function selectFrom(piece: Piece, meant: readonly boolean[], above: number): Uint8Array | null {
  if (!meant.includes(true)) return null;
  const { bytes, ends, offsets, topicOf } = piece;
  if (above < offsets[0]! && !meant.includes(false)) return bytes;
  const runs: Uint8Array[] = [];
  let runStart = 0;
  let end = 0;
  for (const [i, offset] of offsets.entries()) {
    const start = end;
    end = ends[i]!;
    if (offset > above && meant[topicOf[i]!]) continue;
    if (start > runStart) runs.push(bytes.subarray(runStart, start));
    runStart = end;
  }
  if (end > runStart) runs.push(bytes.subarray(runStart, end));
  // A copy, so that a few events do not keep the whole piece in memory.
  return runs.length === 0 ? null : Buffer.concat(runs);
}

class PieceBuilder {
  readonly #bytesMax: number;
  readonly #writer = new StoredEventWriter();
  #ends: number[] = [];
  #offsets: number[] = [];
  #topicOf: number[] = [];
  #topics = new Map<string, number>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#writer.begin('stream');
  }

  get isEmpty(): boolean {
    return this.#ends.length === 0;
  }

  get firstOffset(): number | undefined {
    return this.#offsets[0];
  }

  fits(text: Uint8Array): boolean {
    return this.isEmpty || this.#writer.length + text.length < this.#bytesMax;
  }

  add(topic: string, text: Uint8Array, offset: number, receivedMs: number): void {
    let place = this.#topics.get(topic);
    if (place === undefined) this.#topics.set(topic, (place = this.#topics.size));
    this.#writer.write(text, offset, receivedMs);
    this.#ends.push(this.#writer.length);
    this.#offsets.push(offset);
    this.#topicOf.push(place);
  }

  /** Returns the piece and begins the next one. */
  take(): Piece {
    const piece: Piece = {
      lastOffset: this.#offsets.at(-1)!,
      bytes: this.#writer.take(),
      ends: this.#ends,
      offsets: this.#offsets,
      topicOf: this.#topicOf,
      topics: [...this.#topics.keys()],
    };
    this.clear();
    return piece;
  }

  clear(): void {
    this.#ends = [];
    this.#offsets = [];
    this.#topicOf = [];
    this.#topics = new Map();
    this.#writer.begin('stream');
  }
}
