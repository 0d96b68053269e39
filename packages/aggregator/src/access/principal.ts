/**
 * What a key may do: `publish` events, `read` and follow events and topics, see the service as a whole (`admin`: metrics and
 * the counts of all topics), or `inspect` it: counts, lags and names, but no event. No scope includes another.
 */
export const SCOPES = ['publish', 'read', 'admin', 'inspect'] as const;

export type Scope = (typeof SCOPES)[number];

/** Who makes a request. Every request has one. */
export interface Principal {
  /** The key's name. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Patterns of the topics that it may read and publish to; undefined means every topic. */
  readonly topicPatterns: readonly string[] | undefined;
  /** Whether the topic matches one of the patterns. */
  readonly mayUse: (topic: string) => boolean;
  /**
   * Charges the key's rate for what a request turned out to cost beyond its first event. Returns the milliseconds until the
   * rate allows more.
   */
  readonly charge: (events: number) => number;
}

const everyTopic = (): boolean => true;
const free = (): number => 0;

/** The principal when no keys are in force. */
export const ANYONE: Principal = {
  name: 'anyone',
  scopes: new Set(SCOPES),
  topicPatterns: undefined,
  mayUse: everyTopic,
  charge: free,
};

/** The principal of requests that need no key, while keys are in force. */
export const STRANGER: Principal = {
  name: 'stranger',
  scopes: new Set(),
  topicPatterns: [],
  mayUse: () => false,
  charge: free,
};
