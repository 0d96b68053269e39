/**
 * Every limit of the wire, with its unit and its reason. These are the same for every server and client; limits of a
 * single machine (queue, bodies) are settings of the aggregator.
 */
export const LIMITS = {
  /** Characters (Unicode code points). Long enough for any UUID, URL-like or composite id. */
  eventIdCharsMax: 512,
  /** Characters (Unicode code points). */
  topicCharsMax: 256,
  /** Characters (Unicode code points). */
  sourceCharsMax: 256,
  /** Characters. The longest ISO 8601 form in use has 35; the rest is room for fractions. */
  timestampCharsMax: 64,
  /** Bytes of one event's JSON without the whitespace between tokens: every reader must be able to hold this much. */
  eventBytesMax: 1_048_576,
  /** Nesting of objects and arrays in a payload, including the payload itself. Common JSON readers stop at 128. */
  payloadDepthMax: 100,
  /** Events in one publish. */
  batchEventsMax: 100_000,
  /** Entries of `errors` in one problem document; `detail` has the total count. */
  problemErrorsMax: 100,
  /** Events on one page of `GET /events?limit=`. */
  pageEventsMax: 10_000,
  /** Topics, or topic patterns, of one group. */
  groupTopicsMax: 64,
  /** Characters of a group's name: letters, digits and `._-`, so that a URL needs no escapes for it. */
  groupNameCharsMax: 128,
  /**
   * Groups of one service. Each costs a few kilobytes, and a look at every commit while anybody waits for its events.
   */
  groupsMax: 1000,
  /**
   * Milliseconds that an event is leased for. With less, the answer may take longer than the lease; for more, use
   * `extend`.
   */
  leaseMsMin: 100,
  leaseMsMax: 43_200_000,
  /** The minimum for a webhook's group: longer than its target has to answer. */
  pushLeaseMsMin: 20_000,
  /** Secrets that sign a webhook's messages. */
  pushSecretsMax: 3,
  /** Deliveries of one event before it is dead. */
  deliveriesMax: 1000,
  /** Events of one pull. */
  pullEventsMax: 1000,
  /** Milliseconds that a pull may wait: less than the minute after which proxies commonly close a connection. */
  pullWaitMsMax: 55_000,
  /** Leases in one acknowledgement. */
  leaseIdsMax: 10_000,
  /** The longest delay until an event that was given back is delivered again, milliseconds. */
  delayMsMax: 43_200_000,
  /** Events on one page of dead events, and offsets in one replay. */
  deadEventsMax: 1000,
  /** Days of a duration in a policy: a hundred years, so that no time computed from it leaves the calendar. */
  durationDaysMax: 36_500,
  /** Policies of one service. Each costs a few looks at the store every second. */
  policiesMax: 1000,
  /** Sources of one service; `GET /sources` tells them in one answer. */
  sourcesMax: 1000,
  /** Secrets of one source: the one in use, and those that come before and after it. */
  sourceSecretsMax: 3,
} as const;
