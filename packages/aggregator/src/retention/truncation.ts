import type { EventStore } from '../store/event-store.ts';
import type { RetentionStore } from '../store/retention-store.ts';
import { inSteps } from './steps.ts';

/** Up to where a topic is truncated, exclusive: an offset, or the first event committed at that time or later. */
export type Before = { readonly offset: number } | { readonly timeMs: number };

export type Truncated =
  | {
      readonly kind: 'truncated';
      readonly events: number;
      readonly bytes: number;
      /** Of the topic's first event that is kept; 0 if none is. */
      readonly firstOffset: number;
    }
  /** The topic has never had an event. */
  | { readonly kind: 'unknown' }
  /** The offset is more than one above the last of the log, or the time lies in the future. */
  | { readonly kind: 'beyond_end'; readonly lastOffset: number }
  /** The signal fired before all of them were gone. */
  | { readonly kind: 'cut_off' };

/**
 * Makes the topic's events before that place expired, whatever policies, groups and readers say, and resolves when all of them
 * are. Rejects with a StoreError `blocked` where an epoch begins meanwhile, in which other events may lie before it.
 */
export async function truncate(
  store: EventStore,
  retention: RetentionStore,
  { topic, before, nowMs }: { topic: string; before: Before; nowMs: number },
  signal: AbortSignal,
): Promise<Truncated> {
  const epoch = store.epochs.at(-1)!.name;
  const after = Number.MAX_SAFE_INTEGER;
  const { lastOffset } = await store.snapshot({ topic, order: 'asc', after });
  const isBeyond = 'offset' in before ? before.offset > lastOffset + 1 : before.timeMs > nowMs;
  if (isBeyond) return { kind: 'beyond_end', lastOffset };
  if ((await store.topics({ topic })).length === 0) return { kind: 'unknown' };
  const upTo = 'offset' in before ? before.offset - 1 : await lastBefore(retention, topic, before.timeMs);
  const gone = { events: 0, bytes: 0 };
  const isDone = await inSteps(async () => {
    const some = await retention.expire({ topic, upTo, epoch });
    gone.events += some.events;
    gone.bytes += some.bytes;
    return some.isDone;
  }, signal);
  if (!isDone) return { kind: 'cut_off' };
  const [summary] = await store.topics({ topic });
  return { kind: 'truncated', ...gone, firstOffset: summary?.firstOffset ?? 0 };
}

/** The offset of the topic's last kept event committed before the time; 0 if there is none. */
async function lastBefore(
  retention: RetentionStore,
  topic: string,
  committedBeforeMs: number,
): Promise<number> {
  const query = { topic, committedBeforeMs, eventsMax: null, bytesMax: null, upTo: Number.MAX_SAFE_INTEGER };
  return (await retention.due(query)).upTo;
}
