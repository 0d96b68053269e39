import { byteOrderMarkLength } from '@chronicleweaver/protocol';
import { NAMES_COMPARED_MAX, OpenNames } from './open-names.ts';

/**
 * Reads JSON (RFC 8259) byte by byte and writes it back, in place, without the whitespace between tokens.
 *
 * Why not JSON.parse: its result has lost what we must keep or refuse. Numbers beyond 2^53 lose digits, the second of
 * two equal names hides the first, and the text of a single event cannot be recovered. Instead it is the oracle of our
 * tests: both accept the same texts (test/event/json-scanner.test.ts).
 *
 * In: a body that is valid UTF-8. Out: the same bytes, compacted; `write` never overtakes `read`, so no copy is made.
 * A text that is not JSON, or is nested too deep, throws and ends the read. Valid JSON that we refuse (a name twice in
 * one object, half a surrogate pair; I-JSON, RFC 7493, forbids both) is noted in `fault` and the read continues, so that
 * one answer can name everything that is wrong.
 */
export class JsonScanner {
  protected bytes: Buffer = Buffer.alloc(0);
  /** The next byte to read. */
  protected read = 0;
  /** Where the positions in messages count from. */
  protected origin = 0;
  /** Where the next kept byte goes. */
  protected write = 0;
  /** The first reason to refuse the current value although it is JSON, in words for the publisher. */
  protected fault: string | null = null;
  /** Whether the last string contains a backslash. */
  protected escaped = false;

  readonly #depthMax: number;
  readonly #names = new OpenNames();

  constructor(depthMax: number) {
    this.#depthMax = depthMax;
  }

  protected begin(bytes: Buffer): void {
    this.bytes = bytes;
    this.origin = 0;
    this.read = byteOrderMarkLength(bytes);
    this.write = 0;
    this.fault = null;
    this.#names.open = 0;
  }

