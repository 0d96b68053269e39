import { requestBytes } from '../../lab/connection.ts';
import type { Segment } from './plan.ts';

/** Whole requests, head and body, as they go over the wire: made before a clock starts. */
export interface Requests {
  readonly batch: number;
  readonly segment: Segment;
  readonly wire: readonly Buffer[];
}

/** The events of the segment in publishes of `batch` events each; the last may hold fewer. */
export function publishRequests(segment: Segment, batch: number, eventText: (k: number) => string): Requests {
  const { events } = segment;
  const wire: Buffer[] = [];
  for (let from = 0; from < events.length; from += batch) {
    const to = Math.min(from + batch, events.length);
    let body = '{"events":[';
    for (let place = from; place < to; place++) {
      if (place > from) body += ',';
      body += eventText(events[place]!);
    }
    body += ']}';
    wire.push(requestBytes('POST /publish', body));
  }
  return { batch, segment, wire };
}
