import {
  EVENT_ID,
  type EventBatch,
  PAYLOAD,
  SOURCE,
  TIMESTAMP,
  TOPIC,
  partText,
} from '../event/event-batch.ts';
import { readStoredEvents } from '../event/event-reader.ts';
import { isTime } from './attributes.ts';
import { PAYLOAD_HEAD } from './events-of.ts';
import { eventIdOf } from './identity.ts';
import { readJsonFormat } from './json-format.ts';

/**
 * The CloudEvent, in the JSON format, that a stored event is: what came as one is given back as it came; any other is mapped.
 * Payloads are copied and not parsed, so every digit stays.
 *
 * @param stored the event as it is read, with `offset` and `received_at` as its last members
 */
export function cloudEventOf(stored: Uint8Array): Uint8Array {
  // A copy, since reading it consumes it.
  const json = Buffer.from(stored);
  const tail = json.lastIndexOf(TAIL);
  if (tail < 0) throw new Error('a stored event has no offset');
  const { offset, received_at: receivedAt } = JSON.parse(`{${json.toString('latin1', tail + 1)}`) as Tail;
  json[tail] = CLOSE_BRACE;
  const batch = readStoredEvents(json.subarray(0, tail + 1), 1);
  const payload = json.subarray(batch.spans[PAYLOAD], batch.spans[PAYLOAD + 1]);
  return asItCame(batch, payload) ?? mapped(batch, payload, offset, receivedAt);
}

/** Null if it did not come as a CloudEvent. Anybody may publish such a payload, so it is read like one that comes. */
function asItCame(batch: EventBatch, payload: Buffer): Uint8Array | null {
  if (!payload.subarray(0, HEAD.length).equals(HEAD)) return null;
  const read = readJsonFormat(payload.subarray(HEAD.length, -1), { isBatch: false, isTopic: false });
  if (read.kind !== 'read') return null;
  const { source, id, json } = read.events[0]!;
  return eventIdOf(source, id) === partText(batch, 0, EVENT_ID) ? json : null;
}

/** Offsets are a string: a CloudEvent's integers end at 2^31. */
function mapped(batch: EventBatch, payload: Buffer, offset: number, receivedAt: string): Uint8Array {
  const attributes = {
    specversion: '1.0',
    id: partText(batch, 0, EVENT_ID),
    source: uriReferenceOf(partText(batch, 0, SOURCE)),
    type: partText(batch, 0, TOPIC),
    time: rfc3339Of(partText(batch, 0, TIMESTAMP)),
    datacontenttype: 'application/json',
    chronicleoffset: String(offset),
    chroniclereceived: receivedAt,
  };
  const head = `${JSON.stringify(attributes).slice(0, -1)},"data":`;
  return Buffer.concat([Buffer.from(head), payload, Buffer.from('}')]);
}

interface Tail {
  readonly offset: number;
  readonly received_at: string;
}

const TAIL = ',"offset":';
const HEAD = Buffer.from(PAYLOAD_HEAD);
const CLOSE_BRACE = 0x7d;

/** The source, with everything percent-encoded that no URI-reference contains, if it is not one. */
function uriReferenceOf(source: string): string {
  return URI_REFERENCE.test(source) ? source : source.split('/').map(encodeURIComponent).join('/');
}

/** RFC 3986, appendix A, as far as it matters: a scheme or no colon in the first segment, and no other characters. */
const URI_REFERENCE =
  /^(?:[a-z][a-z0-9+.-]*:|(?![^/?#]*:))(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*(?:#(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9a-f]{2})*)?$/i;

/** The same time as RFC 3339 has it, with all of its digits. */
function rfc3339Of(timestamp: string): string {
  if (isTime(timestamp)) return timestamp.toUpperCase();
  const [, date, minute = '00:00', second = '00', decimals = '', hours, minutes = '00'] =
    FORM.exec(timestamp)!;
  const zone = hours === undefined ? 'Z' : `${hours}:${minutes}`;
  return `${date}T${minute}:${second}${decimals && `.${decimals}`}${zone}`;
}

/** Any valid time of ours. */
const FORM = /^(.{10})(?:.(\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?:[Zz]|([+-]\d\d):?(\d\d)?)?)?$/;
