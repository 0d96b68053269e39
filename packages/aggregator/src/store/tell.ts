import type { StoreMessage } from './event-store.ts';

/** Sends a message to the log; `info` unless another level is given. */
export type Tell = (fields: Record<string, unknown>, message: string, level?: StoreMessage['level']) => void;
