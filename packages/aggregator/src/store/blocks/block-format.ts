import { zstdDecompressSync } from 'node:zlib';
import { freeMemory } from '../../released-memory.ts';
import { withoutChecksum } from '../checksum.ts';
import { damaged } from '../errors.ts';
import { NumberReader } from './numbers.ts';

/**
 * A block: consecutive events as one row. `directory` gives each event's topic and the length of its text, in offset
 * order, and the time of each commit. `body` holds the texts, in one chunk or several, each compressed by itself if that
 * makes it smaller.
 *
 * A *fresh* block, written by one commit, has one chunk with the texts in offset order. In a *merged* block the texts of
 * a topic are together, in offset order, and a chunk holds one topic or several small ones. So a reader of one topic
 * unpacks no others except those that share its chunk.
 *
 * Directory, all numbers LEB128: layout (2 fresh, 3 merged); count of commits, then events and milliseconds of each (the
 * first since 1970, the others since the previous one); count of topics, then their ids in ascending order, each as the
 * difference to the previous one; if there is more than one, each event's topic as its place in that list; each event's
 * text length, or EXPIRED or BARE where there is no text; count of chunks, then of each the number of its topics, its stored bytes, and its unpacked bytes, or 0 if
 * it is not compressed. At the end comes a checksum of body and directory (checksum.ts). Blocks of layout 0 (fresh) and 1
 * (merged) are from before there were checksums and have none.
 */
export interface BlockRow {
  readonly directory: Uint8Array;
  readonly body: Uint8Array;
}

/** In place of a text's length, which is never so small: why there is no text (retention-store.ts). */
export const EXPIRED = 0;
export const BARE = 1;

/** The bytes of text that a length of a directory stands for. */
export function bytesOf(length: number): number {
  return length > BARE ? length : 0;
}

/** The first number of a directory. */
export const LAYOUTS = { fresh: 2, merged: 3 } as const;
const MERGED_UNCHECKED = 1;

/** The events of a block before it is encoded; all arrays have an entry per event, in offset order. */
export interface BlockEvents {
  readonly topicIds: Int32Array;
  /** Where each text begins in `texts`. Texts are in the same order there, but other bytes may lie between them. */
  readonly starts: Int32Array;
  /** Bytes of each text, or EXPIRED or BARE. */
  readonly lengths: Int32Array;
  readonly texts: Uint8Array;
  readonly commits: readonly Commit[];
}

export interface Commit {
  readonly events: number;
  readonly receivedMs: number;
}

/** A block being read. Each chunk is unpacked when one of its texts is first requested. */
export class Block {
  readonly firstOffset: number;
  readonly count: number;
  readonly commits: readonly Commit[];
  /** As it is stored. A block that has changed has another one. */
  readonly directory: Uint8Array;
  /** Ids of the topics of its events, ascending. */
  readonly topicIds: readonly number[];
  /** Bytes of all texts, uncompressed. */
  readonly textBytes: number = 0;
  /** Per event, its topic's place in `topicIds`. */
  readonly #topics: Int32Array;
  readonly #lengths: Int32Array;
  readonly #isMerged: boolean;
  readonly #body: Uint8Array;
  readonly #chunks: Chunk[];
  /** Per topic, its chunk's place. */
  readonly #chunkOfTopic: Int32Array;
  #starts: Int32Array | null = null;
  #receivedMs: Float64Array | null = null;

