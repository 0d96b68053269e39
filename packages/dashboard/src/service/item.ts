/** An event as the text that was sent, or a gap where events have expired. */
export interface Item {
  readonly offset: string;
  readonly text: string;
  /** How many have expired in a gap; undefined for an event. */
  readonly expired: string | undefined;
}
