import { StoreError } from './event-store.ts';

/** Stored data cannot be read. */
export function damaged(what: string, cause?: unknown): StoreError {
  return new StoreError('damaged', what, { cause });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
