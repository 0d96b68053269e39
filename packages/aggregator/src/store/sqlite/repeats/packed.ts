import type { Repeat } from '../../repeat-store.ts';
import { type Name, PackedReader, PackedWriter, scratch } from './packed-bytes.ts';

/**
 * How repeats are stored, all numbers LEB128.
 *
 * The *repeats of a commit*, as they are written with it: when that was, how many there are, then of each its flags, the offset
 * of the first one or 0 if its id is forgotten, the topic's id, and the names that differ from those before. The *repeats of
 * an event*, oldest first, in chunks, to which another one can be appended unread: how many there are, then of each its flags,
 * the time since the one before in the chunk, and the names.
 */
export interface CommittedRepeat {
  readonly offset: number;
  readonly topicId: number;
  /** The place of its age in AgeCounts. */
  readonly bucket: number;
  readonly isConflict: boolean;
  readonly source: string;
  readonly publisher: string | null;
  readonly receivedMs: number;
}

/** Flags. Below them, four bits hold the age's bucket. */
const CONFLICT_FLAG = 16;
const SOURCE_FLAG = 32;
const PUBLISHER_FLAG = 64;
const BUCKET_MASK = 15;

/** Packs the repeats of one commit, one by one. Names are given as bytes, so that most are never made into strings. */
export class CommitPacker {
  readonly #out = new PackedWriter();
  #source: Uint8Array = new Uint8Array(0);
  #publisher: string | null = null;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(
    repeat: Pick<CommittedRepeat, 'offset' | 'topicId' | 'bucket' | 'isConflict' | 'publisher'>,
    source: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { offset, topicId, bucket, isConflict, publisher } = repeat;
    const out = this.#out;
    const isOtherSource = this.#count === 0 || !isSame(this.#source, source, start, end);
    const isOtherPublisher = publisher !== this.#publisher;
    out.put(
      bucket |
        (isConflict ? CONFLICT_FLAG : 0) |
        (isOtherSource ? SOURCE_FLAG : 0) |
        (isOtherPublisher ? PUBLISHER_FLAG : 0),
    );
    out.put(offset);
    out.put(topicId);
    if (isOtherSource) {
      this.#source = source.subarray(start, end);
      out.put(end - start);
      out.putBytes(source, start, end);
    }
    if (isOtherPublisher) {
      this.#publisher = publisher;
      out.putName(publisher);
    }
    this.#count += 1;
  }

  /** The repeats since the last time. */
  take(receivedMs: number): Uint8Array {
    const head = scratch();
    head.put(receivedMs);
    head.put(this.#count);
    const body = Buffer.concat([head.bytes(), this.#out.bytes()]);
    this.clear();
    return body;
  }

  clear(): void {
    this.#out.clear();
    this.#publisher = null;
    this.#count = 0;
  }
}

/** How many repeats the packed repeats of a commit are. */
export function countIn(body: Uint8Array): number {
  const reader = new PackedReader(body);
  reader.next();
  return reader.next();
}

/**
 * Walks through the repeats of a commit, of which it is the one that `next` has reached. Names are made into strings when they are
 * asked for: whoever looks for one event passes over thousands of others.
 */
export class CommitCursor implements CommittedRepeat {
  readonly receivedMs: number;
  offset = 0;
  topicId = 0;
  bucket = 0;
  isConflict = false;
  readonly #reader: PackedReader;
  #left: number;
  readonly #source: Name = { at: 0, length: 0, text: null };
  readonly #publisher: Name = { at: 0, length: -1, text: null };

  constructor(body: Uint8Array) {
    this.#reader = new PackedReader(body);
    this.receivedMs = this.#reader.next();
    this.#left = this.#reader.next();
  }

  /** Goes on to the next repeat. Returns false at the end. Throws if the bytes are no repeats. */
  next(): boolean {
    const reader = this.#reader;
    if (this.#left === 0) {
      reader.end();
      return false;
    }
    this.#left -= 1;
    const flags = reader.next();
    this.offset = reader.next();
    this.topicId = reader.next();
    this.bucket = flags & BUCKET_MASK;
    this.isConflict = (flags & CONFLICT_FLAG) !== 0;
    if ((flags & SOURCE_FLAG) !== 0) reader.pass(this.#source, reader.next());
    if ((flags & PUBLISHER_FLAG) !== 0) reader.pass(this.#publisher, reader.next() - 1);
    return true;
  }

  get source(): string {
    return (this.#source.text ??= this.#reader.textAt(this.#source));
  }

  get publisher(): string | null {
    if (this.#publisher.length < 0) return null;
    return (this.#publisher.text ??= this.#reader.textAt(this.#publisher));
  }
}

/** The repeats of a commit. Throws if the bytes are none. */
export function repeatsIn(body: Uint8Array): CommittedRepeat[] {
  const repeats: CommittedRepeat[] = [];
  const cursor = new CommitCursor(body);
  while (cursor.next()) {
    const { offset, topicId, bucket, isConflict, source, publisher, receivedMs } = cursor;
    repeats.push({ offset, topicId, bucket, isConflict, source, publisher, receivedMs });
  }
  return repeats;
}

/** The repeats of a commit, without a trace of the events at some offsets; null if there is none of these. */
export function withoutEvents(body: Uint8Array, offsets: ReadonlySet<number>): Uint8Array | null {
  const cursor = new CommitCursor(body);
  let isChanged = false;
  while (cursor.next()) isChanged ||= offsets.has(cursor.offset);
  if (!isChanged) return null;
  const packer = new CommitPacker();
  for (const repeat of repeatsIn(body)) {
    const source = Buffer.from(repeat.source);
    const offset = offsets.has(repeat.offset) ? 0 : repeat.offset;
    packer.add({ ...repeat, offset }, source, 0, source.length);
  }
  return packer.take(cursor.receivedMs);
}

/** Packs repeats of an event, oldest first, as a chunk. */
export function packHistory(repeats: readonly Repeat[]): Uint8Array {
  const out = scratch();
  out.put(repeats.length);
  let before: Repeat | null = null;
  for (const repeat of repeats) {
    const { receivedMs, isConflict, source, publisher } = repeat;
    const isOtherSource = source !== before?.source;
    const isOtherPublisher = publisher !== (before?.publisher ?? null);
    out.put(
      (isConflict ? CONFLICT_FLAG : 0) |
        (isOtherSource ? SOURCE_FLAG : 0) |
        (isOtherPublisher ? PUBLISHER_FLAG : 0),
    );
    out.put(receivedMs - (before?.receivedMs ?? 0));
    if (isOtherSource) out.putName(source);
    if (isOtherPublisher) out.putName(publisher);
    before = repeat;
  }
  return out.bytes();
}

export function historyIn(body: Uint8Array): Repeat[] {
  const reader = new PackedReader(body);
  const repeats: Repeat[] = [];
  while (!reader.isAtEnd) {
    let [receivedMs, source] = [0, ''];
    let publisher: string | null = null;
    for (let left = reader.next(); left > 0; left--) {
      const flags = reader.next();
      receivedMs += reader.next();
      if ((flags & SOURCE_FLAG) !== 0) source = reader.name() ?? '';
      if ((flags & PUBLISHER_FLAG) !== 0) publisher = reader.name();
      repeats.push({ receivedMs, isConflict: (flags & CONFLICT_FLAG) !== 0, source, publisher });
    }
  }
  return repeats;
}

/** Packs counts. */
export function packCounts(counts: readonly number[]): Uint8Array {
  const out = scratch();
  for (const count of counts) out.put(count);
  return out.bytes();
}

/** Adds packed counts, as many as there are in the list, to those in it. Throws if the bytes are none. */
export function addCounts(counts: number[], body: Uint8Array): void {
  const reader = new PackedReader(body);
  for (let i = 0; i < counts.length; i++) counts[i]! += reader.next();
  reader.end();
}

function isSame(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let i = 0; i < name.length; i++) if (name[i] !== bytes[start + i]) return false;
  return true;
}
