import { allSteps } from '../all-steps.ts';
import { MergedBlockEncoder, encodeFresh } from './block-encoder.ts';
import { BARE, type Block, type BlockRow, EXPIRED } from './block-format.ts';

/** A block without some of its texts, and what went with them. */
export interface Rewritten {
  /** Null if no text went: then the block stays as it is. */
  readonly row: BlockRow | null;
  /** Of each topic of which events have expired, how many, and the bytes of their texts. */
  readonly expired: ReadonlyMap<number, { readonly events: number; readonly bytes: number }>;
  /** Topics of which the block still has texts, ascending. */
  readonly keptTopics: readonly number[];
}

/** The work between two yields of `rewriting`, bytes of text: less than a millisecond of work. */
const STEP_BYTES = 256 * 1024;

/** Nothing, of which only one is made: a typed array costs more than a text that is left out. */
const NO_TEXT = new Uint8Array(0);

/** Makes those of the block's kept events expired that are to go. All others stay as they are, with their offsets and times. */
export function withoutTexts(block: Block, goes: (index: number) => boolean): Rewritten {
  return allSteps(rewriting(block, goes));
}

/** The same in steps of about a millisecond, between which the block must stay readable. */
export function* rewriting(
  block: Block,
  goes: (index: number) => boolean,
): Generator<undefined, Rewritten, undefined> {
  const { count } = block;
  const topicIds = new Int32Array(count);
  const lengths = new Int32Array(count);
  const expired = new Map<number, { events: number; bytes: number }>();
  const kept = new Set<number>();
  for (let i = 0; i < count; i++) {
    const id = block.topicId(i);
    topicIds[i] = id;
    lengths[i] = block.textLength(i);
    if (lengths[i]! <= BARE) continue;
    if (!goes(i)) {
      kept.add(id);
      continue;
    }
    const sum = expired.get(id) ?? { events: 0, bytes: 0 };
    expired.set(id, { events: sum.events + 1, bytes: sum.bytes + lengths[i]! });
    lengths[i] = EXPIRED;
  }
  const row = expired.size === 0 ? null : yield* encoding(block, topicIds, lengths);
  return { row, expired, keptTopics: [...kept].toSorted((a, b) => a - b) };
}

/** The topics of which the blocks have texts, ascending. */
export function keptTopicsOf(blocks: readonly Block[]): number[] {
  const kept = new Set<number>();
  for (const block of blocks) {
    for (let i = 0; i < block.count; i++) if (block.isKept(i)) kept.add(block.topicId(i));
  }
  return [...kept].toSorted((a, b) => a - b);
}

/** The topics of which the block has events without a text, ascending. */
export function textlessTopicsOf(block: Block): number[] {
  const gone = new Set<number>();
  for (let i = 0; i < block.count; i++) if (!block.isKept(i)) gone.add(block.topicId(i));
  return [...gone].toSorted((a, b) => a - b);
}

function* encoding(
  block: Block,
  topicIds: Int32Array,
  lengths: Int32Array,
): Generator<undefined, BlockRow, undefined> {
  const textOf = (i: number): Uint8Array => (lengths[i]! > BARE ? block.text(i) : NO_TEXT);
  const { commits } = block;
  if (block.isMerged) {
    const encoder = new MergedBlockEncoder(topicIds, lengths, commits);
    let bytes = 0;
    for (let i = 0; i < block.count; i++) {
      const text = textOf(i);
      encoder.put(text);
      bytes += text.length;
      if (bytes < STEP_BYTES) continue;
      bytes = 0;
      yield;
    }
    while (!encoder.isPacked) if (encoder.packNext() > 0) yield;
    return encoder.row();
  }
  const starts = new Int32Array(block.count);
  const texts: Uint8Array[] = [];
  for (let i = 0, end = 0; i < block.count; i++) {
    const text = textOf(i);
    starts[i] = end;
    end += text.length;
    texts.push(text);
  }
  return encodeFresh({ topicIds, starts, lengths, texts: Buffer.concat(texts), commits });
}
