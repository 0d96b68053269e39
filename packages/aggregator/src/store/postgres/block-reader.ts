import { type PageQuery, type SnapshotQuery, StoreError } from '../event-store.ts';
import { Block, type BlockRow } from '../blocks/block-format.ts';
import { damaged } from '../errors.ts';
import { intArray } from './arrays.ts';
import {
  type Place,
  type Wanted,
  mayHaveMore,
  nameOf,
  placesHolding,
  placesOf,
  rowsAt,
} from './block-places.ts';
import type { Reading } from './sessions.ts';

/** The range to examine: the events beyond `after`, in the query's order, up to `upTo`. */
export type RangeQuery = Pick<SnapshotQuery, 'order' | 'after'> & Pick<PageQuery, 'upTo'>;

/** Bytes of blocks fetched at once, as they are stored. */
const FETCH_BYTES_MAX = 512 * 1024;

/** Bytes of blocks kept, packed and unpacked, because many pages of an answer come from the same block. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Bytes of texts fetched at once, as far as they can be told before. Were more fetched than is kept, what a page needs would be
 * fetched again for the next one: with texts that pack to a hundredth, each block was fetched and unpacked for each of its pages.
 */
const FETCH_TEXT_BYTES_MAX = KEPT_BYTES_MAX / 4;

/** Offsets looked for at once. */
const SOUGHT_MAX = 1000;

/** The part of a block that a read has not examined yet: from one offset to another, both included. */
export interface Part {
  readonly block: Block;
  readonly first: number;
  readonly last: number;
  readonly place: Place;
}

/**
 * Finds and fetches the blocks of a read. Which events an offset names never changes, so what was fetched may be kept, as
 * long as a look finds the block in the same version. The blocks that hold them do change: between a look and the fetch a
 * block may be merged, and is then looked for again.
 */
export class BlockReader {
  readonly #sessions: Reading;
  /** By first offset, the least recently used first. */
  readonly #kept = new Map<number, KeptBlock>();
  #keptBytes = 0;
  /** Pieces of work under way that may hold blocks. */
  #atWork = 0;
  /** How often all of it was forgotten. */
  #forgotten = 0;
  /** Bytes of texts for each byte that is stored, in the blocks that were fetched last. */
  #unpacking = 1;

  constructor(sessions: Reading) {
    this.#sessions = sessions;
  }

