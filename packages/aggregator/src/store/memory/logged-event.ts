import type { Instant } from '@chronicleweaver/protocol';

/** An event of the reference, in the state that retention-store.ts describes. */
export interface LoggedEvent {
  readonly offset: number;
  readonly receivedMs: number;
  readonly topic: string;
  readonly eventId: string;
  readonly source: string;
  readonly timestamp: string;
  readonly time: Instant;
  readonly payload: string;
  readonly text: string;
  state: 'kept' | 'expired' | 'bare';
  isForgotten: boolean;
}

/** The size of its text, bytes. */
export function textBytes({ text }: LoggedEvent): number {
  return Buffer.byteLength(text);
}
