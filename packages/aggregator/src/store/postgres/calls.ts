import type { AuditStore } from '../audit-store.ts';
import { StoreError } from '../event-store.ts';
import type { GroupStore } from '../group-store.ts';
import type { RepeatStore } from '../repeat-store.ts';
import type { RetentionStore } from '../retention-store.ts';
import type { SourceStore } from '../source-store.ts';
import { callErrorOf } from './errors.ts';

/**
 * The calls of a store. In: work that is asked of it, by itself or by a part of the store. Out: what it resolves with, or a
 * StoreError. Invariant: once it is closed no work begins, and what had begun has ended.
 */
export class Calls {
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async make<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new StoreError('closed', 'the store is closed');
    const working = work();
    this.#underWay.add(working);
    try {
      return await working;
    } catch (error) {
      throw callErrorOf(error);
    } finally {
      this.#underWay.delete(working);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#underWay);
  }

  groups(groups: GroupStore): GroupStore {
    return {
      apply: (steps) => this.make(() => groups.apply(steps)),
      watch: (listener) => groups.watch(listener),
    };
  }

  retention(retention: RetentionStore): RetentionStore {
    return {
      policies: () => this.make(() => retention.policies()),
      put: (policy, by) => this.make(() => retention.put(policy, by)),
      remove: (name, by) => this.make(() => retention.remove(name, by)),
      claim: () => this.make(() => retention.claim()),
      now: () => this.make(() => retention.now()),
      due: (query) => this.make(() => retention.due(query)),
      expire: (query) => this.make(() => retention.expire(query)),
      erase: (topic, eventId, isForgotten) => this.make(() => retention.erase(topic, eventId, isForgotten)),
      forget: (query) => this.make(() => retention.forget(query)),
      watch: (listener) => retention.watch(listener),
    };
  }

  repeats(repeats: RepeatStore): RepeatStore {
    return {
      sinceMs: () => this.make(() => repeats.sinceMs()),
      ages: (filter) => this.make(() => repeats.ages(filter)),
      history: (topic, eventId) => this.make(() => repeats.history(topic, eventId)),
      repeaters: (query) => this.make(() => repeats.repeaters(query)),
      conflicts: (query) => this.make(() => repeats.conflicts(query)),
    };
  }

  sources(sources: SourceStore): SourceStore {
    return {
      list: () => this.make(() => sources.list()),
      find: (names) => this.make(() => sources.find(names)),
      put: (source, by) => this.make(() => sources.put(source, by)),
      remove: (name, by) => this.make(() => sources.remove(name, by)),
    };
  }

  audit(audit: AuditStore): AuditStore {
    return {
      // It asks nothing of the database.
      begin: () => audit.begin(),
      note: (notes, mayBeLost) => this.make(() => audit.note(notes, mayBeLost)),
      page: (query) => this.make(() => audit.page(query)),
      summary: (query) => this.make(() => audit.summary(query)),
      extent: () => this.make(() => audit.extent()),
      trim: (beforeMs) => this.make(() => audit.trim(beforeMs)),
    };
  }
}
