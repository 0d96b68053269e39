import { EMPTY_BATCH, type EventBatch, SPANS_PER_EVENT, TEXT } from '../../event/event-batch.ts';
import { readStoredEvents } from '../../event/event-reader.ts';
import { BARE, type Block, type BlockEvents, type Commit, EXPIRED, bytesOf } from '../blocks/block-format.ts';
import { damaged, messageOf } from '../errors.ts';
import type { KeyHasher } from '../key-hash.ts';
import type { KeyedPart, LogPart, MovedKey, ReadableLog } from './moved-log.ts';

/** A part has at most so many events, and ends with the one that brings it to so many bytes of text. */
const PART_EVENTS_MAX = 4096;
const PART_BYTES_MAX = 1024 * 1024;

/**
 * Cuts a log into parts, however its blocks lie, so that a store makes good blocks of them. The blocks must cover all offsets
 * above `after`, up to `upTo`, in order.
 *
 * @param nameOf the name of the topic with this id
 */
export async function* partsOf(
  blocks: AsyncIterable<Block> | Iterable<Block>,
  { after, upTo }: { readonly after: number; readonly upTo: number },
  nameOf: (topicId: number) => string | Promise<string>,
): AsyncGenerator<LogPart> {
  let part = new Part(after + 1);
  const names = new Map<number, string>();
  for await (const block of blocks) {
    for (const id of block.topicIds) if (!names.has(id)) names.set(id, await nameOf(id));
    for (let i = Math.max(0, part.nextOffset - block.firstOffset); i < block.count; i++) {
      const offset = block.firstOffset + i;
      if (offset > upTo) break;
      if (offset !== part.nextOffset) {
        throw damaged(
          `the log has a block at offset ${block.firstOffset}, but not offset ${part.nextOffset}`,
        );
      }
      part.add(block, i, names.get(block.topicId(i))!);
      if (!part.isFull) continue;
      yield part.take();
      part = new Part(part.nextOffset);
    }
  }
  if (part.nextOffset !== upTo + 1) throw damaged(`the log lacks offset ${part.nextOffset}`);
  if (part.nextOffset > part.firstOffset) yield part.take();
}

/** Whether a part is as large as parts get; smaller ones are what a log ended with when they were read. */
export function isFull({ count, lengths }: LogPart): boolean {
  return (
    count === PART_EVENTS_MAX || lengths.reduce((sum, length) => sum + bytesOf(length), 0) >= PART_BYTES_MAX
  );
}

class Part {
  readonly firstOffset: number;
  readonly #topics: string[] = [];
  readonly #lengths: number[] = [];
  readonly #texts: Uint8Array[] = [];
  readonly #commits: { events: number; receivedMs: number }[] = [];
  #bytes = 0;

  constructor(firstOffset: number) {
    this.firstOffset = firstOffset;
  }

  get nextOffset(): number {
    return this.firstOffset + this.#topics.length;
  }

  get isFull(): boolean {
    return this.#topics.length === PART_EVENTS_MAX || this.#bytes >= PART_BYTES_MAX;
  }

  add(block: Block, i: number, topic: string): void {
    this.#topics.push(topic);
    this.#lengths.push(block.textLength(i));
    if (block.isKept(i)) this.#texts.push(block.text(i));
    this.#bytes += bytesOf(block.textLength(i));
    const receivedMs = block.receivedMs(i);
    const last = this.#commits.at(-1);
    if (last?.receivedMs === receivedMs) last.events += 1;
    else this.#commits.push({ events: 1, receivedMs });
  }

  take(): LogPart {
    const { firstOffset } = this;
    return {
      firstOffset,
      count: this.#topics.length,
      topics: this.#topics,
      lengths: Int32Array.from(this.#lengths),
      events: this.#texts.length === 0 ? EMPTY_BATCH : this.#read(),
      commits: this.#commits,
    };
  }

  #read(): EventBatch {
    try {
      const events = readStoredEvents(Buffer.concat(this.#texts, this.#bytes), this.#texts.length);
      const end = events.spans[(events.count - 1) * SPANS_PER_EVENT + TEXT + 1];
      // Blanks that the reading leaves out would be lost on the way.
      if (end !== this.#bytes) throw new Error('the stored text has blanks between its tokens');
      return events;
    } catch (cause) {
      throw damaged(`the events from offset ${this.firstOffset} on: ${messageOf(cause)}`, cause);
    }
  }
}

/** Adds what the log knows of the ids of the part's events without a text. */
export async function withKeys(log: Pick<ReadableLog, 'keysOf'>, part: LogPart): Promise<KeyedPart> {
  const offsets: number[] = [];
  for (let i = 0; i < part.count; i++) if (!isKept(part, i)) offsets.push(part.firstOffset + i);
  return { ...part, keys: offsets.length === 0 ? [] : await log.keysOf(offsets) };
}

export function isKept({ lengths }: LogPart, place: number): boolean {
  return lengths[place]! > BARE;
}

/** The key of each event whose id is known, in order. */
export function identitiesOf(part: KeyedPart, hasher: KeyHasher): Identity[] {
  const { events, keys, count, firstOffset } = part;
  const identities: Identity[] = [];
  for (let place = 0, kept = 0, gone = 0; place < count; place++) {
    const offset = firstOffset + place;
    if (isKept(part, place)) {
      hasher.hashKey(events, kept);
      const { k0, k1, k2, k3 } = hasher;
      identities.push({ offset, isKept: true, k0, k1, k2, k3, digest: hasher.digest(events, kept) });
      kept += 1;
      continue;
    }
    const key = keys[gone++]!;
    if (key !== null) identities.push({ offset, isKept: false, ...key });
  }
  return identities;
}

export interface Identity extends MovedKey {
  readonly offset: number;
  readonly isKept: boolean;
}

/** How many ids of the part are forgotten. */
export function forgottenIn({ keys }: KeyedPart): number {
  return keys.reduce((sum, key) => sum + Number(key === null), 0);
}

/** Where the texts of a part are, as blocks are made of them. */
export function textsOf({ count, lengths, events }: LogPart): Omit<BlockEvents, 'topicIds' | 'commits'> {
  const starts = new Int32Array(count);
  for (let i = 1; i < count; i++) starts[i] = starts[i - 1]! + bytesOf(lengths[i - 1]!);
  return { starts, lengths, texts: events.bytes };
}

/** When each event of a part was committed, milliseconds since 1970. */
export function timesOf(commits: readonly Commit[], count: number): Float64Array {
  const times = new Float64Array(count);
  let at = 0;
  for (const { events, receivedMs } of commits) times.fill(receivedMs, at, (at += events));
  return times;
}

/** What events add to the counts of their topics, by the topic's id. */
export function countsOf(topicIds: Int32Array, lengths: Int32Array): Map<number, AddedCount> {
  const counts = new Map<number, AddedCount>();
  for (const [place, id] of topicIds.entries()) {
    let count = counts.get(id);
    if (count === undefined) counts.set(id, (count = { events: 0, expired: 0, bare: 0, bytes: 0, last: 0 }));
    const length = lengths[place]!;
    count.events += 1;
    count.expired += Number(length === EXPIRED);
    count.bare += Number(length === BARE);
    count.bytes += bytesOf(length);
    count.last = place;
  }
  return counts;
}

export interface AddedCount {
  /** All, of which some have expired, and some are bare. */
  events: number;
  expired: number;
  bare: number;
  /** Of the texts of the others. */
  bytes: number;
  /** The place of the last one. */
  last: number;
}
