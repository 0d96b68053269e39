import type { SeededRandom } from '../lab/random.ts';
import { brokenBytes } from './broken-bytes.ts';
import type { PublishBody } from './events.ts';
import type { Operation } from './operations.ts';
import { requestOf } from './request.ts';

/** What is sent on one connection, and what can be said of it beforehand. */
export interface Step {
  readonly index: number;
  readonly bytes: Buffer;
  /** The methods of its requests, in order; null where the bytes were broken, so that nobody knows. */
  readonly methods: readonly string[] | null;
  /** The bytes are whole requests in every reader's eyes, and the last one asks for the end of the connection. */
  readonly isSure: boolean;
  /** The publishes among its requests, each with its place among them. */
  readonly publishes: readonly (PublishBody & { readonly at: number })[];
}

/** The step of this number. It follows from the seed, the number and the operations alone. */
export function stepOf(
  random: SeededRandom,
  index: number,
  operations: readonly Operation[],
  guarded: boolean,
): Step {
  const count = random.chance(0.15) ? random.whole(2, 6) : 1;
  // Of steps without a key, none is sound where keys are in force.
  const access = guarded ? (random.chance(0.6) ? 'key' : 'none') : 'open';
  const requests = Array.from({ length: count }, (_, i) =>
    requestOf(random, index * 10 + i, operations, i === count - 1, access),
  );
  const bytes = Buffer.concat(requests.flatMap(({ head, body }) => [Buffer.from(head, 'latin1'), body]));
  // Whether an answer has a body hangs on HEAD, which nobody could find again among broken bytes.
  if (random.chance(0.3) && requests.every(({ method }) => method !== 'HEAD')) {
    return { index, bytes: brokenBytes(random, bytes), methods: null, isSure: false, publishes: [] };
  }
  // A length that is not its own makes of what stands behind a request a part of it, or rubbish.
  const firstSpoilt = requests.findIndex(({ isSpoilt }) => isSpoilt);
  const publishes = requests.flatMap(({ publish }, at) => {
    if (publish === null) return [];
    return firstSpoilt >= 0 && firstSpoilt < at ? [{ ...publish, at, valid: null }] : [{ ...publish, at }];
  });
  const isSure = requests.every(({ isSpoilt }) => !isSpoilt);
  return { index, bytes, methods: requests.map(({ method }) => method), isSure, publishes };
}
