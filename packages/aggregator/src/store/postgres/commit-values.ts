import { type EventBatch, SPANS_PER_EVENT, TEXT, TOPIC, partText } from '../../event/event-batch.ts';
import { encodeFresh } from '../blocks/block-encoder.ts';
import { BARE, bytesOf } from '../blocks/block-format.ts';
import { byteaArray, intArray, uuidArray } from './arrays.ts';
import { type GroupKeys, KEY_WORDS } from './group-keys.ts';
import type { Judged } from './judged.ts';

// The fresh events of a group as the parameters of the statement that commits them (append.ts).

/** A block holds at most so many events, or bytes of text. */
const BLOCK_EVENTS_MAX = 4096;
const BLOCK_BYTES_MAX = 1024 * 1024;

/** The topics of some events. */
export interface TopicsOfEvents {
  readonly names: readonly string[];
  /** Of each event its topic's place in `names`. */
  readonly places: Int32Array;
}

/** Reads each topic's name once, by its bytes, since most events of a group are on few topics. */
export function topicsOf(group: EventBatch, fresh: Int32Array): TopicsOfEvents {
  const { bytes, spans } = group;
  const names: string[] = [];
  const places = new Int32Array(fresh.length);
  /** Of each topic an event that is on it; and by a hash of their bytes, the topics that have it. */
  const examples: number[] = [];
  const topicsWith = new Map<number, number[]>();
  for (let i = 0; i < fresh.length; i++) {
    const from = spans[fresh[i]! * SPANS_PER_EVENT + TOPIC]!;
    const to = spans[fresh[i]! * SPANS_PER_EVENT + TOPIC + 1]!;
    let hash = 0;
    for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0;
    let alike = topicsWith.get(hash);
    if (alike === undefined) topicsWith.set(hash, (alike = []));
    let topic = alike.find((one) => isSameTopic(group, examples[one]!, from, to));
    if (topic === undefined) {
      topic = names.push(partText(group, fresh[i]!, TOPIC)) - 1;
      examples.push(fresh[i]!);
      alike.push(topic);
    }
    places[i] = topic;
  }
  return { names, places };
}

function isSameTopic({ bytes, spans }: EventBatch, event: number, from: number, to: number): boolean {
  const start = spans[event * SPANS_PER_EVENT + TOPIC]!;
  if (spans[event * SPANS_PER_EVENT + TOPIC + 1]! - start !== to - from) return false;
  for (let at = from; at < to; at++) if (bytes[start + at - from] !== bytes[at]) return false;
  return true;
}

/**
 * Bytes of the text of each fresh event, or BARE.
 *
 * @param isBare of each event whether it is stored bare; null if none is
 */
export function lengthsOf(
  { spans }: EventBatch,
  fresh: Int32Array,
  isBare: ((place: number) => boolean) | null,
): Int32Array {
  return fresh.map((i, place) => {
    const at = i * SPANS_PER_EVENT + TEXT;
    return isBare?.(place) === true ? BARE : spans[at + 1]! - spans[at]!;
  });
}

/** The places, numbers of events, directories and bodies of the blocks. */
export function blocksOf(
  group: EventBatch,
  fresh: Int32Array,
  topicIds: Int32Array,
  lengths: Int32Array,
): Buffer[] {
  const places: number[] = [];
  const counts: number[] = [];
  const directories: Uint8Array[] = [];
  const bodies: Uint8Array[] = [];
  const { spans } = group;
  for (let from = 0, to = 0; from < fresh.length; from = to) {
    for (let bytes = 0; to < fresh.length && to - from < BLOCK_EVENTS_MAX && bytes < BLOCK_BYTES_MAX; to++) {
      bytes += bytesOf(lengths[to]!);
    }
    const { directory, body } = encodeFresh({
      topicIds: topicIds.subarray(from, to),
      starts: fresh.subarray(from, to).map((event) => spans[event * SPANS_PER_EVENT + TEXT]!),
      lengths: lengths.subarray(from, to),
      texts: group.bytes,
      // Its time is known only when the head row is taken; the log has it.
      commits: [{ events: to - from, receivedMs: 0 }],
    });
    places.push(from);
    counts.push(to - from);
    directories.push(directory);
    bodies.push(body);
  }
  return [intArray(places), intArray(counts), byteaArray(directories), byteaArray(bodies)];
}

/** The places, digests and hashes of the keys, in the order of the hashes. */
export function keysOf(
  keys: GroupKeys,
  { fresh, freshPlaces }: Pick<Judged, 'fresh' | 'freshPlaces'>,
): Buffer[] {
  const sorted = keys.sorted(fresh);
  return [
    intArray(sorted.map((event) => freshPlaces[event]!)),
    intArray(sorted.map((event) => keys.digests[event]!)),
    hashesOf(keys, sorted),
  ];
}

/** The identities of these events. */
export function hashesOf(keys: GroupKeys, events: Int32Array): Buffer {
  return uuidArray(hashBytesOf(keys, events));
}

/** The same, 16 bytes each, one behind the other. */
export function hashBytesOf({ words }: GroupKeys, events: ArrayLike<number>): Buffer {
  const hashes = Buffer.allocUnsafe(events.length * 16);
  const view = new DataView(hashes.buffer, hashes.byteOffset);
  for (let place = 0; place < events.length; place++) {
    const at = events[place]! * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) view.setInt32(place * 16 + word * 4, words[at + word]!);
  }
  return hashes;
}

/**
 * The topics' ids, how many events each has, the place of its last one, and the bytes of its texts.
 *
 * @param places of each event its topic's place among the ids
 */
export function countsOf(ids: Int32Array, places: Int32Array, lengths: Int32Array): Buffer[] {
  const events = new Int32Array(ids.length);
  const lasts = new Int32Array(ids.length);
  const bytes = new Float64Array(ids.length);
  for (let i = 0; i < places.length; i++) {
    const topic = places[i]!;
    events[topic]! += 1;
    lasts[topic] = i;
    bytes[topic]! += bytesOf(lengths[i]!);
  }
  return [intArray(ids), intArray(events), intArray(lasts), intArray(bytes)];
}
