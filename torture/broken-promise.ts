/** What the service promised does not hold: what was expected, and what was found in its place. */
export class BrokenPromise extends Error {
  constructor(expected: string, found: string) {
    super(`expected: ${expected}\n   found: ${found}`);
    this.name = 'BrokenPromise';
  }
}
