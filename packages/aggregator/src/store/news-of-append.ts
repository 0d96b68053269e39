import { type EventBatch, SPANS_PER_EVENT, TEXT, TOPIC, partText } from '../event/event-batch.ts';
import { ACCEPTED, type AppendResult } from './event-store.ts';
import type { CommittedEvents, News, VisitEvent } from './news.ts';

/** The news of an append, with the events that it kept; null if it accepted none. */
export function newsOf(batches: readonly EventBatch[], results: readonly AppendResult[]): News | null {
  const accepted = results.reduce((sum, result) => sum + result.accepted, 0);
  if (accepted === 0) return null;
  const last = results.findLast((result) => result.accepted > 0)!;
  const lastOffset = last.offsets[last.verdicts.lastIndexOf(ACCEPTED)]!;
  // The offsets of one append are consecutive.
  return { after: lastOffset - accepted, lastOffset, events: new AppendedEvents(batches, results) };
}

class AppendedEvents implements CommittedEvents {
  readonly #batches: readonly EventBatch[];
  readonly #results: readonly AppendResult[];
  #topics: ReadonlySet<string> | null = null;

  constructor(batches: readonly EventBatch[], results: readonly AppendResult[]) {
    this.#batches = batches;
    this.#results = results;
  }

  get topics(): ReadonlySet<string> {
    if (this.#topics === null) {
      const topics = new Set<string>();
      this.#eachKept((batch, i) => topics.add(partText(batch, i, TOPIC)));
      this.#topics = topics;
    }
    return this.#topics;
  }

  each(above: number, isWanted: (topic: string) => boolean, visit: VisitEvent): void {
    this.#eachKept((batch, i, { offsets, receivedMs }) => {
      const offset = offsets[i]!;
      if (offset <= above) return;
      const topic = partText(batch, i, TOPIC);
      if (!isWanted(topic)) return;
      const at = i * SPANS_PER_EVENT + TEXT;
      visit(topic, batch.bytes.subarray(batch.spans[at], batch.spans[at + 1]), offset, receivedMs);
    });
  }

  #eachKept(visit: (batch: EventBatch, index: number, result: AppendResult) => void): void {
    for (const [b, batch] of this.#batches.entries()) {
      const result = this.#results[b]!;
      if (result.accepted === 0) continue;
      for (let i = 0; i < batch.count; i++) {
        if (result.verdicts[i] === ACCEPTED && result.bare?.[i] !== 1) visit(batch, i, result);
      }
    }
  }
}
