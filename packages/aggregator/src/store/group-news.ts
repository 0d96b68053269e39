/** A change to a group, by any process, that matters to those waiting for its events. */
export type GroupNews =
  | { readonly kind: 'made'; readonly id: number; readonly name: string; readonly isPushed: boolean }
  /** Its push target changed, or sending was paused or resumed. */
  | { readonly kind: 'push_changed'; readonly id: number }
  | { readonly kind: 'removed'; readonly id: number }
  | { readonly kind: 'sought'; readonly id: number; readonly position: number }
  /**
   * There may be room for fresh events, and an event may fall due in this many milliseconds (null: none sooner than
   * before).
   */
  | {
      readonly kind: 'moved';
      readonly id: number;
      readonly hasRoom: boolean;
      readonly dueInMs: number | null;
    };

export type GroupNewsListener = (news: GroupNews) => void;
