import {
  EVENT_ID,
  type EventBatch,
  PAYLOAD,
  SOURCE,
  SPANS_PER_EVENT,
  TIMESTAMP,
  TOPIC,
} from '../event/event-batch.ts';

/** Bytes of a file's secret, drawn when it is created (migrations.ts). Without it nobody can construct collisions. */
const SECRET_BYTES = 16;

/** Bits of a digest: as many as fit beside an offset in the index. */
const DIGEST_BITS = 24;

/**
 * Computes an event's identity and the digest of its content.
 *
 * Identity: 128 bits of Chaskey-12 (Mouha et al., SAC 2014; ISO/IEC 29192-6) under the file's secret over
 * `topic NUL event_id`. No topic contains a NUL (EVT-3), so different pairs give different texts. At 10^12 events the
 * chance of any collision is below 10^-14. Why this hash, and how fast it is: docs/adr/0005-key-hash.md.
 *
 * Digest: 24 bits of a multiplicative hash under the secret over `source NUL timestamp NUL payload`. It only tells a
 * retry from a conflict, and both are dropped: one conflict in 16 million is reported as a plain duplicate.
 */
export class KeyHasher {
  /** The last identity computed, four 32-bit words. */
  k0 = 0;
  k1 = 0;
  k2 = 0;
  k3 = 0;
  /** How often the secret was replaced: what was hashed before that names nothing any more. */
  replaced = 0;

  #secret: Int32Array = new Int32Array(4);
  /** Subkeys for the last block, if it is whole or padded: the secret times 2 or 4 in GF(2^128). */
  #whole: Int32Array = this.#secret;
  #padded: Int32Array = this.#secret;
  readonly #mask: number;
  /** Holds the text to hash: room for the longest names that events may have, and 16 bytes of padding. */
  #scratch = new Uint8Array(4096);
  #scratchView = new DataView(this.#scratch.buffer);
  /** The bytes of the last batch, and a view that reads four of them at once. */
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#bytes.buffer);

  /** `keyBits` below 128 narrows the identity, for tests that need collisions. */
  constructor(secret: Uint8Array, keyBits: 8 | 128 = 128) {
    this.#mask = keyBits === 128 ? -1 : 0;
    this.use(secret);
  }

