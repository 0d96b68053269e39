import { Writable } from 'node:stream';

/** The writing end of a stream whose reader takes what comes, or nothing, as the test says. */
export class HeldStream extends Writable {
  /** All that the reader has taken. */
  taken = '';
  /** Each piece that was handed over, as it was written. */
  readonly pieces: Uint8Array[] = [];
  #isHeld = false;
  #waiting: (() => void) | null = null;

  constructor(highWaterMark: number) {
    super({ highWaterMark });
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#waiting?.();
  }

  /** Takes one piece more. */
  takeOne(): void {
    this.#waiting?.();
  }

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.pieces.push(piece);
    this.taken += piece.toString();
    if (!this.#isHeld) {
      done();
      return;
    }
    this.#waiting = () => {
      this.#waiting = null;
      done();
    };
  }
}

/** The whole blocks of what a reader got: their ids, and those of events among them. */
export function blocksIn(text: string): { lastId: number | null; offsets: number[] } {
  const blocks = text.split('\n\n').slice(0, -1);
  const idOf = (block: string): number | null => {
    const id = /^id: (\d+)$/m.exec(block)?.[1];
    return id === undefined ? null : Number(id);
  };
  const ids = blocks.map(idOf).filter((id) => id !== null);
  const events = blocks.filter((block) => /^data: /m.test(block));
  return { lastId: ids.at(-1) ?? null, offsets: events.map((block) => idOf(block) ?? NaN) };
}
