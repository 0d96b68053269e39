import { MergedBlockEncoder, type MergedRow } from './block-encoder.ts';
import type { Block } from './block-format.ts';

/** What reading a block costs beside its texts, as bytes of text. */
const BLOCK_WORK = 1024;

/** Packing a byte costs about twice what unpacking and copying it does. */
const PACK_WORK = 2;

/** The work of a merge for so many bytes of text in one fresh block. */
export function mergeWork(textBytes: number): number {
  return BLOCK_WORK + (1 + PACK_WORK) * textBytes;
}

/**
 * The making of one merged block out of consecutive fresh ones, in steps of about a millisecond.
 *
 * In: fresh blocks that are committed, oldest first; until the merge is done nobody changes or deletes them. Out: the
 * row to put in their place. States: *reading* the blocks, until they fill one; *placing* their texts, a block a step;
 * *packing*, a chunk a step; *packed*, when `row` is there.
 *
 * All of it is in memory and follows from what is committed. So a crash loses this work and nothing else, and a
 * transaction that fails while it goes on takes nothing from it.
 */
export class BlockMerge {
  /** What is merged: known when the blocks are read. */
  readonly blocks: Block[] = [];
  row: MergedRow | null = null;
  readonly #fresh: Iterator<Block>;
  readonly #eventsMax: number;
  readonly #bytesMax: number;
  #events = 0;
  #bytes = 0;
  #encoder: MergedBlockEncoder | null = null;
  #placed = 0;

  /** Takes at least the first of the blocks, and as many as follow one another and fit the bounds. */
  constructor(fresh: Iterator<Block>, bounds: { readonly eventsMax: number; readonly bytesMax: number }) {
    this.#fresh = fresh;
    this.#eventsMax = bounds.eventsMax;
    this.#bytesMax = bounds.bytesMax;
  }

  get firstOffset(): number {
    return this.blocks[0]!.firstOffset;
  }

  get lastOffset(): number {
    return this.blocks.at(-1)!.lastOffset;
  }

  /** One step on the way to `row`. Returns the work it was, in bytes of text. */
  step(): number {
    if (this.#encoder === null) return this.#read();
    if (this.#placed < this.blocks.length) return this.#place(this.#encoder, this.blocks[this.#placed++]!);
    const packedBytes = this.#encoder.packNext();
    if (packedBytes === 0) this.row = this.#encoder.row();
    return PACK_WORK * packedBytes;
  }

  #read(): number {
    const { value: block, done } = this.#fresh.next();
    if (done !== true && this.#fits(block)) {
      this.blocks.push(block);
      this.#events += block.count;
      this.#bytes += block.textBytes;
      return BLOCK_WORK;
    }
    const lengths = new Int32Array(this.#events);
    const topicIds = new Int32Array(this.#events);
    let event = 0;
    for (const one of this.blocks) {
      for (let i = 0; i < one.count; i++) {
        topicIds[event] = one.topicId(i);
        lengths[event++] = one.textLength(i);
      }
    }
    this.#encoder = new MergedBlockEncoder(
      topicIds,
      lengths,
      this.blocks.flatMap(({ commits }) => commits),
    );
    return BLOCK_WORK;
  }

  #fits(block: Block): boolean {
    return (
      this.blocks.length === 0 ||
      (block.firstOffset === this.lastOffset + 1 &&
        this.#events + block.count <= this.#eventsMax &&
        this.#bytes + block.textBytes <= this.#bytesMax)
    );
  }

  #place(encoder: MergedBlockEncoder, block: Block): number {
    for (let i = 0; i < block.count; i++) encoder.put(block.text(i));
    block.release();
    return block.textBytes;
  }
}
