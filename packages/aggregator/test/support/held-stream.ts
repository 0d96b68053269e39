import { Writable } from 'node:stream';

/** The writing end of a stream whose reader takes everything or nothing, as the test says. */
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

  /** Takes one more piece. */
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

/** The complete blocks that a reader got: their ids, and the ids of those that are events. */
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