  /**
   * @param receivedMs when its one commit was, where its directory was written before that was known
   */
  constructor(firstOffset: number, row: BlockRow, receivedMs?: number) {
    this.firstOffset = firstOffset;
    this.directory = row.directory;
    this.#body = row.body;
    const layout = row.directory[0]!;
    const isChecked = layout === LAYOUTS.fresh || layout === LAYOUTS.merged;
    const reader = new NumberReader(isChecked ? this.#checked(row) : row.directory);
    reader.next();
    this.#isMerged = layout === LAYOUTS.merged || layout === MERGED_UNCHECKED;
    const commits = readCommits(reader);
    this.commits = receivedMs === undefined ? commits : commits.map(({ events }) => ({ events, receivedMs }));
    this.count = this.commits.reduce((sum, commit) => sum + commit.events, 0);
    let id = 0;
    this.topicIds = Array.from({ length: reader.next() }, () => (id += reader.next()));
    this.#topics = new Int32Array(this.count);
    if (this.topicIds.length > 1) reader.fill(this.#topics);
    this.#lengths = new Int32Array(this.count);
    reader.fill(this.#lengths);
    for (let i = 0; i < this.count; i++) this.textBytes += bytesOf(this.#lengths[i]!);

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
      throw damaged(`block at offset ${firstOffset}: its directory does not match its body`);
    }
  }

  #checked({ directory, body }: BlockRow): Uint8Array {
    const wrong = () => damaged(`block at offset ${this.firstOffset}: its checksum does not match`);
    return withoutChecksum(directory, wrong, body);
  }

  get lastOffset(): number {
    return this.firstOffset + this.count - 1;
  }

  /** Whether its texts lie by topic. */
  get isMerged(): boolean {
    return this.#isMerged;
  }

  /** The topic id of event `index`. */
  topicId(index: number): number {
    return this.topicIds[this.#topics[index]!]!;
  }

  /** Bytes of the text of event `index`, or EXPIRED or BARE. */
  textLength(index: number): number {
    return this.#lengths[index]!;
  }

  /** Whether the text of event `index` is stored. */
  isKept(index: number): boolean {
    return this.#lengths[index]! > BARE;
  }

  /** The text of event `index`, a view; empty if there is none. */
  text(index: number): Uint8Array {
    this.#starts ??= this.#findStarts();
    const chunk = this.#chunks[this.#chunkOfTopic[this.#topics[index]!]!]!;
    const texts = (chunk.texts ??= unpacked(chunk));
    const start = this.#starts[index]!;
    return texts.subarray(start, start + bytesOf(this.#lengths[index]!));
  }

  /** When event `index` was committed, milliseconds since 1970. */
  receivedMs(index: number): number {
    this.#receivedMs ??= receivedMsOf(this.commits, this.count);
    return this.#receivedMs[index]!;
  }

  /** Frees the memory of the texts. Afterwards neither the block nor any view on its texts can be used. */
  release(): void {
    for (const { stored, texts } of this.#chunks) if (texts !== null && texts !== stored) freeMemory(texts);
    freeMemory(this.#body);
  }

  /** Bytes of all chunks, as they are stored. */
  get storedBytes(): number {
    return this.#body.length;
  }

  /** Bytes of all chunks, unpacked: those of the texts, and nothing else. */
  get bodyBytes(): number {
    return this.#chunks.reduce((sum, { stored, unpackedBytes }) => sum + (unpackedBytes || stored.length), 0);
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
        end += bytesOf(this.#lengths[i]!);
      }
      return starts;
    }
    const bytesOfTopic = new Int32Array(this.topicIds.length);
    for (let i = 0; i < this.count; i++) bytesOfTopic[this.#topics[i]!]! += bytesOf(this.#lengths[i]!);
    const next = new Int32Array(this.topicIds.length);
    for (let topic = 1; topic < next.length; topic++) {
      const isSameChunk = this.#chunkOfTopic[topic] === this.#chunkOfTopic[topic - 1];
      next[topic] = isSameChunk ? next[topic - 1]! + bytesOfTopic[topic - 1]! : 0;
    }
    for (let i = 0; i < this.count; i++) {
      const topic = this.#topics[i]!;
      starts[i] = next[topic]!;
      next[topic]! += bytesOf(this.#lengths[i]!);
    }
    return starts;
  }
}

/** The commits of a block, read from its directory alone, whose checksum is left unchecked. */
export function commitsIn(directory: Uint8Array): Commit[] {
  const reader = new NumberReader(directory);
  reader.next();
  return readCommits(reader);
}

function readCommits(reader: NumberReader): Commit[] {
  let receivedMs = 0;
  return Array.from({ length: reader.next() }, () => {
    const events = reader.next();
    receivedMs += reader.next();
    return { events, receivedMs };
  });
}

interface Chunk {
  readonly stored: Uint8Array;
  /** 0 if it is not compressed. */
  readonly unpackedBytes: number;
  texts: Uint8Array | null;
}

function receivedMsOf(commits: readonly Commit[], count: number): Float64Array {
  const receivedMs = new Float64Array(count);
  let at = 0;
  for (const commit of commits) receivedMs.fill(commit.receivedMs, at, (at += commit.events));
  return receivedMs;
}

function unpacked({ stored, unpackedBytes }: Chunk): Uint8Array {
  if (unpackedBytes === 0) return stored;
  // Use one buffer of the right size: with zlib's default of 16 KiB pieces this took two and a half times as long.
  const texts = zstdDecompressSync(stored, {
    maxOutputLength: unpackedBytes,
    chunkSize: Math.max(64, unpackedBytes),
  });
  if (texts.length !== unpackedBytes)
    throw damaged(`a chunk of ${unpackedBytes} bytes unpacked to ${texts.length}`);
  // A Buffer's subarray is a Buffer, which takes twice as long to create as a plain Uint8Array.
  return new Uint8Array(texts.buffer, texts.byteOffset, texts.length);
}
