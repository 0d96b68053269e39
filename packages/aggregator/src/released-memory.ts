import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes of short-lived buffers released between two minor garbage collections, which take a millisecond each. */
const YOUNG_BYTES_MAX = 4 * 1024 * 1024;

type CollectGarbage = (options: { type: 'minor' }) => void;

// The function exists only in contexts created while the flag is set. All threads share it, so it stays set: clearing
// it could take the function away from a thread that is just starting.
setFlagsFromString('--expose-gc');
const collectGarbage = (globalThis.gc ?? runInNewContext('gc')) as CollectGarbage;

let youngBytes = 0;

/**
 * Reports that a short-lived buffer was released: a body, a group, a page. V8 counts the small object that holds a
 * buffer, but hardly the buffer itself: left to itself, each thread accumulates 64 MiB of dead ones before it
 * collects.
 */
export function releasedYoung(bytes: number): void {
  youngBytes += bytes;
  if (youngBytes < YOUNG_BYTES_MAX) return;
  youngBytes = 0;
  collectGarbage({ type: 'minor' });
}

/** Memory with a single owner. Node's pool, which small buffers share, is never among it. */
const own = new WeakSet<ArrayBuffer>();

/** A buffer, not zero-filled, whose memory `freeMemory` frees, even through a view on part of it. */
export function ownBuffer(length: number): Buffer<ArrayBuffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  own.add(buffer.buffer);
  return buffer;
}

/**
 * Frees a view's memory now instead of at the next garbage collection: buffers that survive a minor collection are
 * only found by a full one, which V8 runs for every 64 MiB of buffers. Only the last user of the memory may call it,
 * since every other view on it becomes unusable. It leaves alone memory that others may share: a view that is neither
 * from `ownBuffer` nor covers its whole buffer.
 */
export function freeMemory({ buffer, byteLength }: ArrayBufferView): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) return;
  if (byteLength === buffer.byteLength || own.has(buffer)) buffer.transfer(0);
}
