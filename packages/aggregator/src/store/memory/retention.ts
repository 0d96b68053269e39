import { noteOf } from '../audit-store.ts';
import type { MemoryAudit } from './audit.ts';
import { type TopicFilter, compileTopicFilter } from '../topic-filter.ts';
import { compileBareTopics, outcomeOfPut } from '../policies.ts';
import type {
  Due,
  DueQuery,
  Erased,
  ExpireQuery,
  ExpiredSome,
  Expiry,
  ForgetQuery,
  ForgottenSome,
  Policy,
  PutPolicy,
  RetentionStore,
} from '../retention-store.ts';
import { Watchers } from '../watchers.ts';
import { type LoggedEvent, textBytes } from './logged-event.ts';

/** Events examined in one step: few, so that tests see several. */
const STEP_EVENTS_MAX = 100;

/** What retention needs of the log. */
interface Log {
  readonly events: readonly LoggedEvent[];
  find(topic: string, eventId: string): LoggedEvent | undefined;
  forget(event: LoggedEvent): void;
}

/** The reference: how a store lets go, in as little code as possible. */
export class MemoryRetention implements RetentionStore {
  readonly #log: Log;
  readonly #audit: MemoryAudit;
  readonly now: () => Promise<number>;
  readonly #watchers = new Watchers<Expiry>();
  #policies: readonly Policy[] = [];
  #isBare: ((topic: string) => boolean) | null = null;

  constructor(log: Log, now: () => number, audit: MemoryAudit) {
    this.#log = log;
    this.#audit = audit;
    this.now = async () => now();
  }

  /** Whether events on the topic are stored bare. */
  isBare(topic: string): boolean {
    return this.#isBare?.(topic) ?? false;
  }

  async policies(): Promise<readonly Policy[]> {
    return this.#policies;
  }

  async put(policy: Policy, by: string | null = null): Promise<PutPolicy> {
    const outcome = outcomeOfPut(this.#policies, policy);
    if (outcome.kind !== 'created' && outcome.kind !== 'changed') return outcome;
    this.#replace(policy.name, policy);
    await this.#audit.note([noteOf('policy_set', by, { policy: policy.name })]);
    return outcome;
  }

  async remove(name: string, by: string | null = null): Promise<boolean> {
    const before = this.#policies.length;
    this.#replace(name);
    if (this.#policies.length === before) return false;
    await this.#audit.note([noteOf('policy_deleted', by, { policy: name })]);
    return true;
  }

  async claim(): Promise<boolean> {
    return true;
  }

  async due({ committedBeforeMs, eventsMax, bytesMax, upTo, ...filter }: DueQuery): Promise<Due> {
    const kept = this.#on(filter).filter(({ state }) => state === 'kept');
    let events = kept.length;
    let bytes = kept.reduce((sum, event) => sum + textBytes(event), 0);
    const due = { events: 0, bytes: 0, upTo: 0 };
    for (const event of kept) {
      const isDue =
        (committedBeforeMs !== null && event.receivedMs < committedBeforeMs) ||
        (eventsMax !== null && events > eventsMax) ||
        (bytesMax !== null && bytes > bytesMax);
      if (!isDue || event.offset > upTo) break;
      events -= 1;
      bytes -= textBytes(event);
      due.events += 1;
      due.bytes += textBytes(event);
      due.upTo = event.offset;
    }
    const oldestKept = kept[due.events];
    return {
      ...due,
      oldestKept:
        oldestKept === undefined ? null : { offset: oldestKept.offset, receivedMs: oldestKept.receivedMs },
    };
  }

  async expire({ upTo, ...filter }: ExpireQuery): Promise<ExpiredSome> {
    const meant = this.#on(filter).filter(({ state, offset }) => state === 'kept' && offset <= upTo);
    const some = meant.slice(0, STEP_EVENTS_MAX);
    for (const event of some) event.state = 'expired';
    this.#tell(some);
    return {
      events: some.length,
      bytes: some.reduce((sum, event) => sum + textBytes(event), 0),
      isDone: some.length === meant.length,
    };
  }

  async erase(topic: string, eventId: string, isForgotten: boolean): Promise<Erased | null> {
    const event = this.#log.find(topic, eventId);
    if (event === undefined) return null;
    const wasKept = event.state === 'kept';
    if (wasKept) event.state = 'expired';
    if (isForgotten) this.#log.forget(event);
    if (wasKept) this.#tell([event]);
    return { offset: event.offset, receivedMs: event.receivedMs, wasKept };
  }

  async forget({ committedBeforeMs, ...filter }: ForgetQuery): Promise<ForgottenSome> {
    const meant = this.#on(filter).filter(
      ({ state, receivedMs, isForgotten }) =>
        state !== 'kept' && !isForgotten && receivedMs < committedBeforeMs,
    );
    const some = meant.slice(0, STEP_EVENTS_MAX);
    for (const event of some) this.#log.forget(event);
    return { ids: some.length, isDone: some.length === meant.length };
  }

  watch(listener: (expiry: Expiry) => void): () => void {
    return this.#watchers.add(listener);
  }

  #on(filter: TopicFilter): LoggedEvent[] {
    const isMeant = compileTopicFilter(filter);
    return this.#log.events.filter(({ topic }) => isMeant(topic));
  }

  #replace(name: string, ...by: readonly Policy[]): void {
    this.#policies = [...this.#policies.filter((one) => one.name !== name), ...by].toSorted((a, b) =>
      Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
    );
    this.#isBare = compileBareTopics(this.#policies);
  }

  #tell(expired: readonly LoggedEvent[]): void {
    if (expired.length > 0) this.#watchers.tell({ from: expired[0]!.offset, upTo: expired.at(-1)!.offset });
  }
}
