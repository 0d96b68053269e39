/**
 * Arrays as parameters, in PostgreSQL's binary format (array_recv in src/backend/utils/adt/arrayfuncs.c): the client
 * library passes a Buffer on as it is, while a JavaScript array becomes text that the server must parse again.
 */

// Types by their numbers in pg_type.dat.
const BOOL = 16;
const BYTEA = 17;
const INT8 = 20;
const INT4 = 23;
const TEXT = 25;
const UUID = 2950;

const HEADER_BYTES = 20;

/** @param hashes 16 bytes each, one behind the other */
export function uuidArray(hashes: Uint8Array): Buffer {
  const count = hashes.length / 16;
  const array = header(UUID, count, count * 20);
  for (let i = 0, at = HEADER_BYTES; i < count; i++, at += 20) {
    array.writeInt32BE(16, at);
    array.set(hashes.subarray(i * 16, i * 16 + 16), at + 4);
  }
  return array;
}

/** @param hashes 16 bytes each */
export function uuidArrayWithNulls(hashes: readonly (Uint8Array | null)[]): Buffer {
  return bytesArray(UUID, hashes);
}

export function intArray(numbers: ArrayLike<number>): Buffer {
  const array = header(INT4, numbers.length, numbers.length * 8);
  for (let i = 0, at = HEADER_BYTES; i < numbers.length; i++, at += 8) {
    array.writeInt32BE(4, at);
    array.writeInt32BE(numbers[i]!, at + 4);
  }
  return array;
}

/** @param numbers whole ones that a double holds exactly */
export function bigintArray(numbers: ArrayLike<number>): Buffer {
  const array = header(INT8, numbers.length, numbers.length * 12);
  for (let i = 0, at = HEADER_BYTES; i < numbers.length; i++, at += 12) {
    const number = numbers[i]!;
    array.writeInt32BE(8, at);
    array.writeInt32BE(Math.floor(number / 2 ** 32), at + 4);
    array.writeInt32BE(number | 0, at + 8);
  }
  return array;
}

export function boolArray(values: ArrayLike<boolean>): Buffer {
  const array = header(BOOL, values.length, values.length * 5);
  for (let i = 0, at = HEADER_BYTES; i < values.length; i++, at += 5) {
    array.writeInt32BE(1, at);
    array[at + 4] = Number(values[i]!);
  }
  return array;
}

export function byteaArray(values: readonly (Uint8Array | null)[]): Buffer {
  return bytesArray(BYTEA, values);
}

export function textArray(values: readonly (string | null)[]): Buffer {
  return bytesArray(TEXT, values.map((value) => value === null ? null : Buffer.from(value))); // prettier-ignore
}

function bytesArray(type: number, values: readonly (Uint8Array | null)[]): Buffer {
  const bytes = values.reduce((sum, value) => sum + 4 + (value?.length ?? 0), 0);
  const array = header(type, values.length, bytes, values.includes(null));
  let at = HEADER_BYTES;
  for (const value of values) {
    array.writeInt32BE(value?.length ?? -1, at);
    at += 4;
    if (value === null) continue;
    array.set(value, at);
    at += value.length;
  }
  return array;
}

/** One dimension from 1; the server takes no empty dimension. */
function header(type: number, count: number, bytes: number, hasNulls = false): Buffer {
  const array = Buffer.allocUnsafe(count === 0 ? 12 : HEADER_BYTES + bytes);
  array.writeInt32BE(count === 0 ? 0 : 1, 0);
  array.writeInt32BE(Number(hasNulls), 4);
  array.writeInt32BE(type, 8);
  if (count === 0) return array;
  array.writeInt32BE(count, 12);
  array.writeInt32BE(1, 16);
  return array;
}
