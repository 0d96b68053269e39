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
  /** Topics, or patterns of topics, of one subscription. */
  subscriptionTopicsMax: 64,
} as const;
