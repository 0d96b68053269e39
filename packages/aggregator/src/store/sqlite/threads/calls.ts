import type { Epoch, StoreError, StoreMessage } from '../../event-store.ts';

/**
 * The messages between a store and its threads. Only types, so that both ends import them and neither imports the
 * other.
 */

/** What the thread is to be, and for which file. */
export interface ThreadData {
  readonly role: 'writer' | 'reader';
  readonly path: string;
  /** Stands in for the clock in tests; in shared memory. */
  readonly clock?: Float64Array<SharedArrayBuffer> | undefined;
}

/** What the thread that folds the log gets: the file, and its descriptor. */
export interface FoldingData {
  readonly role: 'folder';
  readonly path: string;
  readonly fd: number;
  /** So many pages may be left for the writer to fold. */
  readonly restPages: number;
}

/** What that thread is asked to do. Each `fold` has one answer. */
export interface FoldingCall {
  readonly name: 'fold' | 'leave';
}

/** What became of it; null where the log was folded as far as it goes. */
export interface Folded {
  readonly error: { readonly code: StoreError['code']; readonly message: string } | null;
}

export interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

/** Sends a message for the log. */
export type Tell = (fields: Record<string, unknown>, message: string, level?: StoreMessage['level']) => void;

export type Answer =
  | StoreMessage
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly code: StoreError['code']; readonly message: string } };

/** What a thread reports once it has opened the file. */
export interface Opened {
  /** Like "3.53.4". */
  readonly sqliteVersion: string;
  readonly epochs: readonly Epoch[];
  /** The offset of the newest event, 0 in an empty log. */
  readonly lastOffset: number;
}

/** The id of the first call, `open`, and of its answer: that the file is open, or why it is not. */
export const OPENED = 0;
