import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { EventStore } from '../store/event-store.ts';
import type { Policy, RetentionStore } from '../store/retention-store.ts';
import { type Governing, type Hold, type Plan, governing, planOf } from './plan.ts';
import { inSteps } from './steps.ts';
import type { RetentionTiming } from './timing.ts';

/** Holds steps back from answers under way, which have announced events that must not go meanwhile. */
export interface Readers {
  /** Takes a step, which must expire only events below the offset that it gets. */
  letGo<T>(step: (below: number) => Promise<T>): Promise<T>;
}

interface Parts {
  readonly store: EventStore;
  readonly retention: RetentionStore;
  readonly readers: Readers;
  readonly timing: RetentionTiming;
  readonly log: Logger;
}

/** What the last round that let go of something let go of. */
export interface LastRun {
  readonly atMs: number;
  readonly events: number;
  readonly bytes: number;
  /** Ids that were forgotten. */
  readonly ids: number;
}

/** What this instance has let go of for a policy since its start, and what it found at its last look. */
export interface PolicyFigures {
  readonly policy: string;
  readonly expiredEvents: number;
  readonly expiredBytes: number;
  readonly forgottenIds: number;
  /** What is due and still there; 0 where another instance does the work. */
  readonly dueEvents: number;
  readonly holds: readonly Hold[];
}

/** What is known of a policy between rounds; none of it needs to survive a restart. */
interface Watched {
  readonly policy: Governing;
  /** Nothing is looked for before this time by this instance's clock. */
  nextMs: number;
  /** Since when events are gathered that may go; null if there are none. From a start or a change on nothing is waited for. */
  gatheringSinceMs: number | null;
  /** When ids are looked at again. */
  idsNextMs: number;
  /** Whether the last round left off in the middle. */
  isUnfinished: boolean;
  /** How long it rests after failures; 0 if the last look succeeded. */
  faultMs: number;
  /** What the last look found; the log was told of each group that holds. */
  holds: readonly Hold[];
  dueEvents: number;
  lastRun: LastRun | null;
  readonly total: { events: number; bytes: number; ids: number };
}

/** What the clocks say as a look begins: this instance's says when to look again, the store's what is due. */
interface Times {
  readonly hereMs: number;
  readonly nowMs: number;
}

/** However far off the next event is due, there is a look after so long, milliseconds: clocks are set now and then. */
const LOOK_WITHIN_MS = 60_000;

/**
 * Obeys the policies. In: the time, and what is stored. Out: events that are expired and ids that are forgotten, a few at a time.
 *
 * Each round asks, for each policy, what may go (plan.ts). It *gathers*: a few events wait for up to `gatherMs`, so that one step
 * takes several; many go at once. A failure is logged and tried again, after a longer time each time. What goes and who holds up the
 * rest is logged, the latter once for each group. Of several instances one does the work.
 */
