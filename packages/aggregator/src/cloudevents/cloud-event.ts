/** A CloudEvent that was read: what names it, and its text. */
export interface CloudEvent {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** Null if it has none. */
  readonly time: string | null;
  /** Its JSON, as it was sent but for the whitespace between tokens. */
  readonly json: Uint8Array;
}

/** The most objects and arrays around each other in the data: what the payload of an event may have, less our own two. */
export const DATA_DEPTH_MAX = 98;
