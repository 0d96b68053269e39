import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  JsonScanner,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  shortened,
} from '../event/json-scanner.ts';
import { UnreadableRequest } from './log-request.ts';

/**
 * Reads fields of messages in OTLP's JSON encoding, one after the other, and knows at any time where it is. Whatever is not as the
 * encoding says throws an UnreadableRequest, what is no JSON a JsonSyntaxError.
 *
 * That encoding is protobuf's (https://protobuf.dev/programming-guides/json) except that ids are hexadecimal and names
 * are lowerCamelCase alone. Unknown names are passed over, null means a field that is not set, and numbers may be strings.
 */
export class JsonFields extends JsonScanner {
  /** Where the value that is being read stands: names and places in arrays. */
  readonly #path: (string | number)[] = [];

  /** Enters an object: returns its first name, or null if there is none, which null in place of an object means, too. */
  protected open(): string | null {
    if (this.#isNull()) return null;
    if (this.peek() !== OPEN_BRACE) throw this.#wrong('an object');
    this.skip(OPEN_BRACE);
    if (this.peek() === CLOSE_BRACE) {
      this.skip(CLOSE_BRACE);
      return null;
    }
    const name = this.#name();
    this.#path.push(name);
    return name;
  }

  /** The next name of the object; null at its end, which it leaves. */
  protected next(): string | null {
    this.#path.pop();
    if (this.peek() === COMMA) {
      this.skip(COMMA);
      const name = this.#name();
      this.#path.push(name);
      return name;
    }
    if (this.peek() !== CLOSE_BRACE) throw this.unexpected('"," or "}"');
    this.skip(CLOSE_BRACE);
    return null;
  }

  #name(): string {
    if (this.peek() !== QUOTE) throw this.unexpected('a name in double quotes');
    const name = this.#string();
    this.skip(COLON);
    return name;
  }

  /** Reads an array, or null, whose entries `read` reads. */
  protected list(read: () => void): void {
    for (let more = this.#openList(); more; more = this.#nextEntry()) read();
  }

  protected *listInTurns(read: () => Generator<undefined, void>): Generator<undefined, void> {
    for (let more = this.#openList(); more; more = this.#nextEntry()) yield* read();
  }

  /** Enters an array, or null: returns whether there is an entry. */
  #openList(): boolean {
    if (this.#isNull()) return false;
    if (this.peek() !== OPEN_BRACKET) throw this.#wrong('an array');
    this.skip(OPEN_BRACKET);
    if (this.peek() === CLOSE_BRACKET) {
      this.skip(CLOSE_BRACKET);
      return false;
    }
    this.#path.push(0);
    return true;
  }

  /** Whether there is another entry; if not, leaves the array. */
  #nextEntry(): boolean {
    const place = this.#path.pop() as number;
    if (this.peek() === COMMA) {
      this.skip(COMMA);
      this.#path.push(place + 1);
      return true;
    }
    if (this.peek() !== CLOSE_BRACKET) throw this.unexpected('"," or "]"');
    this.skip(CLOSE_BRACKET);
    return false;
  }

  protected text(): string {
    if (this.#isNull()) return '';
    if (this.peek() !== QUOTE) throw this.#wrong('a string');
    return this.#string();
  }

  protected bool(): string {
    const byte = this.peek();
    if (byte === 0x74) this.#forget(() => this.literal('true'));
    else if (byte === 0x66) this.#forget(() => this.literal('false'));
    else if (!this.#isNull()) throw this.#wrong('true or false');
    return byte === 0x74 ? 'true' : 'false';
  }

  /** The text of a number, which may be written as a string. */
  #numberText(expected: string): string {
    if (this.#isNull()) return '0';
    const byte = this.peek();
    if (byte === QUOTE) return this.#string();
    if (byte !== 0x2d && !(byte >= 0x30 && byte <= 0x39)) throw this.#wrong(expected);
    const start = this.write;
    this.number();
    const text = this.bytes.toString('latin1', start, this.write);
    this.write = start;
    return text;
  }

  protected integer(expected: string): bigint {
    const text = this.#numberText(expected);
    if (/^-?\d{1,40}$/.test(text)) return BigInt(text);
    // Protobuf accepts 1e3 and 1.0, too.
    const number = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? Number(text) : NaN;
    if (!Number.isInteger(number)) throw this.#wrong(expected, text);
    return BigInt(number);
  }

  protected uint64(): bigint {
    return this.#within('a whole number of nanoseconds', 0n, 2n ** 64n - 1n);
  }

  protected uint32(): number {
    return Number(this.#within('a whole number', 0n, 2n ** 32n - 1n));
  }

  protected int32(): number {
    return Number(this.#within('a whole number', -(2n ** 31n), 2n ** 31n - 1n));
  }

  #within(what: string, min: bigint, max: bigint): bigint {
    const expected = `${what} from ${min} to ${max}`;
    const number = this.integer(expected);
    if (number < min || number > max) throw this.#wrong(expected, String(number));
    return number;
  }

  protected double(): number {
    const text = this.#numberText('a number');
    if (/^(NaN|-?Infinity|-?\d+(\.\d+)?([eE][+-]?\d+)?)$/.test(text)) return Number(text);
    throw this.#wrong('a number, "NaN", "Infinity" or "-Infinity"', text);
  }

  /** Of an id; one of zeros alone means none. */
  protected hex(): string {
    const text = this.text();
    if (!/^(?:[\da-f]{2})*$/i.test(text)) throw this.#wrong('hexadecimal digits', text);
    return /^0*$/.test(text) ? '' : text.toLowerCase();
  }

  protected base64(): Buffer {
    const text = this.text();
    // Node.js passes over what is not base64, but understands both of its alphabets.
    if (!/^[\w+/-]*={0,2}$/.test(text)) throw this.#wrong('base64', text);
    return Buffer.from(text, 'base64');
  }

  /** Whether null comes next; if so, reads it. */
  #isNull(): boolean {
    if (this.peek() !== 0x6e) return false;
    this.#forget(() => this.literal('null'));
    return true;
  }

  protected passOver(): void {
    this.#forget(() => this.value(this.#path.length));
  }

  /** Reads something of which nothing is kept. */
  #forget(read: () => void): void {
    const start = this.write;
    read();
    this.write = start;
  }

  /** Reads a string. */
  #string(): string {
    const start = this.write;
    this.string();
    const text = this.lastString(start + 1, this.write - 1);
    this.write = start;
    return text;
  }

  /** @param found what is there instead, if it was read already */
  #wrong(expected: string, found?: string): UnreadableRequest {
    const ahead = (): string => (this.peek() === -1 ? 'the end of the body' : this.kindAhead());
    const instead = found === undefined ? ahead() : JSON.stringify(shortened(found));
    return new UnreadableRequest(`expected ${expected}, got ${instead}`, this.place());
  }

  /** Like resourceLogs[0].scopeLogs[0].logRecords[3].body; null for the whole body. */
  protected place(): string | null {
    const text = this.#path
      .slice(0, PLACE_PARTS_MAX)
      .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
      .join('');
    return text === '' ? null : text.slice(1);
  }
}

/** More would tell nobody more. */
const PLACE_PARTS_MAX = 16;
