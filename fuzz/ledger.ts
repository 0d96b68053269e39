import { deepStrictEqual } from 'node:assert/strict';
import { eventLines } from '../lab/event-lines.ts';
import type { Exchange } from './exchange.ts';
import { eventsIn, publishAnswerIn } from './judge.ts';
import type { Step } from './step.ts';
import type { Target } from './target.ts';

/** What the answers say is stored, to compare with the books and with what is read back. */
export class Ledger {
  received = 0;
  accepted = 0;
  /** How many more events may be stored: from publishes whose answer was lost or whose bytes were broken. */
  unknown = 0;
  /** All events that were accepted under each key; the stored one must be among them. */
  readonly #taken = new Map<string, unknown[]>();
  /** The texts of valid events, which must be stored exactly like this. */
  readonly #exact = new Map<string, string>();

  note({ methods, publishes, makesEvents }: Step, { responses }: Exchange): void {
    for (const response of responses) {
      const answer = publishAnswerIn(response);
      if (answer === null) continue;
      this.received += answer.events_count;
      this.accepted += answer.accepted;
      if (methods === null || makesEvents) this.unknown += answer.accepted;
    }
    for (const { at, text, valid } of publishes) {
      const response = responses[at];
      if (response === undefined || publishAnswerIn(response) === null) continue;
      for (const [i, event] of (eventsIn(text) ?? []).entries()) {
        const key = keyOf(event);
        if (valid !== null && !this.#taken.has(key)) this.#exact.set(key, valid[i]!);
        else this.#exact.delete(key);
        this.#taken.set(key, [...(this.#taken.get(key) ?? []), event]);
      }
    }
  }

  /** Reads everything that is stored and returns what is wrong with it. */
  async faultsIn({ url, headers }: Target): Promise<string[]> {
    const faults: string[] = [];
    const missing = new Set(this.#taken.keys());
    let strange = 0;
    let read = 0;
    for await (const line of eventLines(url, '/events', headers)) {
      read += 1;
      const sent = line.replace(/,"offset":\d+,"received_at":"[^"]+"\}$/, '}');
      const event = JSON.parse(sent) as { event_id: string; topic: string };
      const key = keyOf(event);
      missing.delete(key);
      const exact = this.#exact.get(key);
      if (exact !== undefined && exact !== sent) faults.push(`stored as ${sent}, sent as ${exact}`);
      const taken = this.#taken.get(key);
      if (taken === undefined) strange += 1;
      else if (!taken.some((one) => isSame(one, event))) faults.push(`nobody sent ${sent}`);
    }
    let given = 0;
    for await (const line of eventLines(url, '/events?format=cloudevents', headers)) {
      given += 1;
      const { specversion, id } = JSON.parse(line) as Record<string, unknown>;
      if (specversion !== '1.0' || typeof id !== 'string') faults.push(`given as no CloudEvent: ${line}`);
    }
    if (given !== read) faults.push(`${read} events are stored, and ${given} are given as CloudEvents`);
    for (const key of missing) {
      const [topic, eventId] = JSON.parse(key) as [string, string];
      faults.push(`acknowledged and not stored: ${JSON.stringify({ event_id: eventId, topic })}`);
    }
    if (strange > this.unknown) {
      faults.push(`${strange} events are stored that no answer told of, at most ${this.unknown} may be`);
    }
    return faults;
  }
}

function keyOf({ topic, event_id: eventId }: { topic: string; event_id: string }): string {
  return JSON.stringify([topic, eventId]);
}

function isSame(one: unknown, other: unknown): boolean {
  try {
    deepStrictEqual(one, other);
    return true;
  } catch {
    return false;
  }
}
