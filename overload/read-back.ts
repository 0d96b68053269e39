import { eventLines } from '../lab/event-lines.ts';
import { type Batches, eventNumbers } from './batch.ts';
import type { Published } from './publisher.ts';

/**
 * Reads everything that is stored and compares it, byte for byte, with what was acknowledged: every event of every batch
 * answered with 200, exactly once, and none of a refused batch. Returns how many events there are.
 */
export async function readBack(
  url: string,
  batches: Batches,
  published: readonly Published[],
): Promise<number> {
  // For each publisher, the events found of each of its batches.
  const found = published.map(() => new Map<number, Set<number>>());
  let events = 0;
  for await (const line of eventLines(url)) {
    const numbers = eventNumbers(line);
    if (numbers === null) throw new Error(`not an event of this run: ${line.slice(0, 200)}`);
    const [publisher, batch, index] = numbers;
    const sent = batches.event(publisher, batch, index);
    if (!line.startsWith(`${sent.slice(0, -1)},"offset":`)) throw new Error(`not as it was sent: ${line}`);
    const ofBatch = found[publisher]?.get(batch) ?? new Set();
    if (ofBatch.has(index)) throw new Error(`stored twice: ${line}`);
    ofBatch.add(index);
    found[publisher]?.set(batch, ofBatch);
    events += 1;
  }
  for (const { publisher, acknowledged } of published) {
    const stored = found[publisher] ?? new Map<number, Set<number>>();
    for (let batch = 0; batch < acknowledged; batch++) {
      const count = stored.get(batch)?.size ?? 0;
      if (count !== batches.eventsPerBatch) {
        throw new Error(`of the acknowledged batch ${publisher}-${batch}, ${count} events are stored`);
      }
    }
    if (stored.size !== acknowledged) {
      throw new Error(
        `publisher ${publisher}: ${stored.size} batches are stored, ${acknowledged} acknowledged`,
      );
    }
  }
  return events;
}
