import { damaged } from '../errors.ts';

/** Writes LEB128 numbers, 0 to 2^53 - 1. */
export class NumberWriter {
  protected written: Uint8Array;
  protected at = 0;

  constructor(bytesMax: number) {
    this.written = new Uint8Array(bytesMax);
  }

  put(number: number): void {
    let rest = number;
    while (rest > 0x7f) {
      this.written[this.at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.written[this.at++] = rest;
  }

  /** Writes numbers below 2^31. */
  putAll(numbers: Int32Array): void {
    const bytes = this.written;
    let at = this.at;
    for (let i = 0; i < numbers.length; i++) {
      let rest = numbers[i]!;
      for (; rest > 0x7f; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
      bytes[at++] = rest;
    }
    this.at = at;
  }

  bytes(): Uint8Array {
    return this.written.slice(0, this.at);
  }
}

/** Reads LEB128 numbers. Throws if the bytes end within one. */
export class NumberReader {
  protected readonly bytes: Uint8Array;
  protected at = 0;
  readonly #what: string;

  /** @param what the bytes are, for errors */
  constructor(bytes: Uint8Array, what = 'the directory of a block') {
    this.bytes = bytes;
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }

  /** Fills the array with numbers below 2^31. */
  fill(numbers: Int32Array): void {
    const bytes = this.bytes;
    let at = this.at;
    for (let i = 0; i < numbers.length; i++) {
      let byte = bytes[at++]!;
      let number = byte & 0x7f;
      for (let shift = 7; byte > 0x7f; shift += 7) {
        byte = bytes[at++]!;
        number |= (byte & 0x7f) << shift;
      }
      numbers[i] = number;
    }
    // A byte beyond the end is undefined, which ends a number like 0 does.
    if (at > bytes.length) throw this.endsTooEarly();
    this.at = at;
  }

  next(): number {
    let number = 0;
    let scale = 1;
    for (;;) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw this.endsTooEarly();
      number += (byte & 0x7f) * scale;
      if (byte < 0x80) return number;
      scale *= 128;
    }
  }

  protected endsTooEarly(): Error {
    return damaged(`the bytes of ${this.#what} end too early`);
  }
}
