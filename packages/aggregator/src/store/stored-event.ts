/**
 * How stored events stand in a row of bytes: `array` puts a comma behind each, `lines` a line feed; `stream` makes each
 * an event of Server-Sent Events, with its offset as `id` (WHATWG HTML, 9.2). Stored JSON holds no line break.
 */
export type Framing = 'array' | 'lines' | 'stream';

/**
 * The JSON of a stored event: what the publisher sent, with `offset` and `received_at` as its last members. The sent
 * text is spliced, not parsed, so every digit stays as it came.
 */
export function storedEventJson(text: string, offset: number, receivedMs: number): string {
  return text.slice(0, -1) + OFFSET_NAME + offset + receivedMember(receivedMs);
}

/** The same, framed. */
export function framedEvent(text: string, offset: number, receivedMs: number, framing: Framing): string {
  const { id, before, behind } = FRAMES[framing];
  const json = storedEventJson(text, offset, receivedMs);
  return (id === '' ? '' : id + offset) + before + json + behind;
}

/** Collects stored events as bytes, framed: the same JSON, without making strings of it. */
export class StoredEventWriter {
  #id = FRAME_BYTES.array.id;
  #before = FRAME_BYTES.array.before;
  #behind = FRAME_BYTES.array.behind;
  #bytes = new Uint8Array(64 * 1024);
  #length = 0;
  #receivedMs = -1;
  #receivedBytes = new Uint8Array(0);

  /** Begins anew; what was taken stays as it is. */
  begin(framing: Framing): void {
    ({ id: this.#id, before: this.#before, behind: this.#behind } = FRAME_BYTES[framing]);
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
    const needed = this.#length + text.length + this.#receivedBytes.length + AROUND_BYTES_MAX;
    if (needed > this.#bytes.length) this.#grow(needed);
    const bytes = this.#bytes;
    let at = this.#length;
    if (this.#id.length > 0) {
      bytes.set(this.#id, at);
      at = putDigits(bytes, at + this.#id.length, offset);
      bytes.set(this.#before, at);
      at += this.#before.length;
    }
    bytes.set(text, at);
    at += text.length - 1;
    for (let i = 0; i < OFFSET_BYTES.length; i++) bytes[at++] = OFFSET_BYTES[i]!;
    at = putDigits(bytes, at, offset);
    bytes.set(this.#receivedBytes, at);
    at += this.#receivedBytes.length;
    for (let i = 0; i < this.#behind.length; i++) bytes[at++] = this.#behind[i]!;
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

/** What stands around an event: where `id` is not empty it and the offset come first. */
const FRAMES = {
  array: { id: '', before: '', behind: ',' },
  lines: { id: '', before: '', behind: '\n' },
  stream: { id: 'id: ', before: '\nevent: event\ndata: ', behind: '\n\n' },
} as const satisfies Record<Framing, { id: string; before: string; behind: string }>;

const FRAME_BYTES = {
  array: bytesOf(FRAMES.array),
  lines: bytesOf(FRAMES.lines),
  stream: bytesOf(FRAMES.stream),
};

/** More than the longest frame and two offsets take; the largest safe integer has 16 digits. */
const AROUND_BYTES_MAX = 128;

function bytesOf({ id, before, behind }: { id: string; before: string; behind: string }) {
  return { id: Buffer.from(id), before: Buffer.from(before), behind: Buffer.from(behind) };
}

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
