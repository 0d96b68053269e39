/** A promise of the service does not hold: what was expected, and what was found instead. */
export class BrokenPromise extends Error {
  constructor(expected: string, found: string) {
    super(`expected: ${expected}\n   found: ${found}`);
    this.name = 'BrokenPromise';
  }
}
