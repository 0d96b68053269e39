import { type Instant, compareInstants, parseTimestamp } from '@chronicleweaver/protocol';
import { type EventBatch, SOURCE, TIMESTAMP, partText } from '../event/event-batch.ts';
import { readStoredEvents } from '../event/event-reader.ts';
import type { EventFilter } from './event-store.ts';

/** Whether a stored event passes the parts of the filter that only its text tells: all but the topic. */
export function matchesText(text: Uint8Array, { source, from, to }: EventFilter): boolean {
  const event = readStoredEvents(Buffer.from(text), 1);
  return (
    (source === undefined || partText(event, 0, SOURCE) === source) &&
    (from === undefined || compareTime(event, from) >= 0) &&
    (to === undefined || compareTime(event, to) < 0)
  );
}

/** Compares the time of a batch's only event. Parses its text only if the milliseconds are equal. */
function compareTime(event: EventBatch, other: Instant): number {
  const timeMs = event.timesMs[0]!;
  if (timeMs !== other.epochMs) return timeMs - other.epochMs;
  return compareInstants(parseTimestamp(partText(event, 0, TIMESTAMP))!, other);
}
