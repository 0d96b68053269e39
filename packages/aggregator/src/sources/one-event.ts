import { hash } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { LIMITS, parseTimestamp } from '@chronicleweaver/protocol';
import { BatchWriter, WrittenName } from '../event/batch-writer.ts';
import { CompactJson } from '../event/compact-json.ts';
import { parsePointer, textAt } from '../event/json-place.ts';
import { shortened } from '../event/template.ts';
import { TopicTemplate } from '../event/topic-template.ts';
import { type Delivery, type ReceivedEvents, Refusal, type Source } from './source.ts';

/** A body, read. */
export interface Content {
  /** JSON without whitespace between tokens; undefined if the body is none that a payload may contain. */
  readonly json: string | undefined;
  /** The member of the payload. */
  readonly member: string;
}

/** The payload and its one member are around it. */
const BODY_JSON = new CompactJson(LIMITS.payloadDepthMax - 1);

/**
 * The body as a member of a payload: `body` with the JSON as it came, or with the text, if it is UTF-8; else `body_base64`. An object
 * or array is JSON whatever its type is called, since many senders call it something else; anything else is if its type says so.
 */
export function contentOf(body: Buffer, type = ''): Content {
  if (!isUtf8(body)) return { json: undefined, member: `"body_base64":"${body.toString('base64')}"` };
  // A copy, since reading it consumes it.
  const mayBeJson = JSON_TYPE.test(type) || OPENS_JSON.test(body.toString('latin1', 0, LEAD_BYTES));
  const compact = mayBeJson ? BODY_JSON.compact(Buffer.from(body)) : null;
  if (compact === null) return { json: undefined, member: `"body":${JSON.stringify(body.toString())}` };
  const json = compact.toString();
  return { json, member: `"body":${json}` };
}

const JSON_TYPE = /^[^;]*[/+]json\s*(?:;|$)/i;
const OPENS_JSON = /^(?:\u00ef\u00bb\u00bf)?\s*[{[]/;
/** More whitespace than that stands before no JSON. */
const LEAD_BYTES = 64;

/** A part of what came, for which a definition has a name. */
export interface Parts {
  readonly headers: IncomingHttpHeaders;
  readonly content: Content;
}

/** What is at a JSON pointer in the body, or else in the header of that name. */
export function textIn({ headers, content }: Parts, place: string): string | undefined {
  if (!place.startsWith('/')) return headerIn(headers, place);
  return content.json === undefined ? undefined : textAt(content.json, parsePointer(place) ?? []);
}

export function headerIn(headers: IncomingHttpHeaders, name: string): string | undefined {
  const key = name.toLowerCase();
  // Whoever defines a source may name what every object has, such as `constructor`.
  if (!Object.hasOwn(headers, key)) return undefined;
  const value = headers[key];
  return typeof value === 'string' ? value : value?.join(', ');
}

/** A digest of the bytes that came, as an id. */
export function digestOf(body: Uint8Array): string {
  return `sha256:${hash('sha256', body, 'hex')}`;
}

/**
 * The timestamp of an event that came without a time. The time of its arrival would differ with each attempt, and make a conflict
 * of each.
 */
const NO_TIME = { timestamp: '1970-01-01T00:00:00Z', timeMs: 0 };

/** The time that a text names, as ISO 8601 or in seconds or milliseconds since 1970; undefined if it names none. */
export function timeIn(text: string | undefined): { timestamp: string; timeMs: number } | undefined {
  if (text === undefined) return undefined;
  const instant = parseTimestamp(text);
  if (instant !== undefined) return { timestamp: text, timeMs: instant.epochMs };
  if (!/^\d{1,13}(?:\.\d+)?$/.test(text)) return undefined;
  const number = Number(text);
  const timeMs = Math.floor(number < MILLISECONDS_MIN ? number * 1000 : number);
  return { timestamp: new Date(timeMs).toISOString(), timeMs };
}

/** In seconds that were the year 5138, in milliseconds 1973. */
const MILLISECONDS_MIN = 1e11;

/** What an event is made of. */
export interface Made {
  readonly id: string | undefined;
  /** Where an id was looked for, in words. */
  readonly idPlace: string;
  readonly content: Content;
  /** The headers that matter, of which none changes from one attempt to the next. */
  readonly headers: readonly string[];
  readonly time: ReturnType<typeof timeIn>;
  /** What a name in braces in the topic stands for. */
  readonly topicText: (name: string) => string | undefined;
}

/** The one event of a delivery. Throws a Refusal. */
export function oneEvent(delivery: Delivery, source: Source, made: Made): ReceivedEvents {
  const { id, idPlace, content, topicText } = made;
  if (id === undefined || id === '') throw new Refusal('invalid', `there is no id: expected ${idPlace}`);
  if (id.includes('\0') || !id.isWellFormed()) {
    throw new Refusal('invalid', `the id has characters that no text may have: see ${idPlace}`);
  }
  const headers = made.headers.flatMap((name) => {
    const value = headerIn(delivery.headers, name);
    return value === undefined ? [] : [`${JSON.stringify(name)}:${JSON.stringify(value)}`];
  });
  const members = headers.length === 0 ? content.member : `"headers":{${headers.join()}},${content.member}`;
  const written = new BatchWriter(delivery.bytesMax);
  const isWritten = written.add({
    id: new WrittenName(withinChars(id)),
    topic: new WrittenName(new TopicTemplate(source.topic).topicOf((name) => topicText(name) ?? '')),
    source: new WrittenName(source.source),
    payload: `{${members}}`,
    ...(made.time ?? NO_TIME),
  });
  if (isWritten) return { kind: 'events', batch: written.batch() };
  throw new Refusal('too_large', `as an event it would exceed ${LIMITS.eventBytesMax} bytes`);
}

/** An id that is too long is told by its digest. */
function withinChars(id: string): string {
  return shortened(id, LIMITS.eventIdCharsMax) === id ? id : digestOf(Buffer.from(id));
}
