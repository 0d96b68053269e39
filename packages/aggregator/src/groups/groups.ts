import type { Logger } from 'pino';
import type { EventStore } from '../store/event-store.ts';
import type {
  Created,
  DeadLetter,
  Definition,
  LeaseStates,
  Sought,
  Start,
  GroupState,
} from '../store/group-store.ts';
import { WebhookSender } from '../webhooks/sender.ts';
import type { Commit, Commits } from '../commits/commits.ts';
import { type Delivered, Dispatcher, GroupGone, eventsOf } from './dispatcher.ts';
import { leasesOf } from './lease-id.ts';
import type { PushTiming } from './push-timing.ts';
import { PUSHED_AT_ONCE, Pusher } from './pusher.ts';
import { SharedSteps } from './shared-steps.ts';

/** Events of one group that may be leased or returned at once: what a group that stands still costs at most. */
const OUTSTANDING_MAX = 100_000;

/** Dead events that one replay returns at most: some tens of milliseconds of the writer's time. */
const REPLAY_EVENTS_MAX = 10_000;

/** Bytes of events of one page of dead ones, but for a single event that is larger. */
const DEAD_BYTES_MAX = 4 * 1024 * 1024;

/** How events are sent where they are not pulled. */
export interface PushSettings {
  /** Whether addresses that are not of the public internet may be sent to. */
  readonly allowPrivate: boolean;
  readonly timing: PushTiming;
}

interface GroupsParts {
  readonly store: EventStore;
  readonly commits: Commits;
  readonly push: PushSettings;
  readonly log: Logger;
}

/** A group as it is told to others. */
export interface GroupView extends GroupState {
  /** Events of the log that are neither acknowledged nor dead. */
  readonly lag: number;
}

/** A dead event with its text. */
export interface DeadEvent extends DeadLetter {
  readonly json: Uint8Array;
}

interface Entry {
  readonly id: number;
  readonly secret: Uint8Array;
  readonly topics: readonly string[];
  readonly leaseMs: number;
  readonly dispatcher: Dispatcher;
  /** Null where its events are pulled. */
  readonly pusher: Pusher | null;
}

/**
 * All groups, by name. In: what the api was asked. Out: answers, after what they say is durable. What each has
 * come to is in the store alone; here is who waits for events, one dispatcher a group.
 *
 * Every method rejects with GroupGone where there is no group of the name, and with the StoreError of its
 * step.
 */
export class Groups {
  readonly #store: EventStore;
  readonly #commits: Commits;
  readonly #timing: PushTiming;
  readonly #sender: WebhookSender;
  readonly #log: Logger;
  readonly #steps: SharedSteps;
  readonly #byName = new Map<string, Entry>();
  readonly #stopListening: () => void;

  private constructor(parts: GroupsParts, states: readonly GroupState[]) {
    const { store, commits, push, log } = parts;
    this.#store = store;
    this.#commits = commits;
    this.#timing = push.timing;
    this.#sender = new WebhookSender({ allowPrivate: push.allowPrivate, timeoutMs: push.timing.answerMs });
    this.#log = log;
    this.#steps = new SharedSteps(store.groups);
    for (const state of states) this.#enter(state);
    this.#stopListening = commits.listen((commit) => this.#committed(commit));
  }

  static async open(parts: GroupsParts): Promise<Groups> {
    const [states] = await parts.store.groups.apply(Date.now(), [['list']]);
    return new Groups(parts, states);
  }

