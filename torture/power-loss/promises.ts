import type { EventResult } from '@chronicleweaver/protocol';
import { numberOf } from '../events.ts';

/** What an answer says that holds from then on, also after a power loss. */
export type Told =
  | { readonly kind: 'published'; readonly results: readonly EventResult[] }
  | { readonly kind: 'erased'; readonly offset: number }
  /** Null: nothing of the topic was kept. */
  | { readonly kind: 'truncated'; readonly topic: string; readonly firstOffset: number | null }
  | { readonly kind: 'policy'; readonly name: string; readonly bound: number | null };

/** What the bytes of an answer promise, or null if that is nothing. */
export function toldBy(answer: string): Told | null {
  if (!/^HTTP\/1\.1 20[01] /.test(answer)) return null;
  const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
  if (!/^\{"(status":"success"|topic":|name":)/.test(body)) return null;
  const json = JSON.parse(body) as Record<string, unknown>;
  if ('status' in json) return { kind: 'published', results: (json['results'] ?? []) as EventResult[] };
  if ('was_kept' in json) return { kind: 'erased', offset: json['offset'] as number };
  if ('max_events' in json) {
    return { kind: 'policy', name: json['name'] as string, bound: json['max_events'] as number | null };
  }
  const { topic, first_offset: firstOffset } = json as { topic: string; first_offset: number | null };
  return { kind: 'truncated', topic, firstOffset };
}

/** What was promised so far. In: answers, in their order, once the service has begun to send them. */
export class Promises {
  /** Offsets of acknowledged events, by the events' numbers. */
  readonly offsets = new Map<number, number>();
  /** Offsets of erased events. */
  readonly erased = new Set<number>();
  /** By topic: nothing below this offset is kept. */
  readonly goneBelow = new Map<string, number>();
  /** By the names of the policies that were put: how many events they keep. */
  readonly bounds = new Map<string, number | null>();

  add(told: Told): void {
    switch (told.kind) {
      case 'published':
        for (const { event_id: eventId, offset } of told.results)
          this.offsets.set(numberOf(eventId)!, offset);
        break;
      case 'erased':
        this.erased.add(told.offset);
        break;
      case 'truncated':
        this.goneBelow.set(told.topic, Math.max(this.goneBelow.get(told.topic) ?? 0, told.firstOffset ?? 0));
        break;
      case 'policy':
        this.bounds.set(told.name, told.bound);
    }
  }

  get count(): number {
    return this.offsets.size + this.erased.size + this.goneBelow.size + this.bounds.size;
  }
}
