import { constants, zstdCompressSync } from 'node:zlib';
import { freeMemory } from '../../../released-memory.ts';
import { withChecksum } from '../file/checksum.ts';
import { type BlockEvents, type BlockRow, type Commit, LAYOUTS } from './block-format.ts';
import { NumberWriter } from './numbers.ts';

/**
 * Below this a chunk is stored as it is: setting zstd up costs a commit of some single events 20 µs, and the merge that
 * follows packs it anyway.
 */
const COMPRESS_BYTES_MIN = 8192;

/** Chunks of a merged block hold whole topics, and small topics together until they have this many bytes. */
const CHUNK_BYTES_MIN = 64 * 1024;

/** Level 1: on log-like events level 3 took a third longer and packed no better (docs/performance.md). */
const ZSTD_PARAMS = { [constants.ZSTD_c_compressionLevel]: 1 };

/** A merged block's row, and the topics that it must be found by. */
export interface MergedRow extends BlockRow {
  readonly topicIds: readonly number[];
}

/** The row of a fresh block. */
export function encodeFresh({ topicIds, starts, lengths, texts, commits }: BlockEvents): BlockRow {
  const directory = new Directory(topicIds, lengths, commits);
  const raw = joined(texts, starts, lengths);
  const body = packed(raw);
  const chunk = { topics: directory.ids.length, storedBytes: body.length, unpackedBytes: raw.length };
  return { directory: directory.encoded('fresh', [chunk], body), body };
}

/** The row of a merged block. */
export function encodeMerged({ topicIds, starts, lengths, texts, commits }: BlockEvents): MergedRow {
  const encoder = new MergedBlockEncoder(topicIds, lengths, commits);
  encoder.putAll(texts, starts);
  while (encoder.packNext() > 0);
  return encoder.row();
}

/**
 * Makes a merged block a piece at a time. In: topics and lengths of all events, then each text in offset order (`put`).
 * Then its chunks are packed, one a call (`packNext`), until none is left; then there is the row.
 */
export class MergedBlockEncoder {
  readonly #directory: Directory;
  readonly #texts: Uint8Array;
  /** Of each topic, where its next text goes; when all are put, where its texts end. */
  readonly #next: Int32Array;
  readonly #chunks: StoredChunk[] = [];
  readonly #packed: Uint8Array[] = [];
  #event = 0;
  #packedTopics = 0;
  #packedBytes = 0;

  constructor(topicIds: Int32Array, lengths: Int32Array, commits: readonly Commit[]) {
    this.#directory = new Directory(topicIds, lengths, commits);
    const { ids, places } = this.#directory;
    const bytesOf = new Int32Array(ids.length);
    for (let i = 0; i < lengths.length; i++) bytesOf[places[i]!]! += lengths[i]!;
    this.#next = new Int32Array(ids.length);
    let end = 0;
    for (let topic = 0; topic < ids.length; topic++) {
      this.#next[topic] = end;
      end += bytesOf[topic]!;
    }
    // Not filled with zeros: every byte is put before it is packed.
    this.#texts = Buffer.allocUnsafeSlow(end);
  }

  /** The next event's text. */
  put(text: Uint8Array): void {
    const topic = this.#directory.places[this.#event++]!;
    this.#texts.set(text, this.#next[topic]);
    this.#next[topic]! += text.length;
  }

  /** The texts of all events. */
  putAll(texts: Uint8Array, starts: Int32Array): void {
    const { places, lengths } = this.#directory;
    const next = this.#next;
    const to = this.#texts;
    for (let i = 0; i < starts.length; i++) {
      const start = starts[i]!;
      const topic = places[i]!;
      const at = next[topic]!;
      const length = lengths[i]!;
      to.set(texts.subarray(start, start + length), at);
      next[topic] = at + length;
    }
  }

  /** Packs the next chunk and tells how many bytes of text it has; 0 where none is left. */
  packNext(): number {
    const topics = this.#directory.ids.length;
    const from = this.#packedBytes;
    let topic = this.#packedTopics;
    if (topic === topics) return 0;
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

/** What a block's directory tells of its events. */
class Directory {
  readonly ids: readonly number[];
  /** Of each event, its topic's place in `ids`. */
  readonly places: Int32Array;
  readonly lengths: Int32Array;
  readonly #commits: readonly Commit[];

  constructor(topicIds: Int32Array, lengths: Int32Array, commits: readonly Commit[]) {
    // First in the order in which they come, so that each event costs one look.
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
    // Ten bytes hold any number; two numbers an event, two a commit, four a topic.
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
      // What packing made no smaller is stored as it is.
      writer.put(storedBytes === unpackedBytes ? 0 : unpackedBytes);
    }
    return withChecksum(writer.bytes(), body);
  }
}

/** The texts one behind the other: as they lie where nothing is between them. */
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
    to = start + lengths[i]!;
  }
  pieces.push(texts.subarray(from, to));
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

/** The bytes compressed, or as they are where that is no smaller. */
function packed(raw: Uint8Array): Uint8Array {
  if (raw.length < COMPRESS_BYTES_MIN) return raw;
  const compressed = zstdCompressSync(raw, { params: ZSTD_PARAMS, chunkSize: raw.length });
  if (compressed.length >= raw.length) return raw;
  // What zstd made is the beginning of a buffer as large as what it was given.
  const bytes = new Uint8Array(compressed);
  const whole = new Uint8Array(compressed.buffer);
  if (whole.length === raw.length) freeMemory(whole);
  return bytes;
}
