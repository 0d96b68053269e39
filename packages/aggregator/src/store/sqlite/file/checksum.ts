import { crc32 } from 'node:zlib';
import type { StoreError } from '../../event-store.ts';

/**
 * A disk that flips a bit says nothing, and SQLite's pages have no checksum: a changed text would be handed out as it is,
 * and a changed key would let its event in twice. So what the file holds in bulk ends with the CRC-32 of the bytes
 * before it, little-endian.
 */
export const CHECKSUM_BYTES = 4;

/** The bytes with their checksum behind them; of `before` and the bytes where something goes before. */
export function withChecksum(bytes: Uint8Array, before?: Uint8Array): Uint8Array {
  const checked = new Uint8Array(bytes.length + CHECKSUM_BYTES);
  checked.set(bytes);
  viewOf(checked).setUint32(bytes.length, crcOf(bytes, before), true);
  return checked;
}

/** The bytes without their checksum, a view. Throws the error where it is not theirs. */
export function withoutChecksum(
  checked: Uint8Array,
  wrong: () => StoreError,
  before?: Uint8Array,
): Uint8Array {
  const length = checked.length - CHECKSUM_BYTES;
  if (length < 0) throw wrong();
  const bytes = checked.subarray(0, length);
  if (viewOf(checked).getUint32(length, true) !== crcOf(bytes, before)) throw wrong();
  return bytes;
}

function crcOf(bytes: Uint8Array, before: Uint8Array | undefined): number {
  return before === undefined ? crc32(bytes) : crc32(bytes, crc32(before));
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
