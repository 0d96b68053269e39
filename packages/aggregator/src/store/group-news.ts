/** Something that was done to a group and matters to those who wait for its events, whoever did it. */
export type GroupNews =
  | { readonly kind: 'made'; readonly id: number; readonly name: string; readonly isPushed: boolean }
  /** Where its events are sent to, or whether they are, is different now. */
  | { readonly kind: 'push_changed'; readonly id: number }
  | { readonly kind: 'removed'; readonly id: number }
  | { readonly kind: 'sought'; readonly id: number; readonly position: number }
  /** There may be room for fresh events, and an event may be due in so many milliseconds (null: none is sooner). */
  | {
      readonly kind: 'moved';
      readonly id: number;
      readonly hasRoom: boolean;
      readonly dueInMs: number | null;
    };

export type GroupNewsListener = (news: GroupNews) => void;
