import type { SeededRandom } from '../lab/random.ts';
import type { Runs } from './runs-of-keys.ts';

/** How large the publishes of a round are. */
export type Batches = 'single' | 'few' | 'small' | 'mixed' | 'bulk';

/** What the service is doing when it is killed. */
type Moment = 'serving' | 'idle' | 'shutdown';

/**
 * One round: the service starts (perhaps it is killed while it does, and starts again), is checked, gets publishes, and is
 * killed. Times that depend on the machine are fractions of what the same step took before.
 */
export interface Round {
  /** When to kill it before it listens, as fractions of a usual start. */
  readonly startKills: readonly number[];
  readonly publishers: number;
  readonly batches: Batches;
  readonly loadMs: number;
  readonly moment: Moment;
  /** For `idle`: how long nobody publishes before the kill. */
  readonly idleMs: number;
  /** For `shutdown`: how long after SIGTERM, as a fraction of a usual stop. */
  readonly stopShare: number;
}

/** The same seed and number always give the same round. */
export function planRound(random: SeededRandom, round: number): Round {
  const draw = random.fork(ROUNDS, round);
  const startKills = draw.chance(0.5) ? draw.whole(1, 2) : 0;
  return {
    // The service opens its file late in a start.
    startKills: Array.from({ length: startKills }, () => draw.between(0.3, 1.05)),
    publishers: draw.of([1, 2, 4, 8, 12]),
    batches: draw.of(['single', 'small', 'mixed', 'mixed', 'bulk', 'bulk']),
    loadMs: draw.chance(0.3) ? draw.whole(10, 200) : draw.whole(200, 1000),
    moment: draw.of(['serving', 'serving', 'idle', 'shutdown']),
    // Background work begins after 100 ms and finishes sealing and merging.
    idleMs: draw.whole(90, 500),
    stopShare: draw.between(0, 1.1),
  };
}

/** One file from its first start to the check of everything. */
export interface Life {
  readonly runs: Runs;
  /** After this many events the file is checked from end to end, and a new one begins. */
  readonly eventsMax: number;
}

export function planLife(random: SeededRandom, life: number): Life {
  const draw = random.fork(LIVES, life);
  switch (life % 3) {
    case 0:
      return { runs: 'tiny', eventsMax: draw.whole(10_000, 100_000) };
    case 1:
      return { runs: 'small', eventsMax: draw.whole(50_000, 200_000) };
    default:
      return { runs: 'as shipped', eventsMax: draw.whole(100_000, 1_200_000) };
  }
}

/** The choices of a publisher of a round. */
export function publisherChoices(random: SeededRandom, round: number, publisher: number): SeededRandom {
  return random.fork(PUBLISHERS, round, publisher);
}

/** The choices of what to read again in a round, besides what is new. */
export function sampleChoices(random: SeededRandom, round: number): SeededRandom {
  return random.fork(SAMPLES, round);
}

/** The choices of what to let go of in a round. */
export function deleterChoices(random: SeededRandom, round: number): SeededRandom {
  return random.fork(DELETERS, round);
}

const ROUNDS = 0;
const LIVES = 1;
const PUBLISHERS = 2;
const SAMPLES = 3;
const DELETERS = 4;
