import { allSteps } from '../all-steps.ts';
import { eventsAt } from '../blocks/block-events.ts';
import type { Block } from '../blocks/block-format.ts';
import { EntryList } from './keys/bare-keys.ts';
import type { OpenFile } from './open-file.ts';

/** Keys made in one step, less than a millisecond of work. */
const STEP_KEYS = 512;

/**
 * Stores the keys of kept events whose texts go, in the same transaction: a start computes the keys that no run holds from the
 * texts.
 */
export function keepKeys(
  file: Pick<OpenFile, 'hasher' | 'index'>,
  block: Block,
  goes: (index: number) => boolean,
): void {
  file.index.keepBare(allSteps(keysToKeep(file, block, goes)));
}

/** Makes what must be stored, from the texts and in steps. */
export function* keysToKeep(
  { hasher, index }: Pick<OpenFile, 'hasher' | 'index'>,
  block: Block,
  goes: (index: number) => boolean,
): Generator<undefined, EntryList, undefined> {
  const places: number[] = [];
  for (let i = Math.max(0, index.sealedTo + 1 - block.firstOffset); i < block.count; i++)
    if (block.isKept(i) && goes(i)) places.push(i);
  const entries = new EntryList();
  for (let from = 0; from < places.length; from += STEP_KEYS) {
    const some = places.slice(from, from + STEP_KEYS);
    const events = eventsAt(block, some);
    for (const [i, place] of some.entries()) {
      hasher.hashKey(events, i);
      const { k0, k1, k2, k3 } = hasher;
      entries.push(k0, k1, k2, k3, block.firstOffset + place, hasher.digest(events, i));
    }
    yield;
  }
  return entries;
}
