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

/**
 * Gives the memory of a view back, now and not when garbage is collected. Only for a view that is all of its memory, as
 * small ones may share theirs with strangers: others are left alone. All views on it are of no more use.
 */
export function letGo({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
