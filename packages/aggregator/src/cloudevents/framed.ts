import { cloudEventOf } from './out.ts';

/** The CloudEvents of stored events, an event a line; `behind` comes behind each of them. */
export function cloudEventsOfLines(lines: Uint8Array, behind: ',' | '\n'): Uint8Array {
  const bytes = viewOf(lines);
  const mark = Buffer.from(behind);
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = endOf(bytes, '\n', start);
    pieces.push(cloudEventOf(bytes.subarray(start, end)), mark);
    start = end + 1;
  }
  return Buffer.concat(pieces);
}

/** The same Server-Sent Events with CloudEvents as the data of events. Gaps, which have a name, stay as they are. */
export function cloudEventsOfFrames(frames: Uint8Array): Uint8Array {
  const bytes = viewOf(frames);
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = endOf(bytes, FRAME_END, start);
    if (bytes[start] === NAMED) {
      pieces.push(bytes.subarray(start, end + FRAME_END.length));
    } else {
      const data = endOf(bytes, DATA, start) + DATA.length;
      pieces.push(bytes.subarray(start, data), cloudEventOf(bytes.subarray(data, end)), FRAME_END_BYTES);
    }
    start = end + FRAME_END.length;
  }
  return Buffer.concat(pieces);
}

const FRAME_END = '\n\n';
const FRAME_END_BYTES = Buffer.from(FRAME_END);
const DATA = '\ndata: ';
/** A frame with a name begins with `event`, any other with `id`. */
const NAMED = 0x65;

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function endOf(bytes: Buffer, mark: string, start: number): number {
  const end = bytes.indexOf(mark, start);
  if (end < 0) throw new Error('the bytes are not whole events');
  return end;
}