  /** Hashes under this secret from now on. */
  use(secret: Uint8Array): void {
    if (secret.length !== SECRET_BYTES)
      throw new Error(`a secret has ${SECRET_BYTES} bytes, but this one has ${secret.length}`);
    const view = new DataView(secret.buffer, secret.byteOffset, SECRET_BYTES);
    const words = Int32Array.from([0, 4, 8, 12], (at) => view.getInt32(at, true));
    if (words.some((word, i) => word !== this.#secret[i])) this.replaced += 1;
    this.#secret = words;
    this.#whole = timesTwo(words);
    this.#padded = timesTwo(this.#whole);
  }

  /** Sets `k0` to `k3` to the identity of event `index`. */
  hashKey(batch: EventBatch, index: number): void {
    const { bytes, spans } = batch;
    const at = index * SPANS_PER_EVENT;
    const scratch = this.#scratchFor(
      spans[at + TOPIC + 1]! - spans[at + TOPIC]! + spans[at + EVENT_ID + 1]! - spans[at + EVENT_ID]! + 1,
    );
    let length = 0;
    for (let i = spans[at + TOPIC]!, end = spans[at + TOPIC + 1]!; i < end; i++)
      scratch[length++] = bytes[i]!;
    scratch[length++] = 0;
    for (let i = spans[at + EVENT_ID]!, end = spans[at + EVENT_ID + 1]!; i < end; i++)
      scratch[length++] = bytes[i]!;
    this.#hashScratch(length, 12);
    if (this.#mask === 0) {
      // Narrowed: only the eight highest bits, which choose the bucket.
      this.k0 &= 0xff000000;
      this.k1 = this.k2 = this.k3 = 0;
    }
  }

  /** Sets `k0` to `k3` to the identity of an event to look up. */
  hashNames(topic: string, eventId: string): void {
    const names = Buffer.from(`${topic}\0${eventId}`);
    this.hashBytes(names, names.length, 12);
    if (this.#mask === 0) {
      this.k0 &= 0xff000000;
      this.k1 = this.k2 = this.k3 = 0;
    }
  }

  /** Chaskey over the first `length` bytes, with this many rounds per block. */
  hashBytes(bytes: Uint8Array, length: number, rounds: number): void {
    this.#scratchFor(length).set(bytes.subarray(0, length));
    this.#hashScratch(length, rounds);
  }

  #hashScratch(length: number, rounds: number): void {
    const secret = this.#secret;
    const words = this.#scratchView;
    const isWhole = length > 0 && length % 16 === 0;
    const last = isWhole ? this.#whole : this.#padded;
    // The padding: a one bit and zeros.
    for (let at = length; at < length + 16; at += 4) words.setInt32(at, 0);
    this.#scratch[length] = 1;
    const lastAt = isWhole ? length - 16 : length - (length % 16);
    let v0 = secret[0]!;
    let v1 = secret[1]!;
    let v2 = secret[2]!;
    let v3 = secret[3]!;
    for (let at = 0; at <= lastAt; at += 16) {
      v0 ^= words.getInt32(at, true);
      v1 ^= words.getInt32(at + 4, true);
      v2 ^= words.getInt32(at + 8, true);
      v3 ^= words.getInt32(at + 12, true);
      if (at === lastAt) {
        v0 ^= last[0]!;
        v1 ^= last[1]!;
        v2 ^= last[2]!;
        v3 ^= last[3]!;
      }
      for (let round = 0; round < rounds; round++) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 13) | (v3 >>> 19)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 7) | (v1 >>> 25)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
    }
    this.k0 = v0 ^ last[0]!;
    this.k1 = v1 ^ last[1]!;
    this.k2 = v2 ^ last[2]!;
    this.k3 = v3 ^ last[3]!;
  }

  /** The digest of the content of event `index`, 0 to 2^24 - 1. */
  digest(batch: EventBatch, index: number): number {
    const { spans } = batch;
    if (batch.bytes !== this.#bytes) this.#look(batch.bytes);
    const bytes = this.#view;
    const at = index * SPANS_PER_EVENT;
    let hash = mixed(bytes, spans[at + SOURCE]!, spans[at + SOURCE + 1]!, this.#secret[0]!);
    hash = mixed(bytes, spans[at + TIMESTAMP]!, spans[at + TIMESTAMP + 1]!, hash ^ this.#secret[1]!);
    hash = mixed(bytes, spans[at + PAYLOAD]!, spans[at + PAYLOAD + 1]!, hash ^ this.#secret[2]!);
    return (hash ^ (hash >>> DIGEST_BITS)) & (2 ** DIGEST_BITS - 1);
  }

  #look(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #scratchFor(length: number): Uint8Array {
    if (this.#scratch.length < length + 16) {
      this.#scratch = new Uint8Array(2 * length + 16);
      this.#scratchView = new DataView(this.#scratch.buffer);
    }
    return this.#scratch;
  }
}

/** Multiplication by x in GF(2^128) modulo x^128 + x^7 + x^2 + x + 1. */
function timesTwo(words: Int32Array): Int32Array {
  const [a, b, c, d] = words as unknown as [number, number, number, number];
  const carry = d >>> 31 === 1 ? 0x87 : 0;
  return Int32Array.of((a << 1) ^ carry, (b << 1) | (a >>> 31), (c << 1) | (b >>> 31), (d << 1) | (c >>> 31));
}

/** Murmur3's 32-bit mixing (Appleby, public domain), which ends with the length. */
function mixed(bytes: DataView, start: number, end: number, seed: number): number {
  let hash = seed;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    let part = Math.imul(bytes.getInt32(at, true), 0xcc9e2d51);
    part = Math.imul((part << 15) | (part >>> 17), 0x1b873593);
    hash ^= part;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  for (; at < end; at++) hash = Math.imul(hash ^ bytes.getUint8(at), 0x01000193);
  hash ^= end - start;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
