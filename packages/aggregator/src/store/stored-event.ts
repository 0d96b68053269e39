/**
 * The JSON of a stored event: what the publisher sent, with `offset` and `received_at` as its last members. The sent
 * text is spliced, not parsed, so every digit stays as it came.
 */
export function storedEventJson(text: string, offset: number, receivedMs: number): string {
  return text.slice(0, -1) + OFFSET_NAME + offset + receivedMember(receivedMs);
}

/** Collects stored events as bytes, each followed by the separator: the same JSON, without making strings of it. */
export class StoredEventWriter {
  #separator = 0;
  #bytes = new Uint8Array(64 * 1024);
  #length = 0;
  #receivedMs = -1;
  #receivedBytes = new Uint8Array(0);

  /** Begins anew; what was taken stays as it is. */
  begin(separator: ',' | '\n'): void {
    this.#separator = separator.charCodeAt(0);
    this.#length = 0;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  write(text: Uint8Array, offset: number, receivedMs: number): void {
    if (receivedMs !== this.#receivedMs) {
      this.#receivedMs = receivedMs;
      this.#receivedBytes = Buffer.from(receivedMember(receivedMs));
    }
    const needed =
      this.#length + text.length + OFFSET_BYTES.length + OFFSET_DIGITS_MAX + this.#receivedBytes.length + 1;
    if (needed > this.#bytes.length) this.#grow(needed);
    const bytes = this.#bytes;
    let at = this.#length;
    bytes.set(text, at);
    at += text.length - 1;
    for (let i = 0; i < OFFSET_BYTES.length; i++) bytes[at++] = OFFSET_BYTES[i]!;
    at = putDigits(bytes, at, offset);
    bytes.set(this.#receivedBytes, at);
    at += this.#receivedBytes.length;
    bytes[at++] = this.#separator;
    this.#length = at;
  }

  /** All that was written, in memory of its own. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #grow(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

const OFFSET_NAME = ',"offset":';
const OFFSET_BYTES = Buffer.from(OFFSET_NAME);
/** Digits of the largest safe integer. */
const OFFSET_DIGITS_MAX = 16;

function receivedMember(receivedMs: number): string {
  return `,"received_at":"${new Date(receivedMs).toISOString()}"}`;
}

function putDigits(bytes: Uint8Array, start: number, number: number): number {
  let digits = 1;
  for (let limit = 10; number >= limit; limit *= 10) digits += 1;
  let rest = number;
  for (let at = start + digits - 1; at >= start; at--) {
    const higher = Math.floor(rest / 10);
    bytes[at] = 0x30 + rest - higher * 10;
    rest = higher;
  }
  return start + digits;
}
