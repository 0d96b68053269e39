import { MergedBlockEncoder, type MergedRow } from './block-encoder.ts';
import type { Block } from './block-format.ts';

/** The fixed cost of reading a block, expressed in bytes of text. */
const BLOCK_WORK = 1024;

/** Compressing a byte costs about twice as much as decompressing and copying it. */
const PACK_WORK = 2;

/** The work of merging one fresh block with this many bytes of text. */
export function mergeWork(textBytes: number): number {
  return BLOCK_WORK + (1 + PACK_WORK) * textBytes;
}

/**
 * Builds one merged block from consecutive fresh ones, in steps of about a millisecond.
 *
 * In: committed fresh blocks, oldest first, which must not change until the merge is done. Out: the row that replaces
 * them. States: *reading* the blocks, until they fill a merged one; *placing* their texts, one block per step; *packing*,
 * one chunk per step; *packed*, once `row` is set.
 *
 * All of it is in memory and derived from committed data. So a crash loses only this work, and a failed transaction in
 * the meantime does not affect it.
 */
export class BlockMerge {
  /** The blocks being merged; complete after *reading*. */
  readonly blocks: Block[] = [];
  row: MergedRow | null = null;
  readonly #fresh: Iterator<Block>;
  readonly #eventsMax: number;
  readonly #bytesMax: number;
  #events = 0;
  #bytes = 0;
  #encoder: MergedBlockEncoder | null = null;
  #placed = 0;

  /** Takes the first of the blocks, and the following ones as long as they are consecutive and fit the bounds. */
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

  /** Does one step. Returns its work in bytes of text. */
  step(): number {
    if (this.#encoder === null) return this.#read();
    if (this.#placed < this.blocks.length) return this.#place(this.#encoder, this.blocks[this.#placed++]!);
    if (!this.#encoder.isPacked) return BLOCK_WORK + PACK_WORK * this.#encoder.packNext();
    this.row = this.#encoder.row();
    return BLOCK_WORK;
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
