import { BlockReader } from './block-reader.ts';
import type { Block } from '../blocks/block-format.ts';

/** Blocks walked for all topics together, before each remaining topic is looked for by itself. */
const SHARED_BLOCKS_MAX = 32;

/** A topic of which some event is kept, none of them below `firstOffset`. */
export interface SoughtTopic {
  readonly id: number;
  readonly firstOffset: number;
}

/**
 * Finds the first kept event of topics. In: the lower bounds in the rows of `topic`, which expiry raises only as far as it
 * has read. Out: the offsets themselves, remembered until some block loses texts again.
 */
export class FirstKept {
  readonly #blocks: BlockReader;
  readonly #known = new Map<number, number>();
  #rewrites = -1;

  constructor(blocks: BlockReader) {
    this.#blocks = blocks;
  }

  /** By the topics' ids, as of the open transaction. */
  of(topics: readonly SoughtTopic[]): ReadonlyMap<number, number> {
    const rewrites = this.#blocks.rewrites();
    if (rewrites !== this.#rewrites) this.#known.clear();
    this.#rewrites = rewrites;
    const sought = topics
      .filter(({ id }) => !this.#known.has(id))
      .toSorted((a, b) => a.firstOffset - b.firstOffset);
    const open = new Map(sought.map(({ id, firstOffset }) => [id, firstOffset]));
    this.#walkForAll(open, sought[0]?.firstOffset ?? 0);
    for (const [id, firstOffset] of open) {
      for (const block of this.#blocks.of(upFrom(firstOffset), new Set([id]))) {
        if (this.#take(block, open, id)) break;
      }
    }
    return this.#known;
  }

  /** No event below `from` is kept of any of the topics, so the first that is met of each is its first. */
  #walkForAll(open: Map<number, number>, from: number): void {
    if (open.size === 0) return;
    let walked = 0;
    for (const block of this.#blocks.of(upFrom(from), undefined)) {
      this.#take(block, open);
      walked += 1;
      if (open.size === 0 || walked === SHARED_BLOCKS_MAX) return;
    }
  }

  /** Returns whether the block ends the search for the topic, or for all of them. */
  #take(block: Block, open: Map<number, number>, only?: number): boolean {
    if (only === undefined ? !block.topicIds.some((id) => open.has(id)) : !block.topicIds.includes(only))
      return false;
    for (let i = 0; i < block.count; i++) {
      const id = block.topicId(i);
      if (!block.isKept(i) || !open.has(id) || (only !== undefined && id !== only)) continue;
      this.#known.set(id, block.firstOffset + i);
      open.delete(id);
      if (only !== undefined) return true;
    }
    return open.size === 0;
  }
}

function upFrom(offset: number) {
  return { order: 'asc', after: offset - 1, upTo: Number.MAX_SAFE_INTEGER } as const;
}
