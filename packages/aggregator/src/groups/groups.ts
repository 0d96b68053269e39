import type { EventStore } from '../store/event-store.ts';
import type {
  Created,
  DeadLetter,
  Definition,
  GroupState,
  LeaseStates,
  Sought,
  Start,
} from '../store/group-store.ts';
import { GroupGone } from './dispatcher.ts';
import { type GroupsParts, type KnownGroup, KnownGroups } from './known-groups.ts';
import { leasesOf } from './lease-id.ts';
import { eventsOf } from './read-ahead.ts';
import { SharedSteps } from './shared-steps.ts';
import type { Delivered } from './waiting-pulls.ts';

/** At most this many dead events per replay: some tens of milliseconds of the writer's time. */
const REPLAY_EVENTS_MAX = 10_000;

/** Bytes of events in one page of dead events, except that a single event may be larger. */
const DEAD_BYTES_MAX = 4 * 1024 * 1024;

/** A group as the API shows it. */
export interface GroupView extends GroupState {
  /** Events of the log that are neither acknowledged nor dead. */
  readonly lag: number;
}

/** A dead event with its text. */
export interface DeadEvent extends DeadLetter {
  readonly json: Uint8Array;
}

/** What is known of a group before anything else is looked up. */
export type GroupSketch = Pick<KnownGroup, 'topics'> & {
  /** Whether its events are pushed, not pulled. */
  readonly isPushed: boolean;
};

/**
 * What can be done with groups, by name. In: requests from the api. Out: answers, once what they say is durable. A
 * group's progress is in the store alone; known-groups.ts knows who is waiting for its events.
 *
 * Every method rejects with GroupGone if no group has the name, and with the StoreError of its step.
 */
export class Groups {
  readonly #store: EventStore;
  readonly #steps: SharedSteps;
  readonly #known: KnownGroups;

  private constructor(parts: GroupsParts) {
    this.#store = parts.store;
    this.#steps = new SharedSteps(parts.store.groups);
    this.#known = new KnownGroups(parts, this.#steps);
  }

  /** Starts sending the events of groups that push. */
  static async open(parts: GroupsParts): Promise<Groups> {
    const groups = new Groups(parts);
    await groups.#known.open();
    return groups;
  }

  /** The group with this name, if there is one. */
  async find(name: string): Promise<GroupSketch | undefined> {
    const group = await this.#known.lookUp(name);
    return group && { topics: group.topics, isPushed: group.pusher !== null };
  }

  /** Creates the group if there is none, or changes its push target and secrets. */
  async put(definition: Definition): Promise<Created> {
    const created = await this.#steps.do('create', definition);
    if (created.kind === 'created') this.#known.enter(created.state);
    return created;
  }

  async view(name: string): Promise<GroupView> {
    return this.#viewOf(await this.#on(name, ({ id }) => this.#steps.do('state', id)));
  }

  /** The groups that `isMeant` accepts. */
  async list(isMeant: (definition: Definition) => boolean): Promise<GroupView[]> {
    const views: GroupView[] = [];
    for (const state of await this.#steps.do('list')) {
      if (isMeant(state.definition)) views.push(await this.#viewOf(state));
    }
    return views;
  }

  /** Deletes the group and refuses those waiting for its events. Resolves when none of its events is being sent. */
  async remove(name: string): Promise<void> {
    await this.#on(name, async ({ id, pusher }) => {
      const isRemoved = await this.#steps.do('remove', id);
      if (isRemoved) await pusher?.close();
      return isRemoved || null;
    });
  }

  /** See Dispatcher.pull. */
  pull(name: string, eventsMax: number, waitMs: number, signal: AbortSignal): Promise<Delivered[]> {
    return this.#on(name, ({ dispatcher }) => dispatcher.pull(eventsMax, waitMs, signal));
  }

  /** One state for each lease, in order. */
  acknowledge(name: string, leaseIds: readonly string[]): Promise<LeaseStates> {
    return this.#on(name, ({ id, secret }) => this.#steps.do('acknowledge', id, leasesOf(secret, leaseIds)));
  }

  giveBack(name: string, leaseIds: readonly string[], delayMs: number): Promise<LeaseStates> {
    return this.#on(name, ({ id, secret }) =>
      this.#steps.do('giveBack', id, leasesOf(secret, leaseIds), delayMs),
    );
  }

  /** Without `leaseMs` the group's own lease time applies. */
  extend(name: string, leaseIds: readonly string[], leaseMs: number | null): Promise<LeaseStates> {
    return this.#on(name, ({ id, secret, leaseMs: usualMs }) =>
      this.#steps.do('extend', id, leasesOf(secret, leaseIds), leaseMs ?? usualMs),
    );
  }

  seek(name: string, to: Start): Promise<Sought> {
    return this.#on(name, ({ id }) => this.#steps.do('seek', id, to));
  }

  /** Resumes its webhook at once. */
  async resume(name: string): Promise<void> {
    await this.#on(name, ({ id }) => this.#steps.do('resume', id));
  }

  /** Some dead events above the offset, and the offset above which there are more, or null. */
  async dead(
    name: string,
    after: number,
    eventsMax: number,
  ): Promise<{ events: DeadEvent[]; next: number | null }> {
    const letters = await this.#on(name, ({ id }) => this.#steps.do('dead', id, after, eventsMax + 1));
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

  /** Returns dead events for redelivery, lowest offsets first. Says how many, and how many are left. */
  async replay(name: string, offsets: readonly number[] | null): Promise<{ replayed: number; dead: number }> {
    const replayed = await this.#on(name, ({ id }) =>
      this.#steps.do('replay', id, offsets, REPLAY_EVENTS_MAX),
    );
    const { dead } = await this.#on(name, ({ id }) => this.#steps.do('state', id));
    return { replayed, dead };
  }

  /** Answers waiting pulls with nothing. */
  async close(): Promise<void> {
    await this.#known.close();
    await this.#steps.idle();
  }

  /**
   * Applies `work` to the group; null from it means that the group is gone. Another process may have deleted and
   * recreated a known group, so the name is looked up once more. That is not done if the new group has other topics,
   * to which the caller may have no right.
   */
  async #on<T>(name: string, work: (group: KnownGroup) => Promise<T | null>): Promise<T> {
    const known = await this.#known.lookUp(name);
    if (known === undefined) throw new GroupGone('there is no such group');
    const outcome = await work(known);
    if (outcome !== null) return outcome;
    this.#known.forget(known);
    const current = await this.#known.lookUp(name);
    const isSame = current !== undefined && current.topics.join('\0') === known.topics.join('\0');
    const again = isSame ? await work(current) : null;
    if (again === null) throw new GroupGone('there is no such group');
    return again;
  }

  async #viewOf(state: GroupState): Promise<GroupView> {
    const { leased, returned, position, definition } = state;
    // The store does not know what was searched in vain since the last step.
    const lookedTo = Math.max(position, this.#known.withId(state.id)?.dispatcher.lookedTo ?? 0);
    const { count } = await this.#store.snapshot({
      topicPatterns: [definition.topics],
      order: 'asc',
      after: lookedTo,
    });
    const outstanding = leased + returned;
    return { ...state, cursor: outstanding === 0 ? lookedTo : state.cursor, lag: count + outstanding };
  }
}
