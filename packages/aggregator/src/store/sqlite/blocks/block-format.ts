import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/**
 * A block: consecutive events as one row. `directory` says of each event, in offset order, its topic and the length of
 * its text, and of each commit when it was; `body` is the texts, in one chunk or several, each compressed by itself
 * where that pays.
 *
 * In a *fresh* block, what one commit made, there is one chunk with the texts in offset order. In a *merged* block the
 * texts of a topic lie together, in offset order, and a chunk holds one topic or some small ones: a reader of one topic
 * unpacks no other's but for those that share its chunk.
 *
 * Directory, all numbers LEB128: layout (0 fresh, 1 merged); count of commits, then events and milliseconds (the first
 * since 1970, the others since the one before) of each; count of topics, then their ids in ascending order, each as the
 * difference to the one before; where there is more than one, each event's topic as its place in that list; each
 * event's text length; count of chunks, then of each its topics, its stored bytes, and its bytes unpacked, or 0 where
 * it is stored as it is.
 */
export interface BlockRow {
  readonly directory: Uint8Array;
  readonly body: Uint8Array;
}

/** The events of a block before it is encoded; all arrays have an entry per event, in offset order. */
export interface BlockEvents {
  readonly topicIds: Int32Array;
  /** Event `i` is `texts` from `starts[i]` to `ends[i]`. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly texts: Uint8Array;
  readonly commits: readonly Commit[];
}

export interface Commit {
  readonly events: number;
  readonly receivedMs: number;
}

/**
 * Below this a chunk is stored as it is: setting zstd up costs a commit of some single events 40 µs, and the merge that
 * follows packs it anyway.
 */
const COMPRESS_BYTES_MIN = 8192;

/** Chunks of a merged block hold whole topics, and small topics together until they have this many bytes. */
const CHUNK_BYTES_MIN = 64 * 1024;

/** Level 1: on log-like events level 3 took a third longer and packed no better (docs/performance.md). */
const ZSTD_PARAMS = { [constants.ZSTD_c_compressionLevel]: 1 };

export function encodeFresh(events: BlockEvents): BlockRow {
  return encode(events, 'fresh');
}

export function encodeMerged(events: BlockEvents): BlockRow {
  return encode(events, 'merged');
}

/** A block that is being read. Texts are unpacked chunk by chunk, when first asked for. */
export class Block {
  readonly firstOffset: number;
  readonly count: number;
  readonly commits: readonly Commit[];
  /** Ids of the topics that have events here, ascending. */
  readonly topicIds: readonly number[];
  /** Bytes of all texts, unpacked. */
  readonly textBytes: number = 0;
  /** Of each event, its topic's place in `topicIds`. */
  readonly #topics: Int32Array;
  readonly #lengths: Int32Array;
  readonly #isMerged: boolean;
  readonly #body: Uint8Array;
  readonly #chunks: Chunk[];
  /** Of each topic, its chunk's place. */
  readonly #chunkOfTopic: Int32Array;
  #starts: Int32Array | null = null;
  #receivedMs: Float64Array | null = null;

  constructor(firstOffset: number, row: BlockRow) {
    const reader = new NumberReader(row.directory);
    this.firstOffset = firstOffset;
    this.#body = row.body;
    this.#isMerged = reader.next() === 1;
    let ms = 0;
    this.commits = Array.from({ length: reader.next() }, () => {
      const events = reader.next();
      ms += reader.next();
      return { events, receivedMs: ms };
    });
    this.count = this.commits.reduce((sum, commit) => sum + commit.events, 0);
    let id = 0;
    this.topicIds = Array.from({ length: reader.next() }, () => (id += reader.next()));
    this.#topics = new Int32Array(this.count);
    if (this.topicIds.length > 1) reader.fill(this.#topics);
    this.#lengths = new Int32Array(this.count);
    reader.fill(this.#lengths);
    for (let i = 0; i < this.count; i++) this.textBytes += this.#lengths[i]!;

    this.#chunkOfTopic = new Int32Array(this.topicIds.length);
    let topic = 0;
    let at = 0;
    this.#chunks = Array.from({ length: reader.next() }, (_, place) => {
      const topics = reader.next();
      for (let i = 0; i < topics; i++) this.#chunkOfTopic[topic++] = place;
      const storedBytes = reader.next();
      const stored = row.body.subarray(at, (at += storedBytes));
      return { stored, unpackedBytes: reader.next(), texts: null };
    });
    if (topic !== this.topicIds.length || at !== row.body.length || !reader.isAtEnd) {
      throw new Error(`the directory of the block at offset ${firstOffset} does not fit it`);
    }
  }

