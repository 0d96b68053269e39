import type { Epoch, StoreError, StoreMessage } from '../../event-store.ts';

/**
 * The messages between a store and its threads. Only types, so that both ends import them and neither imports the
 * other.
 */

/** The thread's role and its file. */
export interface ThreadData {
  readonly role: 'writer' | 'reader';
  readonly path: string;
  /** Replaces the clock in tests; in shared memory. */
  readonly clock?: Float64Array<SharedArrayBuffer> | undefined;
}

/** For the thread that folds (checkpoints) the log: the file and its descriptor. */
export interface FoldingData {
  readonly role: 'folder';
  readonly path: string;
  readonly fd: number;
  /** The most pages that may be left for the writer to fold. */
  readonly restPages: number;
}

/** A call to that thread. Each `fold` gets one answer. */
export interface FoldingCall {
  readonly name: 'fold' | 'leave';
}

/** The answer; the error is null if the log was folded as far as possible. */
export interface Folded {
  readonly error: {
    readonly code: StoreError['code'];
    readonly message: string;
    readonly isOfFileOrDisk: boolean;
  } | null;
}

export interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

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
