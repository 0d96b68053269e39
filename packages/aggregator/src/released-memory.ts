import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes of young buffers let go of between two collections of the young: a millisecond each. */
const YOUNG_BYTES_MAX = 4 * 1024 * 1024;

type CollectGarbage = (options: { type: 'minor' }) => void;

// The function is there only for code that is compiled while the flag is set.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as CollectGarbage;
setFlagsFromString('--no-expose-gc');

let youngBytes = 0;

/**
 * Says that a buffer that lived for a moment was let go of: a body, a group, a page. V8 counts the small object that
 * holds a buffer and hardly the buffer: left to itself each thread keeps 64 MiB of dead ones before it looks.
 */
export function releasedYoung(bytes: number): void {
  youngBytes += bytes;
  if (youngBytes < YOUNG_BYTES_MAX) return;
  youngBytes = 0;
  collectGarbage({ type: 'minor' });
}

/** Memory that is nobody else's: Node's pool, of which small buffers are parts, is never here. */
const own = new WeakSet<ArrayBuffer>();

/** A buffer, not filled with zeros, whose memory `letGo` gives back, also through a view on a part of it. */
export function ownBuffer(length: number): Buffer<ArrayBuffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  own.add(buffer.buffer);
  return buffer;
}

/**
 * Gives the memory that a view is on back, now and not when garbage is collected: what lives longer than a moment is
 * found dead only by a collection of everything, which V8 begins for every 64 MiB of buffers. To be called by who has it
 * last, as every other view on it is of no more use. Left alone is what may be a part of something else: neither of
 * `ownBuffer` nor all of its memory.
 */
export function letGo({ buffer, byteLength }: ArrayBufferView): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) return;
  if (byteLength === buffer.byteLength || own.has(buffer)) buffer.transfer(0);
}
