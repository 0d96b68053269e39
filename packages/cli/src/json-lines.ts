import { BYTE_ORDER_MARK, isUtf16 } from '@chronicleweaver/protocol';

/** A line of the input; `number` counts from 1. */
export interface Line {
  readonly number: number;
  /** An error if the line is not UTF-8. */
  readonly text: string | LineError;
}

/** A line is invalid. The message is for the user. */
export class LineError extends Error {
  override name = 'LineError';
}

const NEWLINE = 0x0a;

/**
 * The non-blank lines of a stream. Each is a text of its own, so a byte order mark is ignored at the beginning of any
 * of them: files joined with `cat` have one in the middle.
 * @throws LineError if the whole stream is UTF-16
 */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  let number = 0;
  let isFirstChunk = true;
  /** The beginning of a line, in pieces. */
  let begun: Uint8Array[] = [];
  const numbered = (texts: readonly Line['text'][]): Line[] =>
    texts
      .map((text) => ({ number: ++number, text: unmarked(text) }))
      .filter(({ text }) => typeof text !== 'string' || text.trim() !== '');
  for await (const chunk of bytes) {
    if (isFirstChunk && isUtf16(chunk)) throw new LineError('the input is UTF-16: save it as UTF-8');
    isFirstChunk = false;
    const end = chunk.lastIndexOf(NEWLINE);
    if (end >= 0) {
      yield* numbered(textsOf(Buffer.concat([...begun, chunk.subarray(0, end)])));
      begun = [];
    }
    begun.push(chunk.subarray(end + 1));
  }
  yield* numbered(textsOf(Buffer.concat(begun)));
}

/** The lines in these bytes: decoded all at once, and one by one only if one of them is not UTF-8. */
function textsOf(bytes: Uint8Array): Line['text'][] {
  const text = decoded(bytes);
  if (typeof text === 'string') return text.split('\n');
  const texts: Line['text'][] = [];
  for (let start = 0; start <= bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline;
    texts.push(decoded(bytes.subarray(start, end)));
    start = end + 1;
  }
  return texts;
}

function decoded(bytes: Uint8Array): Line['text'] {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    return new LineError('this is not UTF-8', { cause });
  }
}

function unmarked(text: Line['text']): Line['text'] {
  const isMarked = typeof text === 'string' && text.startsWith(BYTE_ORDER_MARK);
  return isMarked ? text.slice(BYTE_ORDER_MARK.length) : text;
}

/** What a line may leave out. */
export interface Defaults {
  readonly topic?: string | undefined;
  readonly source: string;
  /** The line is an event's payload, not an event. */
  readonly isPayload: boolean;
  /** The line is an event as read from a service, with the members that the service added. */
  readonly isStored: boolean;
}

/**
 * The text of a line's event: the line itself, digit for digit, preceded by the members that it leaves out. The
 * service judges the rest.
 * @throws LineError if the line is not a JSON object
 */
export function eventTextOf({ text }: Line, { topic, source, isPayload, isStored }: Defaults): string {
  if (typeof text !== 'string') throw text;
  const own = isStored ? text.replace(ADDED, '}') : text;
  const given = objectIn(own);
  const defaults = {
    event_id: crypto.randomUUID(),
    ...(topic !== undefined && { topic }),
    source,
    timestamp: new Date().toISOString(),
  };
  const members = Object.entries(defaults)
    .filter(([name]) => isPayload || !Object.hasOwn(given, name))
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  if (isPayload) members.push(`"payload":${own}`);
  else if (Object.keys(given).length > 0) members.push(own.trim().slice(1, -1));
  return `{${members.join(',')}}`;
}

/** What the service appends to an event (READ-1). */
const ADDED = /,"offset":\d+,"received_at":"[^"]*"\}\s*$/;

function objectIn(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new LineError(`this is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new LineError('this is JSON, but not an object');
}
