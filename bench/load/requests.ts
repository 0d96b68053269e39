import { requestBytes } from '../../lab/connection.ts';
import type { Segment } from './plan.ts';

/** Whole requests, ready for the wire, made before the clock starts. */
export interface Requests {
  readonly batch: number;
  readonly segment: Segment;
  readonly wire: readonly Buffer[];
}

/** The segment's events as publishes of `batch` events each; the last may have fewer. */
export function publishRequests(
  segment: Segment,
  batch: number,
  eventText: (k: number) => string,
  target = 'POST /publish',
): Requests {
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
    wire.push(requestBytes(target, body));
  }
  return { batch, segment, wire };
}
