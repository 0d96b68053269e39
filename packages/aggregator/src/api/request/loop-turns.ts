/** Connections accepted so far, by all servers of the process. */
let accepted = 0;

/** To be called at every connection. */
export function noteConnection(): void {
  accepted += 1;
}

/** A turn that follows upon one in which a connection came has this share of the bytes. */
const ARRIVAL_SHARE = 1 / 64;

/**
 * Shares the thread that speaks HTTP between large bodies and all others. In: how many bytes somebody is about to handle.
 * Out: its turn. In one turn of the event loop so many bytes are handled, then whoever else waits for the loop is heard;
 * a hundred bodies that come together would keep `/health` waiting for a second.
 *
 * A turn of the loop accepts one connection, as Node.js does it. So where one came, there may be more behind it, and the
 * next turn is a short one: behind a crowd of 350, most with a large body, a new connection waited for 1.4 s, and 0.4 s so.
 *
 * Turns are given in the order asked for. Nobody waits for ever: each turn gives at least one.
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

  /** Takes the bytes from this turn and returns true, or, where nothing is left of it, false. */
  take(bytes: number): boolean {
    if (this.#bytesLeft <= 0 || this.#waiting.length > 0) return false;
    this.#spend(bytes);
    return true;
  }

  /** Begins in a later turn. */
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
