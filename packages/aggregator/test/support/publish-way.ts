/**
 * Fastify's router takes this for `/publish`, and the short way does not: so the tests of publishing are run over both
 * ways (test/api/publish-through-fastify.test.ts).
 */
const ODD_SPELLING = '/%70ublish';

let isOdd = false;

/** From now on the tests of this process publish through Fastify. */
export function publishThroughFastify(): void {
  isOdd = true;
}

/** `target` is a path or a method and a path; that of a publish is spelt for the way that is under test. */
export function spelt(target: string): string {
  return isOdd ? oddlySpelt(target) : target;
}

export function oddlySpelt(target: string): string {
  return target.replace(/^(POST )?\/publish(?=$|\?)/, `$1${ODD_SPELLING}`);
}
