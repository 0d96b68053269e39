import type { Logger } from 'pino';
import type { EventStore } from '../store/event-store.ts';
import { exceptionsTo, outcomeOfPut } from '../store/policies.ts';
import type { Erased, Policy, PutPolicy, RetentionStore } from '../store/retention-store.ts';
import { type Governing, type Plan, governing, keptOf, planOf } from './plan.ts';
import { type LastRun, type PolicyFigures, type Readers, Rounds } from './rounds.ts';
import type { RetentionTiming } from './timing.ts';
import { type Before, type Truncated, truncate } from './truncation.ts';

export type { Policy } from '../store/retention-store.ts';
export type { Plan } from './plan.ts';
export type { Before } from './truncation.ts';

interface Parts {
  readonly store: EventStore;
  readonly readers: Readers;
  readonly timing: RetentionTiming;
  readonly log: Logger;
}

/** A policy, and how it is obeyed. */
export interface PolicyView extends Plan {
  readonly policy: Policy;
  /** The policies that govern some of its topics in its place, by name. */
  readonly exceptions: readonly string[];
  /** On this instance. */
  readonly lastRun: LastRun | null;
  /** Of the topics that it governs. */
  readonly kept: { readonly events: number; readonly bytes: number; readonly expired: number };
}

/** What can be asked about letting go. */
export class Retention {
  readonly #store: EventStore;
  readonly #rounds: Rounds;
  readonly #retention: RetentionStore;
  readonly #closing = new AbortController();

  /** Begins to obey the policies. */
  constructor(parts: Parts) {
    const { store } = parts;
    this.#store = store;
    this.#retention = store.retention;
    this.#rounds = new Rounds({ ...parts, retention: store.retention });
  }

  policies(): Promise<readonly Policy[]> {
    return this.#retention.policies();
  }

  async find(name: string): Promise<Policy | undefined> {
    return (await this.#retention.policies()).find((policy) => policy.name === name);
  }

  /** @param by the key of whoever does it; null without keys */
  async put(policy: Policy, by: string | null): Promise<PutPolicy> {
    const outcome = await this.#retention.put(policy, by);
    if (outcome.kind !== 'overlaps' && outcome.kind !== 'full') await this.#rounds.changed();
    return outcome;
  }

  /** What putting the policy would do now. */
  async outcomeOf(policy: Policy): Promise<PutPolicy> {
    return outcomeOfPut(await this.#retention.policies(), policy);
  }

  async remove(name: string, by: string | null): Promise<boolean> {
    const isRemoved = await this.#retention.remove(name, by);
    await this.#rounds.changed();
    return isRemoved;
  }

  /** What the policy would let go of now, whether or not it is in force. */
  async preview(policy: Policy): Promise<Plan> {
    const policies = await this.#retention.policies();
    return this.#planOf(governing(policies, policy));
  }

  async #planOf(policy: Governing): Promise<Plan> {
    return planOf(this.#store, this.#retention, policy, await this.#retention.now());
  }

  /** Lets go of a topic's events before that place, whatever the policies say. */
  async truncate(topic: string, before: Before): Promise<Truncated> {
    const request = { topic, before, nowMs: await this.#retention.now() };
    return truncate(this.#store, this.#retention, request, this.#closing.signal);
  }

  /** See RetentionStore.erase. */
  erase(topic: string, eventId: string, isForgotten: boolean): Promise<Erased | null> {
    return this.#retention.erase(topic, eventId, isForgotten);
  }

  async view(policy: Policy): Promise<PolicyView> {
    const policies = await this.#retention.policies();
    const watched = governing(policies, policy);
    const kept = await keptOf(this.#store, watched);
    const lastRun = this.#rounds.lastRun(policy.name);
    const exceptions = exceptionsTo(policies, policy);
    return { policy, exceptions, kept, lastRun, ...(await this.#planOf(watched)) };
  }

  /** How this instance obeys each policy, in no order. */
  figures(): Iterable<PolicyFigures> {
    return this.#rounds.figures();
  }

  /** Resolves once nothing of it is under way in the store. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#rounds.close();
  }
}
