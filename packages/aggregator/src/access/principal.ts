/**
 * What a key may do: `publish` events, `read` events and topics and follow them, see the service as a whole (`admin`:
 * metrics and the counts of all topics). None includes another.
 */
export const SCOPES = ['publish', 'read', 'admin'] as const;

export type Scope = (typeof SCOPES)[number];

/** Who asks. Every request has one. */
export interface Principal {
  /** The key's name. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Patterns of the topics that it may read and publish into; undefined is every topic. */
  readonly topicPatterns: readonly string[] | undefined;
  /** Whether the topic matches one of the patterns. */
  readonly mayUse: (topic: string) => boolean;
  /** Counts what a request turned out to cost beyond the one event that it was taken for, against the key's rate. */
  readonly charge: (events: number) => void;
}

const everyTopic = (): boolean => true;
const free = (): void => {};

/** Who asks where no keys are in force. */
export const ANYONE: Principal = {
  name: 'anyone',
  scopes: new Set(SCOPES),
  topicPatterns: undefined,
  mayUse: everyTopic,
  charge: free,
};

/** Who asks for what needs no key, while keys are in force. */
export const STRANGER: Principal = {
  name: 'stranger',
  scopes: new Set(),
  topicPatterns: [],
  mayUse: () => false,
  charge: free,
};
