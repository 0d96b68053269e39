/** What a client did, from when to when, by one clock for all clients, in milliseconds, and what it was told. */
interface Operation {
  /** Who did it and where, for messages. */
  readonly client: string;
  /** No later than the request was sent. */
  readonly from: number;
  /** No earlier than the answer was there; Infinity where none came. */
  readonly to: number;
}

export interface Publish extends Operation {
  readonly events: readonly { readonly key: string; readonly content: string }[];
  /** One for each event, in order; null where no answer came, so that all or nothing may be stored, now or later. */
  readonly results: readonly Result[] | null;
}

interface Result {
  readonly verdict: 'accepted' | 'duplicate' | 'conflict';
  readonly offset: number;
}

/** Events of all topics from an offset on: a page, or what a follower was shown at once. */
export interface Read extends Operation {
  readonly after: number;
  readonly events: readonly { readonly offset: number; readonly key: string; readonly content: string }[];
  /** It said that there was nothing more. */
  readonly isToEnd: boolean;
}

export interface Find extends Operation {
  readonly key: string;
  /** Null if it was not there. */
  readonly offset: number | null;
}