  get count(): number {
    return this.#byName.size;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** The patterns of its topics; none where there is no group of the name. */
  topicsOf(name: string): readonly string[] {
    return this.#byName.get(name)?.topics ?? [];
  }

  /** Whether its events are sent and not pulled; false where there is no group of the name. */
  isPushed(name: string): boolean {
    return (this.#byName.get(name)?.pusher ?? null) !== null;
  }

  /** Makes it where there is none of the name. */
  async put(definition: Definition): Promise<Created> {
    const created = await this.#steps.do('create', definition);
    if (created.kind === 'created') this.#enter(created.state);
    return created;
  }

  async view(name: string): Promise<GroupView> {
    const { id } = this.#entry(name);
    return this.#viewOf(there(await this.#steps.do('state', id)));
  }

  /** Those that are meant. */
  async list(isMeant: (definition: Definition) => boolean): Promise<GroupView[]> {
    const views: GroupView[] = [];
    for (const state of await this.#steps.do('list')) {
      if (isMeant(state.definition)) views.push(await this.#viewOf(state));
    }
    return views;
  }

  /** Forgets it; who waits for its events is told so. */
  async remove(name: string): Promise<void> {
    const { id, dispatcher, pusher } = this.#entry(name);
    there((await this.#steps.do('remove', id)) || null);
    dispatcher.gone();
    await pusher?.close();
    if (this.#byName.get(name)?.id === id) this.#byName.delete(name);
  }

  /** As Dispatcher.pull. */
  pull(name: string, eventsMax: number, waitMs: number, signal: AbortSignal): Promise<Delivered[]> {
    return this.#entry(name).dispatcher.pull(eventsMax, waitMs, signal);
  }

  /** One state for each lease, in order. */
  async acknowledge(name: string, leaseIds: readonly string[]): Promise<LeaseStates> {
    const { id, secret, dispatcher } = this.#entry(name);
    const states = there(await this.#steps.do('acknowledge', id, leasesOf(secret, leaseIds)));
    dispatcher.settled();
    return states;
  }

  async giveBack(name: string, leaseIds: readonly string[], delayMs: number): Promise<LeaseStates> {
    const { id, secret, dispatcher } = this.#entry(name);
    const states = there(await this.#steps.do('giveBack', id, leasesOf(secret, leaseIds), delayMs));
    dispatcher.settled(Date.now() + delayMs);
    return states;
  }

  /** Without `leaseMs`, by as long as a lease of the group lasts. */
  async extend(name: string, leaseIds: readonly string[], leaseMs: number | null): Promise<LeaseStates> {
    const { id, secret, leaseMs: usualMs, dispatcher } = this.#entry(name);
    const ms = leaseMs ?? usualMs;
    const states = there(await this.#steps.do('extend', id, leasesOf(secret, leaseIds), ms));
    // They may end sooner than before.
    dispatcher.settled(Date.now() + ms);
    return states;
  }

  async seek(name: string, to: Start): Promise<Sought> {
    const { id, dispatcher } = this.#entry(name);
    const sought = there(await this.#steps.do('seek', id, to));
    if (sought.kind === 'sought') dispatcher.sought(sought.position);
    return sought;
  }

  /** Lets its pusher go on, at once. */
  async resume(name: string): Promise<void> {
    const { id, dispatcher, pusher } = this.#entry(name);
    there(await this.#steps.do('resume', id));
    pusher?.resume();
    dispatcher.settled(Date.now());
  }

  /** Some dead events behind the offset, and the offset behind which there are more, or null. */
  async dead(
    name: string,
    after: number,
    eventsMax: number,
  ): Promise<{ events: DeadEvent[]; next: number | null }> {
    const { id } = this.#entry(name);
    const letters = there(await this.#steps.do('dead', id, after, eventsMax + 1));
    let bytes = 0;
    const cut = letters.findIndex((letter, i) => {
      bytes += letter.bytes;
      return i === eventsMax || (i > 0 && bytes > DEAD_BYTES_MAX);
    });
    const shown = cut === -1 ? letters : letters.slice(0, cut);
    const page = await this.#store.readAt(Float64Array.from(shown, ({ offset }) => offset));
    const events = [...eventsOf(page)].map(({ json }, i) => ({ ...shown[i]!, json }));
    return { events, next: cut === -1 ? null : shown.at(-1)!.offset };
  }

  /** Returns dead events to be delivered again, the lowest offsets first; says how many, and how many are left. */
  async replay(name: string, offsets: readonly number[] | null): Promise<{ replayed: number; dead: number }> {
    const { id, dispatcher } = this.#entry(name);
    const replayed = there(await this.#steps.do('replay', id, offsets, REPLAY_EVENTS_MAX));
    dispatcher.settled(Date.now());
    return { replayed, dead: there(await this.#steps.do('state', id)).dead };
  }

  /** Answers who waits with nothing. */
  async close(): Promise<void> {
    this.#stopListening();
    // First those who give back what they hold.
    const entries = [...this.#byName.values()];
    await Promise.all(entries.flatMap(({ pusher }) => (pusher === null ? [] : [pusher.close()])));
    this.#sender.close();
    await Promise.all(entries.map(({ dispatcher }) => dispatcher.close()));
    await this.#steps.idle();
  }

  #entry(name: string): Entry {
    return there(this.#byName.get(name) ?? null);
  }

  #enter(state: GroupState): void {
    const { id, secret, definition } = state;
    const parts = { store: this.#store, commits: this.#commits, steps: this.#steps };
    const isPushed = definition.push !== null;
    const dispatcher = new Dispatcher(parts, state, isPushed ? PUSHED_AT_ONCE : OUTSTANDING_MAX);
    const pusher = isPushed
      ? new Pusher(
          { dispatcher, steps: this.#steps, timing: this.#timing, sender: this.#sender, log: this.#log },
          state,
        )
      : null;
    const { name, topics, leaseMs } = definition;
    this.#byName.set(name, { id, secret, topics, leaseMs, dispatcher, pusher });
  }

  async #viewOf(state: GroupState): Promise<GroupView> {
    const { leased, returned, position, definition } = state;
    // What was looked at in vain since the last step is not in the store.
    const lookedTo = Math.max(position, this.#byName.get(definition.name)?.dispatcher.lookedTo ?? 0);
    const { count } = await this.#store.snapshot({
      topicPatterns: [definition.topics],
      order: 'asc',
      after: lookedTo,
    });
    const outstanding = leased + returned;
    return { ...state, cursor: outstanding === 0 ? lookedTo : state.cursor, lag: count + outstanding };
  }

  #committed(commit: Commit): void {
    for (const { dispatcher } of this.#byName.values()) {
      if (dispatcher.isAwaited) dispatcher.committed(commit);
    }
  }
}

/** A step is told null where its group is gone. */
function there<T>(outcome: T | null): T {
  if (outcome === null) throw new GroupGone('there is no such group');
  return outcome;
}
