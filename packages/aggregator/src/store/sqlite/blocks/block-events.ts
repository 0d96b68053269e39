import type { EventBatch } from '../../../event/event-batch.ts';
import { readStoredEvents } from '../../../event/event-reader.ts';
import { damaged, messageOf } from '../file/errors.ts';
import type { Block } from './block-format.ts';

/** The events of a block from place `first` on, parsed from their texts. Throws an error that names the block. */
export function eventsOf(block: Block, first = 0): EventBatch {
  try {
    const texts = Array.from({ length: block.count - first }, (_, i) => block.text(first + i));
    return readStoredEvents(Buffer.concat(texts), texts.length);
  } catch (cause) {
    throw damaged(`block at offset ${block.firstOffset}: ${messageOf(cause)}`, cause);
  }
}
