import { NumberReader, NumberWriter } from '../../blocks/numbers.ts';
import { damaged } from '../../errors.ts';

/** Writes numbers and names, as many as there are. */
export class PackedWriter extends NumberWriter {
  constructor() {
    super(1024);
  }

  override put(number: number): void {
    this.#reserve(8);
    super.put(number);
  }

  putBytes(bytes: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    for (let i = start; i < end; i++) this.written[this.at++] = bytes[i]!;
  }

  /** 0 stands for null. */
  putName(name: string | null): void {
    const bytes = Buffer.from(name ?? '');
    this.put(name === null ? 0 : bytes.length + 1);
    this.putBytes(bytes, 0, bytes.length);
  }

  clear(): void {
    this.at = 0;
  }

  #reserve(bytes: number): void {
    if (this.at + bytes <= this.written.length) return;
    const larger = new Uint8Array(2 * (this.written.length + bytes));
    larger.set(this.written);
    this.written = larger;
  }
}

/** For what is packed in one go: to make one for each cost more than all else. */
const SCRATCH = new PackedWriter();

/** An empty writer, until somebody else asks for it. */
export function scratch(): PackedWriter {
  SCRATCH.clear();
  return SCRATCH;
}

/** A name among packed bytes; of length -1 if there is none. */
export interface Name {
  at: number;
  length: number;
  text: string | null;
}

/** Reads numbers and names. Throws if the bytes end too early. */
export class PackedReader extends NumberReader {
  constructor(bytes: Uint8Array) {
    super(bytes, 'packed repeats');
  }

  /** Passes over a name, and notes where it is. */
  pass(name: Name, length: number): void {
    if (this.at + length > this.bytes.length) throw this.endsTooEarly();
    name.at = this.at;
    name.length = length;
    name.text = null;
    this.at += Math.max(0, length);
  }

  textAt({ at, length }: Name): string {
    const { buffer, byteOffset } = this.bytes;
    return Buffer.from(buffer, byteOffset + at, length).toString();
  }

  name(): string | null {
    const name = { at: 0, length: -1, text: null };
    this.pass(name, this.next() - 1);
    return name.length < 0 ? null : this.textAt(name);
  }

  /** Throws if more bytes follow. */
  end(): void {
    if (!this.isAtEnd) throw damaged('packed repeats are followed by more');
  }
}