  get lastOffset(): number {
    return this.firstOffset + this.count - 1;
  }

  /** The topic id of event `index`. */
  topicId(index: number): number {
    return this.topicIds[this.#topics[index]!]!;
  }

  /** The text of event `index`, a view. */
  text(index: number): Uint8Array {
    this.#starts ??= this.#findStarts();
    const chunk = this.#chunks[this.#chunkOfTopic[this.#topics[index]!]!]!;
    const texts = (chunk.texts ??= unpacked(chunk));
    const start = this.#starts[index]!;
    return texts.subarray(start, start + this.#lengths[index]!);
  }

  /** When event `index` was committed, milliseconds since 1970. */
  receivedMs(index: number): number {
    this.#receivedMs ??= receivedMsOf(this.commits, this.count);
    return this.#receivedMs[index]!;
  }

  /**
   * Gives back the memory of the texts, now and not when garbage is collected: V8 counts the small object that holds a
   * buffer and hardly the buffer, so it would let many pile up. The block and all views on its texts are of no more use.
   */
  release(): void {
    for (const { stored, texts } of this.#chunks) if (texts !== null && texts !== stored) letGo(texts);
    letGo(this.#body);
  }

  /** Chunks unpacked so far. */
  get unpackedChunks(): number {
    return this.#chunks.filter((chunk) => chunk.texts !== null).length;
  }

  /** Where each event's text begins in its chunk. */
  #findStarts(): Int32Array {
    const starts = new Int32Array(this.count);
    if (!this.#isMerged) {
      let end = 0;
      for (let i = 0; i < this.count; i++) {
        starts[i] = end;
        end += this.#lengths[i]!;
      }
      return starts;
    }
    const bytesOfTopic = new Int32Array(this.topicIds.length);
    for (let i = 0; i < this.count; i++) bytesOfTopic[this.#topics[i]!]! += this.#lengths[i]!;
    const next = new Int32Array(this.topicIds.length);
    for (let topic = 1; topic < next.length; topic++) {
      const isSameChunk = this.#chunkOfTopic[topic] === this.#chunkOfTopic[topic - 1];
      next[topic] = isSameChunk ? next[topic - 1]! + bytesOfTopic[topic - 1]! : 0;
    }
    for (let i = 0; i < this.count; i++) {
      const topic = this.#topics[i]!;
      starts[i] = next[topic]!;
      next[topic]! += this.#lengths[i]!;
    }
    return starts;
  }
}

interface Chunk {
  readonly stored: Uint8Array;
  /** 0 where it is stored as it is. */
  readonly unpackedBytes: number;
  texts: Uint8Array | null;
}

/** A view that is all of its memory is the only one there is: small ones may share theirs with strangers. */
function letGo({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

function receivedMsOf(commits: readonly Commit[], count: number): Float64Array {
  const receivedMs = new Float64Array(count);
  let at = 0;
  for (const commit of commits) receivedMs.fill(commit.receivedMs, at, (at += commit.events));
  return receivedMs;
}

function unpacked({ stored, unpackedBytes }: Chunk): Uint8Array {
  if (unpackedBytes === 0) return stored;
  // One buffer of the right size: with zlib's pieces of 16 KiB unpacking took two and a half times as long.
  const texts = zstdDecompressSync(stored, {
    maxOutputLength: unpackedBytes,
    chunkSize: Math.max(64, unpackedBytes),
  });
  if (texts.length !== unpackedBytes)
    throw new Error(`a chunk of ${unpackedBytes} bytes unpacked to ${texts.length}`);
  return texts;
}

function encode(
  { topicIds, starts, ends, texts, commits }: BlockEvents,
  layout: 'fresh' | 'merged',
): BlockRow {
  const count = topicIds.length;
  const ids = [...new Set(topicIds)].toSorted((a, b) => a - b);
  const placeOf = new Map(ids.map((id, place) => [id, place]));
  // Ten bytes hold any number; two numbers an event, two a commit, four a topic.
  const writer = new NumberWriter(10 * (2 * count + 2 * commits.length + 4 * ids.length + 8));
  writer.put(layout === 'merged' ? 1 : 0);
  writer.put(commits.length);
  let ms = 0;
  for (const { events, receivedMs } of commits) {
    writer.put(events);
    writer.put(receivedMs - ms);
    ms = receivedMs;
  }
  writer.put(ids.length);
  let id = 0;
  for (const next of ids) {
    writer.put(next - id);
    id = next;
  }
  if (ids.length > 1) for (let i = 0; i < count; i++) writer.put(placeOf.get(topicIds[i]!)!);
  for (let i = 0; i < count; i++) writer.put(ends[i]! - starts[i]!);

  const chunks = layout === 'fresh' ? [{ topics: ids.length, raw: texts }] : byTopic();
  const stored = chunks.map(({ raw }) => packed(raw));
  writer.put(chunks.length);
  for (const [i, { topics, raw }] of chunks.entries()) {
    const bytes = stored[i]!;
    writer.put(topics);
    writer.put(bytes.length);
    writer.put(bytes === raw ? 0 : raw.length);
  }
  return { directory: writer.bytes(), body: stored.length === 1 ? stored[0]! : Buffer.concat(stored) };

  /** The texts topic by topic, in chunks of whole topics. */
  function byTopic(): { topics: number; raw: Uint8Array }[] {
    const bytesOf = new Int32Array(ids.length);
    for (let i = 0; i < count; i++) bytesOf[placeOf.get(topicIds[i]!)!]! += ends[i]! - starts[i]!;
    const next = new Int32Array(ids.length);
    for (let topic = 1; topic < ids.length; topic++) next[topic] = next[topic - 1]! + bytesOf[topic - 1]!;
    const all = new Uint8Array(bytesOf.reduce((sum, bytes) => sum + bytes, 0));
    for (let i = 0; i < count; i++) {
      const topic = placeOf.get(topicIds[i]!)!;
      all.set(texts.subarray(starts[i], ends[i]), next[topic]);
      next[topic]! += ends[i]! - starts[i]!;
    }
    const groups: { topics: number; raw: Uint8Array }[] = [];
    let from = 0;
    let topics = 0;
    for (let topic = 0; topic < ids.length; topic++) {
      topics += 1;
      // After the loop above, `next` is where each topic ends.
      if (next[topic]! - from < CHUNK_BYTES_MIN && topic < ids.length - 1) continue;
      groups.push({ topics, raw: all.subarray(from, next[topic]) });
      from = next[topic]!;
      topics = 0;
    }
    return groups;
  }
}

function packed(raw: Uint8Array): Uint8Array {
  if (raw.length < COMPRESS_BYTES_MIN) return raw;
  const compressed = zstdCompressSync(raw, { params: ZSTD_PARAMS, chunkSize: raw.length });
  return compressed.length < raw.length ? compressed : raw;
}

/** Writes LEB128 numbers, 0 to 2^53 - 1. */
class NumberWriter {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytesMax: number) {
    this.#bytes = new Uint8Array(bytesMax);
  }

  put(number: number): void {
    let rest = number;
    while (rest > 0x7f) {
      this.#bytes[this.#at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }
}

const ENDS_TOO_EARLY = 'the directory of a block ends too early';

class NumberReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** Reads as many numbers below 2^31 as there are places. */
  fill(numbers: Int32Array): void {
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < numbers.length; i++) {
      let byte = bytes[at++]!;
      let number = byte & 0x7f;
      for (let shift = 7; byte > 0x7f; shift += 7) {
        byte = bytes[at++]!;
        number |= (byte & 0x7f) << shift;
      }
      numbers[i] = number;
    }
    // Beyond the end a byte is undefined, which ends a number as 0 does.
    if (at > bytes.length) throw new Error(ENDS_TOO_EARLY);
    this.#at = at;
  }

  next(): number {
    let number = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new Error(ENDS_TOO_EARLY);
      number += (byte & 0x7f) * scale;
      if (byte < 0x80) return number;
      scale *= 128;
    }
  }
}
