import type { EventBatch } from '../../event/event-batch.ts';
import { readStoredEvents } from '../../event/event-reader.ts';
import { damaged, messageOf } from '../errors.ts';
import type { Block } from './block-format.ts';

/** The events from place `first` on whose texts are kept, parsed from these, and the place of each in the block. */
export function keptEventsOf(block: Block, first = 0): { events: EventBatch; places: readonly number[] } {
  const places: number[] = [];
  for (let i = first; i < block.count; i++) if (block.isKept(i)) places.push(i);
  return { events: eventsAt(block, places), places };
}

/** The events at these places, whose texts are kept, parsed from their texts. Throws an error that names the block. */
export function eventsAt(block: Block, places: readonly number[]): EventBatch {
  try {
    const texts = places.map((place) => block.text(place));
    return readStoredEvents(Buffer.concat(texts), texts.length);
  } catch (cause) {
    throw damaged(`block at offset ${block.firstOffset}: ${messageOf(cause)}`, cause);
  }
}
