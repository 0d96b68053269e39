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

/** What a stream tells of events that have expired. */
interface Gap {
  readonly expired: number;
  readonly after: number;
  readonly next: number;
}

/** The complete blocks that a reader got: their ids, the ids of those that are events, and these and the gaps in order. */
export function blocksIn(text: string): {
  lastId: number | null;
  offsets: number[];
  told: (number | Gap)[];
} {
  const blocks = text.split('\n\n').slice(0, -1);
  const idOf = (block: string): number | null => {
    const id = /^id: (\d+)$/m.exec(block)?.[1];
    return id === undefined ? null : Number(id);
  };
  const ids = blocks.map(idOf).filter((id) => id !== null);
  const told = blocks.flatMap((block): (number | Gap)[] => {
    const data = /^data: (.*)/m.exec(block)?.[1];
    if (data === undefined) return [];
    return [/^event: gap$/m.test(block) ? (JSON.parse(data) as Gap) : (idOf(block) ?? NaN)];
  });
  return { lastId: ids.at(-1) ?? null, offsets: told.filter((one) => typeof one === 'number'), told };
}
