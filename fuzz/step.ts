import type { SeededRandom } from '../lab/random.ts';
import { brokenBytes } from './broken-bytes.ts';
import type { PublishBody } from './events.ts';
import type { Operation } from './operations.ts';
import { requestOf } from './request.ts';

/** What is sent on one connection, and what we know of it before it is sent. */
export interface Step {
  readonly index: number;
  readonly bytes: Buffer;
  /** The methods of its requests, in order; null if the bytes were broken, so that nobody can tell. */
  readonly methods: readonly string[] | null;
  /** Any reader sees whole requests here, the last of which asks to close the connection. */
  readonly isSure: boolean;
  /** It was made of one publish alone, whatever its bytes have become. */
  readonly isOnePublish: boolean;
  /** The publishes among its requests, each with its position. */
  readonly publishes: readonly (PublishBody & { readonly at: number })[];
  /** Some of its requests carry CloudEvents, or are deliveries, of which nobody notes what must be stored. */
  readonly makesEvents: boolean;
  /** The most log records and deliveries that can be read from its requests. Nobody notes what their answers say. */
  readonly recordsMax: number;
}

/** The step with this number. The same seed, number and operations always give the same step. */
export function stepOf(
  random: SeededRandom,
  index: number,
  operations: readonly Operation[],
  guarded: boolean,
): Step {
  const count = random.chance(0.15) ? random.whole(2, 6) : 1;
  // If the service asks for keys, no request of a step without one is sound.
  const access = guarded ? (random.chance(0.6) ? 'key' : 'none') : 'open';
  const requests = Array.from({ length: count }, (_, i) =>
    requestOf(random, index * 10 + i, operations, i === count - 1, access),
  );
  const bytes = Buffer.concat(requests.flatMap(({ head, body }) => [Buffer.from(head, 'latin1'), body]));
  const recordsMax = requests.reduce((sum, one) => sum + one.recordsMax, 0);
  const makesEvents = requests.some((one) => one.makesEvents);
  const isOnePublish = count === 1 && requests[0]!.publish !== null;
  // Only an answer to HEAD lacks its body, and in broken bytes nobody could tell where the HEAD is.
  if (random.chance(0.3) && requests.every(({ method }) => method !== 'HEAD')) {
    return {
      index,
      bytes: brokenBytes(random, bytes),
      methods: null,
      isSure: false,
      isOnePublish,
      publishes: [],
      makesEvents,
      // A change in the middle of one may make many.
      recordsMax: recordsMax > 0 ? bytes.length : 0,
    };
  }
  // After a wrong length, the next request is read as part of this one, or as garbage.
  const firstSpoilt = requests.findIndex(({ isSpoilt }) => isSpoilt);
  const publishes = requests.flatMap(({ publish }, at) => {
    if (publish === null) return [];
    return firstSpoilt >= 0 && firstSpoilt < at ? [{ ...publish, at, valid: null }] : [{ ...publish, at }];
  });
  const isSure = requests.every(({ isSpoilt }) => !isSpoilt);
  const methods = requests.map(({ method }) => method);
  return { index, bytes, methods, isSure, isOnePublish, publishes, makesEvents, recordsMax };
}
