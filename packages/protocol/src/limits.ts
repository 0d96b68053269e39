/**
 * Every limit of the wire, with its unit and its reason. The limits of one machine (queue, bodies) are
 * settings of the aggregator; these are the same for every server and client.
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
  /** Bytes of one event's JSON without the whitespace between tokens: what one reader must hold at least. */
  eventBytesMax: 1_048_576,
  /** Objects and arrays inside one another in a payload, itself included. Common JSON readers stop at 128. */
  payloadDepthMax: 100,
  /** Events of one publish. */
  batchEventsMax: 100_000,
  /** Entries of `errors` in one problem document; the count of all stands in `detail`. */
  problemErrorsMax: 100,
  /** Events of one page of `GET /events?limit=`. */
  pageEventsMax: 10_000,
  /** Topics, or patterns of topics, of one group. */
  groupTopicsMax: 64,
  /** Characters of a group's name: letters, digits and `._-`, so that it stands in an address as it is. */
  groupNameCharsMax: 128,
  /** Groups of one service. Each costs some kilobytes, and a look at each commit while somebody waits for it. */
  groupsMax: 1000,
  /** Milliseconds that an event is leased for. Below, the answer may be on its way for longer; above, use `extend`. */
  leaseMsMin: 100,
  leaseMsMax: 43_200_000,
  /** The same where events are sent to a webhook: longer than its target has for an answer. */
  pushLeaseMsMin: 20_000,
  /** Secrets that sign what is sent to a webhook. */
  pushSecretsMax: 3,
  /** Deliveries of one event before it is dead. */
  deliveriesMax: 1000,
  /** Events of one pull. */
  pullEventsMax: 1000,
  /** Milliseconds that a pull may wait: less than the minute after which proxies commonly let go. */
  pullWaitMsMax: 55_000,
  /** Leases of one acknowledgement. */
  leaseIdsMax: 10_000,
  /** Milliseconds after which an event that was given back comes again, at most. */
  delayMsMax: 43_200_000,
  /** Events of one page of dead ones, and offsets of one replay. */
  deadEventsMax: 1000,
} as const;
