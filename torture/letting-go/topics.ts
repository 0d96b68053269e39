/** What is let go of on which topics of a run. Of all others everything must be kept. */
const FATES = {
  /** Texts are never stored. */
  billing: 'bare',
  /** The newest of both together are kept, by a policy. */
  inventory: 'bounded',
  shipping: 'bounded',
  /** Truncated, and single events are erased. */
  search: 'truncated',
  payments: 'truncated',
  /** Single events are erased. */
  auth: 'erased',
} as const;

export type Fate = (typeof FATES)[keyof typeof FATES];

/** What a topic's events must expect; null where everything is kept. */
export function fateOf(topic: string): Fate | null {
  return Object.hasOwn(FATES, topic) ? FATES[topic as keyof typeof FATES] : null;
}

export function topicsOf(fate: Fate): string[] {
  return Object.keys(FATES).filter((topic) => fateOf(topic) === fate);
}

/** A topic of which everything is kept. */
export const KEPT_TOPIC = 'gateway';

/** The policies of a run. */
export const BARE = { name: 'torture-bare', topics: topicsOf('bare'), keep: 'ids' };
export const BOUNDED = { name: 'torture-bounded', topics: topicsOf('bounded'), past_groups: true };

/** How many events the bounded topics keep: at first, and whenever the bound is changed. */
export const BOUND_FIRST = 500;
export const BOUND_MAX = 2_000;

/**
 * Whether an event may be forgotten and published again. Such an event is never sent twice in vain, so that nobody who still
 * repeats it stores it anew.
 */
export function isPurgeable(k: number): boolean {
  return k % 11 === 3;
}
