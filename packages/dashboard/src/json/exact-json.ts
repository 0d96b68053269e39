/**
 * JSON that keeps every digit. `JSON.parse` rounds numbers beyond 2^53 and forgets how they were written; here a number is
 * the text that was sent, and members keep their order and their names, `__proto__` among them.
 */
export type Json = JsonObject | JsonArray | JsonString | JsonBare;

interface JsonObject {
  readonly kind: 'object';
  readonly members: readonly JsonMember[];
}

interface JsonMember {
  readonly name: string;
  readonly value: Json;
}

interface JsonArray {
  readonly kind: 'array';
  readonly items: readonly Json[];
}

interface JsonString {
  readonly kind: 'string';
  readonly value: string;
}

/** A number, `true`, `false` or `null`, as it was written. */
interface JsonBare {
  readonly kind: 'number' | 'word';
  readonly text: string;
}

/** The text is not JSON. */
export class JsonFault extends Error {}

/** @throws JsonFault */
export function parseExact(text: string): Json {
  const reader = new Reader(text);
  const value = reader.value();
  reader.end();
  return value;
}

/**
 * A member of an object as it stands in the text, escapes and all; undefined if there is none, or if the text is no object.
 * @throws JsonFault
 */
export function memberText(text: string, name: string): string | undefined {
  return new Reader(text).memberText(name);
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
/** Whatever is between quotation marks; `JSON.parse` says whether it is a string. */
const STRING = /"(?:[^"\\]|\\.)*"/sy;
const SPACE = /[ \t\n\r]*/y;

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): Json {
    this.#match(SPACE);
    const value = this.#bareValue();
    this.#match(SPACE);
    return value;
  }

  memberText(wanted: string): string | undefined {
    this.#match(SPACE);
    if (!this.#skip('{')) return undefined;
    this.#match(SPACE);
    if (this.#skip('}')) return undefined;
    do {
      const name = this.#name();
      this.#match(SPACE);
      const from = this.#at;
      this.#bareValue();
      if (name === wanted) return this.#text.slice(from, this.#at);
      this.#match(SPACE);
    } while (this.#skip(','));
    return undefined;
  }

  end(): void {
    if (this.#at < this.#text.length) this.#fail('the end');
  }

  #bareValue(): Json {
    switch (this.#text.charAt(this.#at)) {
      case '{':
        return this.#object();
      case '[':
        return this.#array();
      case '"':
        return { kind: 'string', value: this.#string() };
      case 't':
      case 'f':
      case 'n':
        return { kind: 'word', text: this.#match(WORD) ?? this.#fail('a value') };
      default:
        return { kind: 'number', text: this.#match(NUMBER) ?? this.#fail('a value') };
    }
  }

  #object(): JsonObject {
    const members: JsonMember[] = [];
    this.#at += 1;
    this.#match(SPACE);
    if (this.#skip('}')) return { kind: 'object', members };
    do members.push({ name: this.#name(), value: this.value() });
    while (this.#skip(','));
    if (!this.#skip('}')) this.#fail('"," or "}"');
    return { kind: 'object', members };
  }

  /** The name of a member, and the colon behind it. */
  #name(): string {
    this.#match(SPACE);
    const name = this.#string();
    this.#match(SPACE);
    if (!this.#skip(':')) this.#fail('":"');
    return name;
  }

  #array(): JsonArray {
    const items: Json[] = [];
    this.#at += 1;
    this.#match(SPACE);
    if (this.#skip(']')) return { kind: 'array', items };
    do items.push(this.value());
    while (this.#skip(','));
    if (!this.#skip(']')) this.#fail('"," or "]"');
    return { kind: 'array', items };
  }

  #string(): string {
    const text = this.#match(STRING) ?? this.#fail('a string');
    try {
      // No number is in it, so nothing can be rounded.
      return JSON.parse(text) as string;
    } catch {
      return this.#fail('a string');
    }
  }

  #skip(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #fail(expected: string): never {
    throw new JsonFault(`expected ${expected} at character ${this.#at}`);
  }
}
