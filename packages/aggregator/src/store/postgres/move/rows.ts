import { type MergedRow, encodeFresh, encodeMerged } from '../../blocks/block-encoder.ts';
import { BARE, type BlockRow } from '../../blocks/block-format.ts';
import type { KeyHasher } from '../../key-hash.ts';
import type { KeyedPart, MovedKey } from '../../move/moved-log.ts';
import { type AddedCount, countsOf, forgottenIn, identitiesOf, isFull, textsOf } from '../../move/parts.ts';
import { byteaArray, intArray, textArray, uuidArray } from '../arrays.ts';
import { hashOf } from '../group-keys.ts';

/**
 * The rows that parts of a log become, as parameters. Each run of events with one time has a row in the log, as if it had been
 * one append, since groups that seek a time find it there. A full part becomes a merged block at once, as long as all
 * before it are merged; otherwise each run has a block of its own, which an instance merges later.
 */
export class Rows {
  readonly #hasher: KeyHasher;
  readonly #idOf: (topic: string) => number;
  readonly #runs: RunRow[] = [];
  readonly #blocks: (BlockRow & BlockAbout)[] = [];
  readonly #merged: (MergedRow & BlockAbout)[] = [];
  readonly #keys: { firstOffsets: string[]; places: number[]; digests: number[]; hashes: Buffer[] } = {
    firstOffsets: [],
    places: [],
    digests: [],
    hashes: [],
  };
  /** Of each topic what comes to it. */
  readonly #counts = new Map<number, Omit<AddedCount, 'last'> & { lastOffset: number }>();
  /** The number of ids that are forgotten. */
  forgotten = 0;
  /** All events up to here are in merged blocks. */
  mergedTo: number;

  constructor(hasher: KeyHasher, idOf: (topic: string) => number, mergedTo: number) {
    this.#hasher = hasher;
    this.#idOf = idOf;
    this.mergedTo = mergedTo;
  }

  add(part: KeyedPart): void {
    const { firstOffset, count, commits, topics, lengths } = part;
    const topicIds = Int32Array.from(topics, (name) => this.#idOf(name));
    const { starts, texts } = textsOf(part);
    const isKnown = new Uint8Array(count);
    const keys: (MovedKey | null)[] = Array.from({ length: count }, () => null);
    for (const key of identitiesOf(part, this.#hasher)) {
      keys[key.offset - firstOffset] = key;
      isKnown[key.offset - firstOffset] = 1;
    }
    this.forgotten += forgottenIn(part);
    const isMerged = this.mergedTo === firstOffset - 1 && isFull(part);
    if (isMerged) {
      this.mergedTo += count;
      const row = encodeMerged({ topicIds, starts, lengths, texts, commits });
      this.#merged.push({ ...row, firstOffset, events: count, ...leftIn(topicIds, lengths, isKnown) });
    }
    let from = 0;
    for (const { events, receivedMs } of commits) {
      const to = from + events;
      const run = { firstOffset: firstOffset + from, events };
      const [ids, own] = [topicIds.subarray(from, to), lengths.subarray(from, to)];
      this.#runs.push({ ...run, receivedMs, counts: [...countsOf(ids, own)] });
      if (!isMerged) {
        const row = encodeFresh({
          topicIds: ids,
          starts: starts.subarray(from, to),
          lengths: own,
          texts,
          // As instances write it: the log's row has the time.
          commits: [{ events, receivedMs: 0 }],
        });
        this.#blocks.push({ ...row, ...run, ...leftIn(ids, own, isKnown.subarray(from, to)) });
      }
      for (let place = 0; place < events; place++) {
        const key = keys[from + place]!;
        if (key !== null) this.#key(run.firstOffset, place, key);
      }
      from = to;
    }
    for (const [id, { last, ...added }] of countsOf(topicIds, lengths)) {
      const sum = this.#counts.get(id);
      const lastOffset = firstOffset + last;
      if (sum === undefined) this.#counts.set(id, { ...added, lastOffset });
      else {
        sum.lastOffset = lastOffset;
        for (const part of ['events', 'expired', 'bare', 'bytes'] as const) sum[part] += added[part];
      }
    }
  }

  #key(firstOffset: number, place: number, key: MovedKey): void {
    this.#keys.firstOffsets.push(String(firstOffset));
    this.#keys.places.push(place);
    this.#keys.digests.push(key.digest);
    this.#keys.hashes.push(hashOf(key));
  }

  /** Of each run its first offset, its events, its time, and what it adds to the counts of topics (four arrays). */
  runs(): Buffer[] {
    const rows = this.#runs;
    const listed = (of: (entry: RunRow['counts'][number]) => number): Buffer =>
      textArray(rows.map(({ counts }) => `{${counts.map(of).join()}}`));
    return [
      textArray(rows.map((row) => String(row.firstOffset))),
      intArray(rows.map((row) => row.events)),
      textArray(rows.map((row) => String(row.receivedMs))),
      listed(([id]) => id),
      listed(([, { events }]) => events),
      listed(([, { last }]) => last),
      listed(([, { bytes }]) => bytes),
    ];
  }

  /** Of each block its first offset, events, directory, body, the topics of which it has texts, and ids without one. */
  blocks(): Buffer[] {
    return blockColumns(this.#blocks);
  }

  /** The same of each merged block, and its topics. */
  merged(): Buffer[] {
    const topics = this.#merged.map(({ topicIds }) => `{${topicIds.join()}}`);
    return [...blockColumns(this.#merged), textArray(topics)];
  }

  /** Of each key its commit's first offset, its place in it, its digest and hash. */
  keys(): Buffer[] {
    const { firstOffsets, places, digests, hashes } = this.#keys;
    return [textArray(firstOffsets), intArray(places), intArray(digests), uuidArray(Buffer.concat(hashes))];
  }

  /** Of each topic its id, the events that come to it, the offset of its last one, the bytes of their texts, expired and bare ones. */
  counts(): Buffer[] {
    const entries = [...this.#counts];
    return [
      intArray(entries.map(([id]) => id)),
      intArray(entries.map(([, { events }]) => events)),
      textArray(entries.map(([, { lastOffset }]) => String(lastOffset))),
      textArray(entries.map(([, { bytes }]) => String(bytes))),
      intArray(entries.map(([, { expired }]) => expired)),
      intArray(entries.map(([, { bare }]) => bare)),
    ];
  }
}

interface RunRow {
  readonly firstOffset: number;
  readonly events: number;
  readonly receivedMs: number;
  readonly counts: readonly (readonly [number, Readonly<AddedCount>])[];
}

type BlockAbout = Pick<RunRow, 'firstOffset' | 'events'> & Left;

/** Topics of which a block has texts, and ids without a text (migrations.ts). */
interface Left {
  readonly kept: readonly number[];
  readonly gone: readonly number[];
}

function leftIn(topicIds: Int32Array, lengths: Int32Array, isKnown: Uint8Array): Left {
  const [kept, gone] = [new Set<number>(), new Set<number>()];
  for (const [i, id] of topicIds.entries()) {
    if (lengths[i]! > BARE) kept.add(id);
    else if (isKnown[i] === 1) gone.add(id);
  }
  const [keptIds, goneIds] = [kept, gone].map((ids) => [...ids].toSorted((a, b) => a - b));
  return { kept: keptIds!, gone: goneIds! };
}

function blockColumns(rows: readonly (BlockRow & BlockAbout)[]): Buffer[] {
  return [
    textArray(rows.map((row) => String(row.firstOffset))),
    intArray(rows.map((row) => row.events)),
    byteaArray(rows.map((row) => row.directory)),
    byteaArray(rows.map((row) => row.body)),
    textArray(rows.map(({ kept }) => `{${kept.join()}}`)),
    textArray(rows.map(({ gone }) => `{${gone.join()}}`)),
  ];
}
