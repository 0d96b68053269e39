import { constants, zstdCompressSync } from 'node:zlib';
import { freeMemory } from '../../released-memory.ts';
import { withChecksum } from '../checksum.ts';
import { type BlockEvents, type BlockRow, type Commit, LAYOUTS, bytesOf } from './block-format.ts';
import { NumberWriter } from './numbers.ts';

/**
 * Smaller chunks are stored uncompressed: setting up zstd costs a commit of a few single events 20 µs, and the merge that
 * follows compresses them anyway.
 */
const COMPRESS_BYTES_MIN = 8192;

/** Chunks of a merged block hold whole topics. Small topics share a chunk until it has this many bytes. */
const CHUNK_BYTES_MIN = 64 * 1024;

/** Level 1: on log-like events level 3 took a third longer and compressed no better (docs/performance.md). */
const ZSTD_PARAMS = { [constants.ZSTD_c_compressionLevel]: 1 };

/** A merged block's row, and the topics to list it under. */
export interface MergedRow extends BlockRow {
  readonly topicIds: readonly number[];
}

/** The row of a fresh block. */
export function encodeFresh({ topicIds, starts, lengths, texts, commits }: BlockEvents): BlockRow {
  const directory = new Directory(topicIds, lengths, commits);
  const raw = joined(texts, starts, lengths);
  const body = packed(raw);
  const chunk = { topics: directory.ids.length, storedBytes: body.length, unpackedBytes: raw.length };
  const row = { directory: directory.encoded('fresh', [chunk], body), body };
  if (body !== raw && raw.buffer !== texts.buffer) freeMemory(raw);
  return row;
}

/** The row of a merged block. */
export function encodeMerged({ topicIds, starts, lengths, texts, commits }: BlockEvents): MergedRow {
  const encoder = new MergedBlockEncoder(topicIds, lengths, commits);
  encoder.putAll(texts, starts);
  while (!encoder.isPacked) encoder.packNext();
  return encoder.row();
}

/**
 * Builds a merged block step by step. In: topics and lengths of all events, then each text in offset order (`put`). Then
 * each call of `packNext` packs one chunk, until all are packed. Out: the row.
 */
export class MergedBlockEncoder {
  readonly #directory: Directory;
  readonly #texts: Uint8Array;
  /** Per topic, where its next text goes; after the last one, where its texts end. */
  readonly #next: Int32Array;
  readonly #chunks: StoredChunk[] = [];
  readonly #packed: Uint8Array[] = [];
  #event = 0;
  #packedTopics = 0;
  #packedBytes = 0;

  constructor(topicIds: Int32Array, lengths: Int32Array, commits: readonly Commit[]) {
    this.#directory = new Directory(topicIds, lengths, commits);
    const { ids, places } = this.#directory;
    const topicBytes = new Int32Array(ids.length);
    for (let i = 0; i < lengths.length; i++) topicBytes[places[i]!]! += bytesOf(lengths[i]!);
    this.#next = new Int32Array(ids.length);
    let end = 0;
    for (let topic = 0; topic < ids.length; topic++) {
      this.#next[topic] = end;
      end += topicBytes[topic]!;
    }
    // Need not be filled with zeros: every byte is written before it is packed.
    this.#texts = Buffer.allocUnsafeSlow(end);
  }

  /** Adds the next event's text. */
  put(text: Uint8Array): void {
    const topic = this.#directory.places[this.#event++]!;
    this.#texts.set(text, this.#next[topic]);
    this.#next[topic]! += text.length;
  }

  /** Adds the texts of all events. */
  putAll(texts: Uint8Array, starts: Int32Array): void {
    const { places, lengths } = this.#directory;
    const next = this.#next;
    const to = this.#texts;
    for (let i = 0; i < starts.length; i++) {
      const start = starts[i]!;
      const topic = places[i]!;
      const at = next[topic]!;
      const length = bytesOf(lengths[i]!);
      to.set(texts.subarray(start, start + length), at);
      next[topic] = at + length;
    }
  }

  /** Whether every chunk is packed. */
  get isPacked(): boolean {
    return this.#packedTopics === this.#directory.ids.length;
  }