  /**
   * What may hold events of the range and topics, in the requested order, fetched as needed. A block that was merged meanwhile
   * holds events again that were given before, which is why each comes with the part that was not.
   */
  async *of(
    query: RangeQuery,
    topicIds: ReadonlySet<number> | undefined,
    wanted: Wanted = 'all',
  ): AsyncGenerator<Part> {
    const mayPassOver = topicIds !== undefined || wanted !== 'all';
    const ascending = query.order === 'asc';
    let low = ascending ? query.after + 1 : 1;
    let high = Math.min(query.upTo, ascending ? query.upTo : query.after - 1);
    const ids = topicIds === undefined ? null : intArray([...topicIds]);
    let gone: string | undefined;
    while (low <= high) {
      const forgotten = this.#forgotten;
      const places = await this.#sessions.read((client) =>
        placesOf(client, query.order, wanted, [low, high, ids]),
      );
      let missing: string | undefined;
      for await (const one of this.#blocksAt(places, forgotten)) {
        missing = one.missing;
        if (one.missing !== undefined) break;
        const { block, place } = one;
        if (!mayPassOver && ascending && block.firstOffset > low) throw noBlockWith(low);
        yield {
          block,
          first: Math.max(low, block.firstOffset),
          last: Math.min(high, block.lastOffset),
          place,
        };
        if (ascending) low = block.lastOffset + 1;
        else high = block.firstOffset - 1;
      }
      // A block is merged once, and then no look finds it any more.
      if (missing !== undefined && missing === gone) throw noBlockWith(low);
      gone = missing;
      if (missing === undefined && !mayHaveMore(places)) return;
    }
  }

  /** The blocks that hold the events at these offsets, each with those of them that it holds. They must exist and ascend. */
  async *holding(offsets: ArrayLike<number>): AsyncGenerator<{ block: Block; held: number[] }> {
    const all = Float64Array.from(offsets);
    let gone: string | undefined;
    for (let at = 0; at < all.length;) {
      const forgotten = this.#forgotten;
      const sought = all.subarray(at, at + SOUGHT_MAX);
      const places = await this.#sessions.read((client) => placesHolding(client, sought));
      const before = at;
      let missing: string | undefined;
      for await (const one of this.#blocksAt(places, forgotten)) {
        missing = one.missing;
        if (one.missing !== undefined) break;
        const { block } = one;
        const held: number[] = [];
        for (; all[at]! >= block.firstOffset && all[at]! <= block.lastOffset; at++) held.push(all[at]!);
        if (held.length === 0) break;
        yield { block, held };
        this.trim();
      }
      if (missing === undefined ? at === before : missing === gone) throw noBlockWith(all[at]!);
      gone = missing;
    }
  }

  /** The blocks at these places, fetched as needed, up to one that is missing, which is named, or damaged: a StoreError. */
  async *#blocksAt(places: readonly Place[], forgotten: number): AsyncGenerator<BlockAt> {
    for (let from = 0, to = 0; from < places.length; from = to) {
      to = fetchedAtOnce(places, from, this.#unpacking);
      const { blocks, missing, damage } = await this.#fetched(places.slice(from, to), forgotten);
      for (const [i, block] of blocks.entries()) yield { block, place: places[from + i]! };
      // Whatever lies before it can be read.
      if (damage !== undefined) throw damage;
      if (missing !== undefined) {
        yield { missing };
        return;
      }
    }
  }

  /**
   * The blocks at these places, up to one that is missing, which is named, or that is damaged.
   *
   * @param forgotten how often all was forgotten before they were looked for
   */
  async #fetched(
    places: readonly Place[],
    forgotten: number,
  ): Promise<{ blocks: Block[]; missing?: string; damage?: StoreError }> {
    // Held from here on: another read may have them forgotten while this one waits for the rest.
    const known = places.map((place) => this.#keptAt(place));
    const unknown = places.filter((_, i) => known[i] === undefined);
    const rows =
      unknown.length === 0
        ? new Map<string, BlockRow>()
        : await this.#sessions.read((client) => rowsAt(client, unknown));
    const blocks: Block[] = [];
    const fetched = { storedBytes: 0, textBytes: 0 };
    for (const [i, place] of places.entries()) {
      let one = known[i];
      if (one === undefined) {
        const row = rows.get(nameOf(place));
        if (row === undefined) return { blocks, missing: nameOf(place) };
        const receivedMs = place.received_ms === null ? undefined : Number(place.received_ms);
        try {
          const block = new Block(Number(place.first_offset), row, receivedMs);
          one = { block, bytes: place.bytes + block.textBytes, version: place.version };
          fetched.storedBytes += place.bytes;
          fetched.textBytes += block.textBytes;
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          return { blocks, damage: error };
        }
      }
      // The log may have gone back meanwhile, and may have other events there.
      if (forgotten === this.#forgotten) this.#keep(one);
      blocks.push(one.block);
    }
    if (fetched.storedBytes > 0) this.#unpacking = fetched.textBytes / fetched.storedBytes;
    return { blocks };
  }

  /** The block at this place, unless it was rewritten, or what is kept is only the first of those that were merged there. */
  #keptAt({ first_offset: first, events, version }: Place): KeptBlock | undefined {
    const one = this.#kept.get(Number(first));
    return one?.block.count === events && one.version === version ? one : undefined;
  }

  #keep(one: KeptBlock): void {
    const { firstOffset } = one.block;
    const before = this.#kept.get(firstOffset);
    if (before !== undefined) this.#keptBytes -= before.bytes;
    this.#kept.delete(firstOffset);
    this.#kept.set(firstOffset, one);
    this.#keptBytes += one.bytes;
  }

  forget(): void {
    this.#forgotten += 1;
    this.#kept.clear();
    this.#keptBytes = 0;
  }

  /** Does work that uses blocks while it lasts, and nothing of them afterwards; then forgets the least recently used ones. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#atWork += 1;
    try {
      return await work();
    } finally {
      this.#atWork -= 1;
      const forgotten = this.trim();
      // Left to garbage collection, texts that were kept for a while are found when there are 64 MiB of them.
      if (this.#atWork === 0) for (const block of forgotten) block.release();
    }
  }

  /** Forgets the least recently used blocks, and returns them. Called between reads, since a read may hold some. */
  trim(): Block[] {
    const trimmed: Block[] = [];
    for (const [firstOffset, { block, bytes }] of this.#kept) {
      if (this.#keptBytes <= KEPT_BYTES_MAX) break;
      this.#kept.delete(firstOffset);
      this.#keptBytes -= bytes;
      trimmed.push(block);
    }
    return trimmed;
  }
}

/** A block and where it was found, or the name of one that is not there any more. */
type BlockAt =
  | { readonly block: Block; readonly place: Place; readonly missing?: undefined }
  | { readonly missing: string };

interface KeptBlock {
  readonly block: Block;
  readonly bytes: number;
  readonly version: number;
}

/** Where the blocks end that are fetched together with the one at `from`; `unpacking` tells how large their texts may be. */
function fetchedAtOnce(places: readonly Place[], from: number, unpacking: number): number {
  const bytesMax = Math.min(FETCH_BYTES_MAX, FETCH_TEXT_BYTES_MAX / unpacking);
  // The first is often all that is needed: the page ends in it.
  let bytes = from === 0 ? bytesMax / 2 : 0;
  let to = from;
  while (to < places.length && (to === from || bytes < bytesMax)) bytes += places[to++]!.bytes;
  return to;
}

function noBlockWith(offset: number): Error {
  return damaged(`there is no block with offset ${offset}`);
}
