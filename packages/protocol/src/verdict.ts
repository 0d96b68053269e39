/**
 * What became of one event of a publish.
 * - `accepted`: stored, under a new offset.
 * - `duplicate`: its `(topic, event_id)` was stored before with the same content; dropped.
 * - `conflict`: its `(topic, event_id)` was stored before with another source, timestamp or payload; dropped.
 */
export const VERDICTS = ['accepted', 'duplicate', 'conflict'] as const;

export type Verdict = (typeof VERDICTS)[number];

/** One entry of `results`. `offset` is the stored event's: for a dropped event, that of the first one. */
export interface EventResult {
  event_id: string;
  topic: string;
  verdict: Verdict;
  offset: number;
}

/** What became of the events of a publish. `duplicates` counts conflicts too, so `events_count = accepted + duplicates`. */
export interface PublishCounts {
  events_count: number;
  accepted: number;
  duplicates: number;
  conflicts: number;
}

/** The answer of `POST /publish`. */
export interface PublishAnswer extends PublishCounts {
  status: 'success';
  message: string;
  results?: EventResult[];
}
