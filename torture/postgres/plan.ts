import type { SeededRandom } from '../../lab/random.ts';
import type { Batches } from '../plan.ts';

/** What goes wrong in a round. */
export const FAULTS = [
  'instance killed',
  'instance stopped',
  'database stopped at once',
  'database killed',
  'connections cut',
  'network stalled',
  'same keys everywhere',
  'many start',
  'failover',
] as const;

export type Fault = (typeof FAULTS)[number];

/** What the database of a run can suffer: one of somebody else's is left alone. */
export const FAULTS_OF = {
  own: FAULTS.slice(0, -1),
  given: FAULTS.filter((fault) => !fault.startsWith('database') && fault !== 'failover'),
  pair: ['failover', 'failover', 'failover', 'instance killed', 'connections cut'],
} as const satisfies Record<string, readonly Fault[]>;

/** One round: publishers and readers work, something goes wrong, they go on for a while, and everything is checked. */
export interface Round {
  readonly fault: Fault;
  readonly publishers: number;
  readonly batches: Batches;
  readonly beforeMs: number;
  readonly afterMs: number;
  /** How many instances it hits. */
  readonly hits: number;
  /** For cuts: how many, and the bytes that pass before each at most. */
  readonly cuts: number;
  readonly bytesMax: number;
  readonly stallMs: number;
}

/** The same seed and number always give the same round. */
export function planRound(random: SeededRandom, round: number, faults: readonly Fault[]): Round {
  const draw = random.fork(0, round);
  // Each has its turn; the order of a turn is drawn.
  const turn = shuffled(random.fork(1, Math.floor(round / faults.length)), faults);
  return {
    fault: turn[round % faults.length]!,
    publishers: draw.of([4, 8, 12, 16]),
    batches: draw.of(['single', 'few', 'small', 'small', 'mixed']),
    beforeMs: draw.whole(200, 900),
    afterMs: draw.whole(300, 900),
    hits: draw.of([1, 1, 2, 3]),
    cuts: draw.whole(3, 12),
    bytesMax: draw.of([500, 5_000, 50_000]),
    stallMs: draw.chance(0.2) ? draw.whole(10_500, 12_500) : draw.whole(500, 4_000),
  };
}

function shuffled<T>(random: SeededRandom, all: readonly T[]): T[] {
  return all
    .map((one) => ({ one, key: random.between(0, 1) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ one }) => one);
}