  /** Packs the next chunk. Returns its bytes of text, which may be none. */
  packNext(): number {
    const topics = this.#directory.ids.length;
    const from = this.#packedBytes;
    let topic = this.#packedTopics;
    if (topic === topics) throw new Error('all chunks are packed');
    while (topic < topics - 1 && this.#next[topic]! - from < CHUNK_BYTES_MIN) topic += 1;
    const to = this.#next[topic]!;
    const stored = packed(this.#texts.subarray(from, to));
    this.#chunks.push({
      topics: topic + 1 - this.#packedTopics,
      storedBytes: stored.length,
      unpackedBytes: to - from,
    });
    this.#packed.push(stored);
    this.#packedTopics = topic + 1;
    this.#packedBytes = to;
    return to - from;
  }

  row(): MergedRow {
    const body = this.#packed.length === 1 ? this.#packed[0]! : Buffer.concat(this.#packed);
    const directory = this.#directory.encoded('merged', this.#chunks, body);
    if (body.buffer !== this.#texts.buffer) freeMemory(this.#texts);
    return { directory, body, topicIds: this.#directory.ids };
  }
}

interface StoredChunk {
  readonly topics: number;
  readonly storedBytes: number;
  readonly unpackedBytes: number;
}

/** The part of a directory that describes the events, and how it is written. */
class Directory {
  readonly ids: readonly number[];
  /** Per event, its topic's place in `ids`. */
  readonly places: Int32Array;
  readonly lengths: Int32Array;
  readonly #commits: readonly Commit[];

  constructor(topicIds: Int32Array, lengths: Int32Array, commits: readonly Commit[]) {
    // Number topics in order of appearance first, so that each event costs one lookup.
    const places = new Int32Array(topicIds.length);
    const firstPlaceOf = new Map<number, number>();
    for (let i = 0; i < topicIds.length; i++) {
      const id = topicIds[i]!;
      const known = firstPlaceOf.get(id);
      places[i] = known ?? firstPlaceOf.size;
      if (known === undefined) firstPlaceOf.set(id, firstPlaceOf.size);
    }
    this.ids = [...firstPlaceOf.keys()].toSorted((a, b) => a - b);
    const placeOf = new Int32Array(this.ids.length);
    for (const [place, id] of this.ids.entries()) placeOf[firstPlaceOf.get(id)!] = place;
    for (let i = 0; i < places.length; i++) places[i] = placeOf[places[i]!]!;
    this.places = places;
    this.lengths = lengths;
    this.#commits = commits;
  }

  encoded(layout: keyof typeof LAYOUTS, chunks: readonly StoredChunk[], body: Uint8Array): Uint8Array {
    const commits = this.#commits;
    const events = this.places.length;
    // Ten bytes hold any number. There are two numbers per event, two per commit, four per topic.
    const writer = new NumberWriter(10 * (2 * events + 2 * commits.length + 4 * this.ids.length + 8));
    writer.put(LAYOUTS[layout]);
    writer.put(commits.length);
    let ms = 0;
    for (const { events, receivedMs } of commits) {
      writer.put(events);
      writer.put(receivedMs - ms);
      ms = receivedMs;
    }
    writer.put(this.ids.length);
    let id = 0;
    for (const next of this.ids) {
      writer.put(next - id);
      id = next;
    }
    if (this.ids.length > 1) writer.putAll(this.places);
    writer.putAll(this.lengths);
    writer.put(chunks.length);
    for (const { topics, storedBytes, unpackedBytes } of chunks) {
      writer.put(topics);
      writer.put(storedBytes);
      // A chunk that compression did not shrink is stored uncompressed.
      writer.put(storedBytes === unpackedBytes ? 0 : unpackedBytes);
    }
    return withChecksum(writer.bytes(), body);
  }
}

/** The texts, one after the other: a view if nothing lies between them, else a copy. */
function joined(texts: Uint8Array, starts: Int32Array, lengths: Int32Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  let from = 0;
  let to = 0;
  for (let i = 0; i < starts.length; i++) {
    const start = starts[i]!;
    if (start !== to) {
      if (to > from) pieces.push(texts.subarray(from, to));
      from = start;
    }
    to = start + bytesOf(lengths[i]!);
  }
  pieces.push(texts.subarray(from, to));
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

/** The bytes compressed, or unchanged if that is not smaller. */
function packed(raw: Uint8Array): Uint8Array {
  if (raw.length < COMPRESS_BYTES_MIN) return raw;
  const compressed = zstdCompressSync(raw, { params: ZSTD_PARAMS, chunkSize: raw.length });
  if (compressed.length >= raw.length) return raw;
  // The result of zstd is the beginning of a buffer as large as the input.
  const bytes = new Uint8Array(compressed);
  const whole = new Uint8Array(compressed.buffer);
  if (whole.length === raw.length) freeMemory(whole);
  return bytes;
}
