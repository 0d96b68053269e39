import type { EventBatch } from '../event/event-batch.ts';
import { ACCEPTED, type AppendResult } from '../store/event-store.ts';

/** What one commit brought: the accepted events of the batches are those above `after`, up to `lastOffset`. */
export interface Commit {
  readonly after: number;
  readonly lastOffset: number;
  readonly batches: readonly EventBatch[];
  /** One per batch. */
  readonly results: readonly AppendResult[];
  /** To be called by a listener who looks into the batches later: else their memory is given back to others soon. */
  keep(): void;
}

type Listener = (commit: Commit) => void;

/**
 * Tells whoever waits for events that there are new ones. In: every commit that stored some, from the consumer, after
 * it is durable. Out: the end of the log, and a word to each who listens or waits. Nothing is queued for anybody: who
 * was not there reads the store.
 *
 * Invariants: `lastOffset` grows only; what is told was committed before; each commit begins where the last one ended.
 * A reader of the store may see a commit a moment before it is told here, never after.
 */
export class Commits {
  #lastOffset: number;
  readonly #listeners = new Set<Listener>();
  readonly #kept = new WeakSet<EventBatch>();

  /** @param lastOffset the end of the log when the service starts */
  constructor(lastOffset: number) {
    this.#lastOffset = lastOffset;
  }

  /** The highest offset that is committed and told, 0 in an empty log. */
  get lastOffset(): number {
    return this.#lastOffset;
  }

  /** For the consumer, after each commit. One that only dropped duplicates is told to nobody. */
  committed(batches: readonly EventBatch[], results: readonly AppendResult[]): void {
    const lastOffset = lastAccepted(results);
    if (lastOffset === null) return;
    const after = this.#lastOffset;
    if (lastOffset <= after) throw new Error(`a commit up to ${lastOffset} came behind one up to ${after}`);
    this.#lastOffset = lastOffset;
    const keep = (): void => {
      for (const batch of batches) this.#kept.add(batch);
    };
    const commit = { after, lastOffset, batches, results, keep };
    for (const listener of this.#listeners) listener(commit);
  }

  /** Whether a listener looks into the batch later. */
  keeps(batch: EventBatch): boolean {
    return this.#kept.has(batch);
  }

  /** Calls the listener with every commit to come, until the returned function is called. It must not throw. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when there is an event above the offset, at once where there is; rejects where the signal is aborted. */
  advanced(afterOffset: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      if (this.#lastOffset > afterOffset) {
        resolve();
        return;
      }
      const stop = this.listen(({ lastOffset }) => {
        if (lastOffset <= afterOffset) return;
        stop();
        signal.removeEventListener('abort', aborted);
        resolve();
      });
      const aborted = (): void => {
        stop();
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', aborted, { once: true });
    });
  }
}

function lastAccepted(results: readonly AppendResult[]): number | null {
  for (const { accepted, verdicts, offsets } of results.toReversed()) {
    if (accepted > 0) return offsets[verdicts.lastIndexOf(ACCEPTED)]!;
  }
  return null;
}
