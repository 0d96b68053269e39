import { ownBuffer } from '../released-memory.ts';
import type { CloudEvent } from './cloud-event.ts';
import { eventIdOf, eventSourceOf } from './identity.ts';

/**
 * The timestamp of an event that came without a time. The time of its arrival would differ with each retry, and make a
 * conflict of each.
 */
const NO_TIME = '1970-01-01T00:00:00Z';

/** How the payload begins in which a CloudEvent is stored; it ends with a brace of its own. */
export const PAYLOAD_HEAD = '{"cloudevent":';

/**
 * The body of a publish with an event for each CloudEvent, whose text is its payload.
 *
 * @param topic null for the type of each
 */
export function eventsOf(cloudEvents: readonly CloudEvent[], topic: string | null): Buffer {
  const parts = cloudEvents.map((one, i) => {
    const { json, time } = one;
    const names = {
      event_id: eventIdOf(one.source, one.id),
      topic: topic ?? one.type,
      source: eventSourceOf(one.source),
    };
    const head = `${i === 0 ? '' : ','}${JSON.stringify(names).slice(0, -1)},"payload":${PAYLOAD_HEAD}`;
    return { head, json, tail: `},"timestamp":${JSON.stringify(time ?? NO_TIME)}}` };
  });
  let length = 2;
  for (const { head, json, tail } of parts) length += Buffer.byteLength(head) + json.length + tail.length;

  const body = length < POOLED_BYTES_MAX ? Buffer.allocUnsafe(length) : ownBuffer(length);
  let at = body.write('[', 0);
  for (const { head, json, tail } of parts) {
    at += body.write(head, at);
    body.set(json, at);
    at += json.length;
    at += body.write(tail, at, 'latin1');
  }
  at += body.write(']', at);
  if (at !== length) throw new Error(`a body of ${at} bytes was expected to have ${length}`);
  return body;
}

/** Smaller buffers come from Node's pool. */
const POOLED_BYTES_MAX = 4096;
