/**
 * How stored events are laid out in a sequence of bytes. `array` puts a comma after each, `lines` a line feed.
 * `stream` makes each a Server-Sent Event (WHATWG HTML, 9.2) with its offset as `id` and without a name, so that
 * `onmessage` gets it. Stored JSON contains no line breaks.
 */
export type Framing = 'array' | 'lines' | 'stream';

/**
 * The JSON of a stored event: what the publisher sent, with `offset` and `received_at` appended as its last members.
 * The text is spliced, not parsed, so every digit stays as it was sent.
 */
export function storedEventJson(text: string, offset: number, receivedMs: number): string {
  return text.slice(0, -1) + OFFSET_NAME + offset + receivedMember(receivedMs);
}

/** The size of that JSON for a text of `textBytes` bytes. */
export function storedEventBytes(textBytes: number, offset: number): number {
  return textBytes - 1 + OFFSET_NAME.length + String(offset).length + RECEIVED_MEMBER_CHARS;
}

/** The same, framed. */
export function framedEvent(text: string, offset: number, receivedMs: number, framing: Framing): string {
  const { id, before, behind } = FRAMES[framing];
  const json = storedEventJson(text, offset, receivedMs);
  return (id === '' ? '' : id + offset) + before + json + behind;
}

/**
 * Tells in the framing `stream` of expired events in a row, with offsets above `after`, of which `next` is the last. A reader that
 * reconnects with its id goes on behind them. It has a name, so that `onmessage` does not get it.
 */
export function framedGap(expired: number, after: number, next: number): string {
  return `event: gap\nid: ${next}\ndata: {"expired":${expired},"after":${after},"next":${next}}\n\n`;
}

/** Collects framed stored events as bytes: the same JSON, without creating strings or objects. */
export class StoredEventWriter {
  #frame = FRAME_BYTES.array;
  #bytes = new Uint8Array(0);
  #length = 0;
  #receivedMs = -1;
  /** What follows an event's text, including `#offset`, and where the digits of that offset are. */
  #tail = new Uint8Array(0);
  #digitsFrom = 0;
  #digitsTo = 0;
  #offset = -1;

  /** Starts over. What was taken stays valid. */
  begin(framing: Framing): void {
    if (this.#frame !== FRAME_BYTES[framing]) this.#receivedMs = -1;
    this.#frame = FRAME_BYTES[framing];
    this.#length = 0;
    if (this.#bytes.length === 0) this.#bytes = newBytes(FIRST_BYTES);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  write(text: Uint8Array, offset: number, receivedMs: number): void {
    if (receivedMs !== this.#receivedMs || !this.#countUp(offset)) this.#makeTail(offset, receivedMs);
    const needed = this.#length + text.length + this.#tail.length + HEAD_BYTES_MAX;
    if (needed > this.#bytes.length) this.#grow(needed);
    const bytes = this.#bytes;
    const { id, before } = this.#frame;
    let at = this.#length;
    if (id.length > 0) {
      bytes.set(id, at);
      at += id.length;
      for (let i = this.#digitsFrom; i < this.#digitsTo; i++) bytes[at++] = this.#tail[i]!;
      bytes.set(before, at);
      at += before.length;
    }
    bytes.set(text, at);
    // The tail begins in place of the closing brace.
    at += text.length - 1;
    bytes.set(this.#tail, at);
    this.#length = at + this.#tail.length;
  }

  /** The same as `framedGap`. */
  writeGap(expired: number, after: number, next: number): void {
    const gap = Buffer.from(framedGap(expired, after, next));
    const needed = this.#length + gap.length;
    if (needed > this.#bytes.length) this.#grow(needed);
    this.#bytes.set(gap, this.#length);
    this.#length = needed;
  }

  /** Everything written, in memory of its own, which may be somewhat larger. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes;
    // A small page must not hold a large page's memory while it waits to be sent.
    if (this.#length < bytes.length / 2) return bytes.slice(0, this.#length);
    this.#bytes = new Uint8Array(0);
    return bytes.subarray(0, this.#length);
  }

  /** Increments the offset in the tail, if this is the next offset and has as many digits. That covers most events. */
  #countUp(offset: number): boolean {
    if (offset !== this.#offset + 1) return false;
    const tail = this.#tail;
    let at = this.#digitsTo - 1;
    for (; tail[at] === NINE; at--) {
      if (at === this.#digitsFrom) return false;
      tail[at] = ZERO;
    }
    tail[at]! += 1;
    this.#offset = offset;
    return true;
  }

  #makeTail(offset: number, receivedMs: number): void {
    const text = OFFSET_NAME + offset + receivedMember(receivedMs) + this.#frame.behind;
    this.#tail = Buffer.from(text);
    this.#digitsFrom = OFFSET_NAME.length;
    this.#digitsTo = OFFSET_NAME.length + String(offset).length;
    this.#offset = offset;
    this.#receivedMs = receivedMs;
  }

  #grow(needed: number): void {
    const larger = newBytes(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** Not zero-filled: every byte that is taken was written. */
function newBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}

const OFFSET_NAME = ',"offset":';
/** The year has four digits for the next 7,973 years. */
const RECEIVED_MEMBER_CHARS = receivedMember(0).length;
const ZERO = 0x30;
const NINE = 0x39;

/** What surrounds an event. If `id` is not empty, it and the offset come first. */
const FRAMES = {
  array: { id: '', before: '', behind: ',' },
  lines: { id: '', before: '', behind: '\n' },
  stream: { id: 'id: ', before: '\ndata: ', behind: '\n\n' },
} as const satisfies Record<Framing, { id: string; before: string; behind: string }>;

const FRAME_BYTES = {
  array: bytesOf(FRAMES.array),
  lines: bytesOf(FRAMES.lines),
  stream: bytesOf(FRAMES.stream),
};

/** More than any frame has before its text; the largest safe integer has 16 digits. */
const HEAD_BYTES_MAX = 64;

/** Holds a store's page, and the event that exceeds it. */
const FIRST_BYTES = 288 * 1024;

function bytesOf({ id, before, behind }: { id: string; before: string; behind: string }) {
  return { id: Buffer.from(id), before: Buffer.from(before), behind };
}

function receivedMember(receivedMs: number): string {
  return `,"received_at":"${new Date(receivedMs).toISOString()}"}`;
}
