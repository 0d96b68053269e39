import { StoredEventWriter } from '../store/stored-event.ts';
import type { CommittedEvents } from '../store/news.ts';

/** Neighbouring events, framed once for all who follow; between the first and the last it has all that anybody wanted. */
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

/** About what a piece costs beside its bytes, and each of its events. */
const PIECE_OVERHEAD_BYTES = 512;
const EVENT_OVERHEAD_BYTES = 32;

function bytesOf({ bytes, ends }: Piece): number {
  return bytes.length + PIECE_OVERHEAD_BYTES + ends.length * EVENT_OVERHEAD_BYTES;
}

/**
 * The newest events, encoded once, so that live followers need no reading from the store and neither do those who fell a
 * little behind. In: commits, in order. Out: pieces, when they are cut. Bounded in bytes: the oldest pieces go first, and
 * whoever still holds one keeps it.
 *
 * An event is *heard*, copied into the piece that is being built, and *cut* with that piece. Invariants: everything wanted
 * above `after`, up to `lastOffset`, is in the pieces, in order; what came after that, up to `heardTo`, is being built.
 */
export class LiveWindow {
  readonly #bytesMax: number;
  readonly #builder: PieceBuilder;
  #pieces: Piece[] = [];
  #bytes = 0;
  #after: number;
  #lastOffset: number;
  #heardTo: number;
  /** Pieces that were full before they were cut. */
  #built: Piece[] = [];

  /**
   * @param after the end of the log when it begins
   * @param bytesMax of all pieces
   * @param pieceBytesMax of one, unless it is one event that is larger
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

  /** Up to here everything is cut. */
  get lastOffset(): number {
    return this.#lastOffset;
  }

  get heardTo(): number {
    return this.#heardTo;
  }

  /** Copies the wanted ones of the events that were committed next, up to `lastOffset`. */
  hear(events: CommittedEvents, lastOffset: number, isWanted: (topic: string) => boolean): void {
    const builder = this.#builder;
    events.each(this.#heardTo, isWanted, (topic, text, offset, receivedMs) => {
      if (!builder.fits(text)) this.#built.push(builder.take());
      builder.add(topic, text, offset, receivedMs);
    });
    this.#heardTo = lastOffset;
  }

  /** Goes on behind a hole in the news: what is below the offset is to be read from the store. */
  skip(offset: number): void {
    this.#builder.clear();
    this.#built = [];
    this.#pieces = [];
    this.#bytes = 0;
    this.#after = offset;
    this.#lastOffset = offset;
    this.#heardTo = offset;
  }

  /** The pieces of what was heard since the last cut. */
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

  /** The pieces with something above the offset, which must not lie below `after`. */
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
 * The piece's events above the offset on topics that are meant, or null. Where that is all of them it is the piece's own
 * memory.
 *
 * @param meant of each topic of the piece, whether it is
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
  // A copy, so that a few events do not hold all of the piece.
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

  /** The piece; the next one begins behind it. */
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
