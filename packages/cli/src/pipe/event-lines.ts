import type { FileHandle } from 'node:fs/promises';
import { type PipedEvent, offsetIn } from './target.ts';

/** Part of a file: whole lines from byte `from` up to `to`, and the lowest and highest offset in them. */
interface Zone {
  readonly from: number;
  to: number;
  lowest: number;
  highest: number;
}

/** How much of a file is read at a time, and about how large a zone is. */
const ZONE_BYTES = 2 ** 20;

/** The end of a line that has the offset. */
const OFFSET_BYTES_MAX = 120;

const NEWLINE = 0x0a;

/** What a file holds. */
export interface Contents {
  readonly lines: EventLines;
  /** Where the last whole line ends. */
  readonly end: number;
  /** What follows, up to the end of the file: a line without its end, or one that a power failure left zeros in. */
  readonly rest: Buffer;
  /** The number of the first line that is no event, from 1; null if all are. */
  readonly strangeLine: number | null;
}

/**
 * Knows where in a file which offsets are. Most lines are in the order of their offsets, so that a look-up reads a zone
 * or two of many, and a zone is remembered by four numbers.
 */
export class EventLines {
  readonly #zones: Zone[] = [];

  /** Reads a file from its beginning. */
  static async in(file: FileHandle): Promise<Contents> {
    const lines = new EventLines();
    let end = 0;
    let count = 0;
    for await (const bytes of chunksOf(file, 0, Infinity)) {
      let at = 0;
      for (let next; (next = bytes.indexOf(NEWLINE, at)) >= 0; at = next + 1) {
        count += 1;
        const line = bytes.subarray(at, next);
        const offset = offsetOf(line);
        if (offset === undefined) {
          const isZeroed = line.includes(0) && end > 0;
          const rest = isZeroed ? bytes.subarray(at) : Buffer.alloc(0);
          return { lines, end, rest, strangeLine: isZeroed ? null : count };
        }
        lines.add(end, end + line.length + 1, offset);
        end += line.length + 1;
      }
      if (at < bytes.length) return { lines, end, rest: bytes.subarray(at), strangeLine: null };
    }
    return { lines, end, rest: Buffer.alloc(0), strangeLine: null };
  }

  get isEmpty(): boolean {
    return this.#zones.length === 0;
  }

  get lowest(): number {
    return this.#zones.reduce((lowest, zone) => Math.min(lowest, zone.lowest), Infinity);
  }

  get highest(): number {
    return this.#zones.reduce((highest, zone) => Math.max(highest, zone.highest), 0);
  }

  /** Notes a line at the end of those known. */
  add(from: number, to: number, offset: number): void {
    const last = this.#zones.at(-1);
    if (last === undefined || last.to - last.from >= ZONE_BYTES) {
      this.#zones.push({ from, to, lowest: offset, highest: offset });
      return;
    }
    last.to = to;
    last.lowest = Math.min(last.lowest, offset);
    last.highest = Math.max(last.highest, offset);
  }

  /** Which of the wanted events, by their offsets, the file has; it adds their offsets to `found`. */
  async find(file: FileHandle, wanted: ReadonlyMap<number, PipedEvent>, found: Set<number>): Promise<void> {
    for (const { from, to, lowest, highest } of this.#zones) {
      if (![...wanted.keys()].some((offset) => offset >= lowest && offset <= highest)) continue;
      for await (const bytes of chunksOf(file, from, to)) {
        let at = 0;
        for (let next; (next = bytes.indexOf(NEWLINE, at)) >= 0; at = next + 1) {
          const line = bytes.subarray(at, next);
          const event = wanted.get(offsetOf(line) ?? 0);
          if (event !== undefined && isSame(line, event)) found.add(event.offset);
        }
      }
    }
  }
}

/** A service that was restored from a copy gives an offset again, to another event. */
function isSame(line: Buffer, { text }: PipedEvent): boolean {
  const written = line.toString();
  return written === text || identityOf(written) === identityOf(text);
}

function identityOf(text: string): string {
  const { topic, event_id } = JSON.parse(text) as { topic: string; event_id: string };
  return JSON.stringify([topic, event_id]);
}

function offsetOf(line: Buffer): number | undefined {
  return offsetIn(line.toString('latin1', Math.max(0, line.length - OFFSET_BYTES_MAX)));
}

/** A part of the file in chunks of whole lines. At its end there may be one without the end of its line. */
async function* chunksOf(file: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  let begun = Buffer.alloc(0);
  for (let at = from; at < to;) {
    const buffer = Buffer.allocUnsafe(Math.min(ZONE_BYTES, to - at));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) break;
    at += bytesRead;
    const bytes = Buffer.concat([begun, buffer.subarray(0, bytesRead)]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end > 0) yield bytes.subarray(0, end);
    begun = bytes.subarray(end);
  }
  if (begun.length > 0) yield begun;
}
