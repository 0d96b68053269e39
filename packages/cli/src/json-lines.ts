import { BYTE_ORDER_MARK, isUtf16 } from '@chronicleweaver/protocol';

/** A line of an input; `number` counts from 1. */
export interface Line {
  readonly number: number;
  readonly text: string;
}

/** A line that is not what it must be. The message is for the user. */
export class LineError extends Error {
  override name = 'LineError';
}

/**
 * The lines of a stream that are not blank. Each is a text of its own, so a byte order mark is ignored in front of any of
 * them: files that were put together with `cat` have one in the middle.
 * @throws LineError where the stream is not UTF-8
 */
export async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 0;
  let rest = '';
  let isFirstChunk = true;
  const decode = (chunk: Uint8Array | undefined): string[] => {
    try {
      const lines = (rest + decoder.decode(chunk, { stream: chunk !== undefined })).split('\n');
      rest = lines.pop()!;
      return lines;
    } catch (cause) {
      const what =
        isFirstChunk && chunk !== undefined && isUtf16(chunk)
          ? 'the input is UTF-16'
          : `line ${number + 1} or a later one is not UTF-8`;
      throw new LineError(`${what}: save it as UTF-8`, { cause });
    }
  };
  const line = (text: string): Line[] => {
    number++;
    const unmarked = text.startsWith(BYTE_ORDER_MARK) ? text.slice(BYTE_ORDER_MARK.length) : text;
    return unmarked.trim() === '' ? [] : [{ number, text: unmarked }];
  };
  for await (const chunk of bytes) {
    for (const text of decode(chunk)) yield* line(text);
    isFirstChunk = false;
  }
  decode(undefined);
  yield* line(rest);
}

/** What a line may leave out. */
export interface Defaults {
  readonly topic?: string | undefined;
  readonly source: string;
  /** The line is an event's payload and not an event. */
  readonly isPayload: boolean;
  /** The line is an event as it is read, with what the service has added. */
  readonly isStored: boolean;
}

/**
 * The text of the event that a line stands for: the line's own, digit for digit, with what it leaves out before it. The
 * service judges the rest.
 * @throws LineError where the line is not a JSON object
 */
export function eventTextOf({ text }: Line, { topic, source, isPayload, isStored }: Defaults): string {
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

/** What the service puts behind an event that it gives (READ-1). */
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