export class Rounds {
  readonly #parts: Parts;
  readonly #stopped = new AbortController();
  readonly #finished: Promise<void>;
  #changed = new AbortController();
  #watched = new Map<string, Watched>();
  #underWay: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#finished = this.#run();
  }

  /** Ends the round and begins another, with what the policies say now. Resolves once the last step by the old ones is done. */
  async changed(): Promise<void> {
    this.#changed.abort();
    await this.#underWay.catch(() => undefined);
  }

  /** What the last round on this instance let go of for the policy; null if none has. */
  lastRun(name: string): LastRun | null {
    return this.#watched.get(name)?.lastRun ?? null;
  }

  *figures(): Generator<PolicyFigures> {
    for (const [policy, { total, dueEvents, holds }] of this.#watched) {
      const { events: expiredEvents, bytes: expiredBytes, ids: forgottenIds } = total;
      yield { policy, expiredEvents, expiredBytes, forgottenIds, dueEvents, holds };
    }
  }

  /** Resolves once no step is under way. */
  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#finished;
  }

  async #run(): Promise<void> {
    const { timing, log } = this.#parts;
    let faultMs = 0;
    while (!this.#isStopped) {
      this.#changed = new AbortController();
      try {
        await this.#round();
        faultMs = 0;
      } catch (error) {
        if (this.#isStopped) break;
        faultMs = this.#longerThan(faultMs);
        log.error({ err: error, retryMs: faultMs }, 'the policies could not be read');
      }
      const isUnfinished = [...this.#watched.values()].some((watched) => watched.isUnfinished);
      await this.#rest(isUnfinished ? 0 : faultMs || timing.tickMs);
    }
  }

  /** Looks at all policies. What one of them is about may fail without holding up the others. */
  async #round(): Promise<void> {
    const { retention, timing, log } = this.#parts;
    const policies = await retention.policies();
    const before = this.#watched;
    this.#watched = new Map();
    for (const policy of policies.map((one) => governing(policies, one))) {
      const known = before.get(policy.name);
      const isKnown = known !== undefined && isDeepStrictEqual(known.policy, policy);
      this.#watched.set(policy.name, isKnown ? known : newlyWatched(policy, known?.total));
    }
    for (const watched of this.#watched.values()) {
      const hereMs = timing.now();
      watched.isUnfinished = false;
      if (hereMs < watched.nextMs && hereMs < watched.idsNextMs) continue;
      try {
        if (!(await retention.claim())) return this.#leaveItToOthers();
        const times = { hereMs, nowMs: await retention.now() };
        if (hereMs >= watched.nextMs && !this.#over.aborted) await this.#look(watched, times);
        if (hereMs >= watched.idsNextMs && !this.#over.aborted) await this.#forget(watched, times);
        watched.faultMs = 0;
      } catch (error) {
        if (this.#isStopped) return;
        watched.faultMs = this.#longerThan(watched.faultMs);
        watched.nextMs = Math.max(watched.nextMs, hereMs + watched.faultMs);
        watched.idsNextMs = Math.max(watched.idsNextMs, hereMs + watched.faultMs);
        const { faultMs: retryMs } = watched;
        log.error({ err: error, policy: watched.policy.name, retryMs }, 'a policy could not be obeyed');
      }
    }
  }

  /** What the policies hold up, another instance tells from now on. */
  #leaveItToOthers(): void {
    for (const watched of this.#watched.values()) {
      watched.dueEvents = 0;
      watched.holds = [];
    }
  }

  #longerThan(faultMs: number): number {
    return Math.min(Math.max(this.#parts.timing.tickMs, faultMs * 2), this.#parts.timing.faultMsMax);
  }

  async #look(watched: Watched, times: Times): Promise<void> {
    const { store, retention, timing } = this.#parts;
    const { policy } = watched;
    const { hereMs, nowMs } = times;
    const plan = await planOf(store, retention, policy, nowMs);
    this.#tellOfHolds(watched, plan);
    watched.dueEvents = plan.due.events;
    const { events, bytes } = plan.going;
    if (events === 0) {
      watched.gatheringSinceMs = null;
      const endMs = timing.now();
      const restMs = (endMs - hereMs) * timing.restsAfterLook;
      const inMs = plan.due.events > 0 ? 0 : earliestDue(policy, plan, nowMs) - nowMs;
      watched.nextMs = Math.max(
        hereMs + Math.min(inMs, LOOK_WITHIN_MS),
        endMs + Math.min(restMs, LOOK_WITHIN_MS),
      );
      return;
    }
    watched.gatheringSinceMs ??= hereMs;
    const isTime =
      hereMs - watched.gatheringSinceMs >= timing.gatherMs ||
      events >= timing.gatherEventsMax ||
      bytes >= timing.gatherBytesMax;
    if (!isTime) return;
    watched.isUnfinished = !(await this.#expire(watched, plan, times));
    if (!watched.isUnfinished) watched.gatheringSinceMs = null;
  }

  /**
   * Lets go of what the plan says, for about as long as a tick: then it is time for a new plan, because a group may have been made
   * or gone back meanwhile, and for the other policies. Says whether all of it is done.
   */
  async #expire(watched: Watched, { epoch, going }: Plan, times: Times): Promise<boolean> {
    const { retention, readers, log } = this.#parts;
    const { name, governs } = watched.policy;
    const gone = { events: 0, bytes: 0, upTo: 0 };
    const expireSome = async (below: number): Promise<boolean> => {
      const upTo = Math.min(going.upTo, below - 1);
      const some = await retention.expire({ ...governs, upTo, epoch });
      gone.events += some.events;
      gone.bytes += some.bytes;
      gone.upTo = upTo;
      return some.isDone;
    };
    try {
      return await this.#steps(() => readers.letGo(expireSome));
    } finally {
      if (gone.events > 0) {
        log.info({ policy: name, ...gone }, 'events have expired');
        watched.dueEvents = Math.max(0, watched.dueEvents - gone.events);
        this.#note(watched, { ...gone, ids: 0 }, times);
      }
    }
  }

  async #forget(watched: Watched, times: Times): Promise<void> {
    const { retention, timing, log } = this.#parts;
    const { name, governs, idsMs } = watched.policy;
    if (idsMs === null) {
      watched.idsNextMs = Number.POSITIVE_INFINITY;
      return;
    }
    const query = { ...governs, committedBeforeMs: times.nowMs - idsMs };
    let ids = 0;
    const forgetSome = async (): Promise<boolean> => {
      const some = await retention.forget(query);
      ids += some.ids;
      return some.isDone;
    };
    try {
      const isDone = await this.#steps(forgetSome);
      if (isDone) watched.idsNextMs = times.hereMs + timing.gatherMs;
      else watched.isUnfinished = true;
    } finally {
      if (ids > 0) {
        log.info({ policy: name, ids }, 'ids were forgotten');
        this.#note(watched, { events: 0, bytes: 0, ids }, times);
      }
    }
  }

  #note(
    watched: Watched,
    { events, bytes, ids }: Pick<LastRun, 'events' | 'bytes' | 'ids'>,
    { hereMs, nowMs }: Times,
  ): void {
    watched.lastRun = { atMs: nowMs + this.#parts.timing.now() - hereMs, events, bytes, ids };
    watched.total.events += events;
    watched.total.bytes += bytes;
    watched.total.ids += ids;
  }

  #steps(step: () => Promise<boolean>): Promise<boolean> {
    const noted = (): Promise<boolean> => {
      const taken = step();
      this.#underWay = taken;
      return taken;
    };
    return inSteps(noted, this.#over, this.#parts.timing.tickMs);
  }

  #tellOfHolds(watched: Watched, { holds }: Plan): void {
    const { policy } = watched;
    const told = new Set(watched.holds.map(({ group }) => group));
    for (const { group, sinceMs, events } of holds) {
      if (told.has(group)) continue;
      const since = new Date(sinceMs).toISOString();
      this.#parts.log.warn(
        { policy: policy.name, group, since, events },
        'a group holds up events that are due',
      );
    }
    watched.holds = holds;
  }

  async #rest(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#over }).catch(() => undefined);
  }

  get #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  /** Fires when the round must end, because the policies have changed or the service stops. */
  get #over(): AbortSignal {
    return AbortSignal.any([this.#stopped.signal, this.#changed.signal]);
  }
}

function newlyWatched(policy: Governing, total: Watched['total'] = { events: 0, bytes: 0, ids: 0 }): Watched {
  return {
    policy,
    nextMs: policy.keep === 'ids' ? Number.POSITIVE_INFINITY : 0,
    gatheringSinceMs: Number.NEGATIVE_INFINITY,
    idsNextMs: 0,
    isUnfinished: false,
    faultMs: 0,
    holds: [],
    dueEvents: 0,
    lastRun: null,
    total,
  };
}

/** When nothing is due: the time at which something may be. By number and size that is with the next commit. */
function earliestDue({ maxAgeMs, maxEvents, maxBytes }: Policy, { due }: Plan, nowMs: number): number {
  if (maxAgeMs === null || maxEvents !== null || maxBytes !== null) return nowMs;
  return (due.oldestKept?.receivedMs ?? nowMs) + maxAgeMs;
}
