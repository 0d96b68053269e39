import { crc32 } from 'node:zlib';
import type { StoreError } from './event-store.ts';

/**
 * A disk that flips a bit reports nothing, and SQLite's pages have no checksum: a changed text would be delivered, and a
 * changed key would let its event be stored twice. So blocks, key blocks and filters end with the CRC-32 of the bytes
 * before it, little-endian.
 */
export const CHECKSUM_BYTES = 4;

/** The bytes followed by their checksum; it covers `before`, if given, and the bytes. */
export function withChecksum(bytes: Uint8Array, before?: Uint8Array): Uint8Array {
  const checked = new Uint8Array(bytes.length + CHECKSUM_BYTES);
  checked.set(bytes);
  viewOf(checked).setUint32(bytes.length, crcOf(bytes, before), true);
  return checked;
}

/** The bytes without their checksum, as a view. Throws the error if the checksum does not match. */
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
