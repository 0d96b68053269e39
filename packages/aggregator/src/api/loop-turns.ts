/**
 * Shares the thread that speaks HTTP between large bodies and all others. In: how many bytes somebody is about to handle.
 * Out: its turn. In one turn of the event loop so many bytes are handled, then whoever else waits for the loop is heard;
 * a hundred bodies that come together would keep `/health` waiting for a second.
 *
 * Turns are given in the order asked for. Nobody waits for ever: each turn gives at least one.
 */
export class LoopTurns {
  readonly #bytesPerTurn: number;
  #bytesLeft: number;
  #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  #isNextAwaited = false;

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
    this.#bytesLeft = this.#bytesPerTurn;
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