  /** Skips whitespace and returns the next byte, or -1 at the end. */
  protected peek(): number {
    const { bytes } = this;
    let at = this.read;
    let byte = bytes[at];
    // Most texts have no whitespace.
    if (byte !== undefined && byte > 0x20) return byte;
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++at];
    this.read = at;
    return byte ?? -1;
  }

  /** Skips whitespace and one punctuation mark, without keeping the mark. */
  protected skip(mark: number): void {
    if (this.bytes[this.read] !== mark && this.peek() !== mark) throw this.unexpected(quoted(mark));
    this.read += 1;
  }

  /** Skips whitespace and keeps one punctuation mark. */
  protected keep(mark: number): void {
    this.skip(mark);
    this.bytes[this.write++] = mark;
  }

  /** Reads one value of any kind. `depth` counts the objects and arrays around it. */
  protected value(depth: number): void {
    const byte = this.peek();
    if (byte === QUOTE) this.string();
    else if (byte === OPEN_BRACE) this.object(depth + 1);
    else if (byte === OPEN_BRACKET) this.array(depth + 1);
    else if (byte === MINUS || isDigit(byte)) this.number();
    else if (byte === 0x74) this.literal('true');
    else if (byte === 0x66) this.literal('false');
    else if (byte === 0x6e) this.literal('null');
    else throw this.unexpected('a value');
  }

  /** Reads a string. It occupies the kept bytes from the old `write` to the new one, including the quotes. */
  protected string(): void {
    const { bytes } = this;
    let at = this.read + 1;
    let to = this.write;
    this.escaped = false;
    bytes[to++] = QUOTE;
    for (;;) {
      let byte = bytes[at];
      // The scan spends most of its time in this loop. One table lookup a byte takes half as long as three comparisons.
      while (IS_PLAIN[byte!] === 1) {
        bytes[to++] = byte!;
        byte = bytes[++at];
      }
      if (byte === undefined) {
        this.read = at;
        throw this.unexpected('the end of a string');
      }
      if (byte === QUOTE) break;
      if (byte < 0x20) {
        this.read = at;
        throw this.unexpected('no control character in a string (escape it)');
      }
      bytes[to++] = byte;
      at += 1;
      if (byte === BACKSLASH) {
        this.escaped = true;
        const length = this.#escapeLength(at);
        for (const end = at + length; at < end; at++) bytes[to++] = bytes[at]!;
      }
    }
    bytes[to++] = QUOTE;
    this.read = at + 1;
    this.write = to;
  }

  protected object(depth: number): void {
    if (depth > this.#depthMax) throw new TooDeep();
    this.keep(OPEN_BRACE);
    const outer = this.#names.open;
    let seen: Set<string> | null = null;
    if (this.peek() !== CLOSE_BRACE) {
      for (;;) {
        if (this.peek() !== QUOTE) throw this.unexpected('a name in double quotes');
        const start = this.write + 1;
        this.string();
        const end = this.write - 1;
        if (seen === null && !this.escaped && this.#names.open - outer < NAMES_COMPARED_MAX) {
          if (this.#names.has(this.bytes, outer, start, end)) this.noteNameTwice(start, end);
          this.#names.add(start, end);
        } else {
          seen ??= this.#names.since(outer, (from, to) => this.decoded(from, to));
          const name = this.lastString(start, end);
          if (seen.has(name)) this.noteNameTwice(start, end);
          seen.add(name);
        }
        this.keep(COLON);
        this.member(depth, start, end);
        if (this.peek() !== COMMA) break;
        this.keep(COMMA);
      }
    }
    if (this.peek() !== CLOSE_BRACE) throw this.unexpected('"," or "}"');
    this.keep(CLOSE_BRACE);
    this.#names.open = outer;
  }

  /** Reads the value of one member, whose name is in the kept bytes from `nameStart` to `nameEnd`. */
  protected member(depth: number, _nameStart: number, _nameEnd: number): void {
    this.value(depth);
  }

  protected array(depth: number): void {
    if (depth > this.#depthMax) throw new TooDeep();
    this.keep(OPEN_BRACKET);
    if (this.peek() !== CLOSE_BRACKET) {
      for (;;) {
        this.value(depth);
        if (this.peek() !== COMMA) break;
        this.keep(COMMA);
      }
    }
    if (this.peek() !== CLOSE_BRACKET) throw this.unexpected('"," or "]"');
    this.keep(CLOSE_BRACKET);
  }

  protected number(): void {
    const { bytes } = this;
    const start = this.read;
    let at = start;
    const digits = (): void => {
      const first = at;
      while (isDigit(bytes[at] ?? -1)) at += 1;
      if (at === first) {
        this.read = at;
        throw this.unexpected('a digit');
      }
    };
    if (bytes[at] === MINUS) at += 1;
    if (bytes[at] === 0x30) at += 1;
    else digits();
    if (bytes[at] === 0x2e) {
      at += 1;
      digits();
    }
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      at += 1;
      if (bytes[at] === MINUS || bytes[at] === 0x2b) at += 1;
      digits();
    }
    this.#keepThrough(at);
  }

  protected literal(word: 'true' | 'false' | 'null'): void {
    const end = this.read + word.length;
    if (this.bytes.toString('latin1', this.read, end) !== word) throw this.unexpected('a value');
    this.#keepThrough(end);
  }

  /** What kind of value comes next, for messages. */
  protected kindAhead(): string {
    const byte = this.peek();
    if (byte === QUOTE) return 'a string';
    if (byte === OPEN_BRACE) return 'an object';
    if (byte === OPEN_BRACKET) return 'an array';
    if (byte === 0x6e) return 'null';
    return byte === 0x74 || byte === 0x66 ? 'a boolean' : 'a number';
  }

  protected noteNameTwice(start: number, end: number): void {
    this.fault ??= `the name ${JSON.stringify(shortened(this.decoded(start, end)))} appears twice in one object`;
  }

  /** The string whose JSON, without the quotes, is in the kept bytes from `start` to `end`. */
  protected decoded(start: number, end: number): string {
    return JSON.parse(this.bytes.toString('utf8', start - 1, end + 1)) as string;
  }

  /** As `decoded`, of the string that was read last: without escapes it takes half as long. */
  protected lastString(start: number, end: number): string {
    return this.escaped ? this.decoded(start, end) : this.bytes.toString('utf8', start, end);
  }

  protected unexpected(expected: string): JsonSyntaxError {
    const byte = this.bytes[this.read];
    const found = byte === undefined ? 'the text ends' : `found ${quoted(byte)}`;
    return new JsonSyntaxError(`expected ${expected}, but ${found} at byte ${this.read - this.origin}`);
  }

  /** Checks the escape whose letter is at `at`; returns how many bytes follow the backslash. */
  #escapeLength(at: number): number {
    const letter = this.bytes[at];
    if (letter !== 0x75) {
      if (letter !== undefined && '"\\/bfnrt'.includes(String.fromCharCode(letter))) return 1;
      this.read = at;
      throw this.unexpected('an escape');
    }
    const unit = this.#hex4(at + 1);
    if (unit < 0xd800 || unit > 0xdfff) return 5;
    const paired = unit < 0xdc00 && this.bytes[at + 5] === BACKSLASH && this.bytes[at + 6] === 0x75;
    if (paired) {
      const low = this.#hex4(at + 7);
      if (low >= 0xdc00 && low <= 0xdfff) return 11;
    }
    this.fault ??= `\\u${unit.toString(16)} is half a surrogate pair, which text must not contain`;
    return 5;
  }

  #hex4(at: number): number {
    let unit = 0;
    for (let i = at; i < at + 4; i++) {
      const digit = hexDigit(this.bytes[i] ?? 0);
      if (digit < 0) {
        this.read = i;
        throw this.unexpected('four hexadecimal digits');
      }
      unit = unit * 16 + digit;
    }
    return unit;
  }

  #keepThrough(end: number): void {
    const { bytes } = this;
    let to = this.write;
    for (let at = this.read; at < end; at++) bytes[to++] = bytes[at]!;
    this.read = end;
    this.write = to;
  }
}

/** The text is not JSON. The message says what was expected, what was found instead, and at which byte. */
export class JsonSyntaxError extends Error {}

/** The text is nested deeper than the scanner's limit. */
export class TooDeep extends Error {}

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;

/** 1 for the bytes that mean themselves in a string: all but quote, backslash and control characters. */
const IS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
);

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function hexDigit(byte: number): number {
  if (isDigit(byte)) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function quoted(byte: number): string {
  return byte > 0x20 && byte < 0x7f
    ? `"${String.fromCharCode(byte)}"`
    : `byte 0x${byte.toString(16).padStart(2, '0')}`;
}

/** A name or value, cut to fit into a message. */
export function shortened(text: string): string {
  return text.length <= 64 ? text : `${text.slice(0, 64)}…`;
}
