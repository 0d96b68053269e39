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

/**
 * What can be done with groups. In: requests from the api, each about a group that it found by name and may use. Out: answers, once what they say is durable. A
 * group's progress is in the store alone; known-groups.ts knows who is waiting for its events.
 *
 * Every method rejects with GroupGone if the group is gone, and with the StoreError of its step.
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
  find(name: string): Promise<KnownGroup | undefined> {
    return this.#known.lookUp(name);
  }

  /** Creates the group if there is none, or changes its push target and secrets. */
  async put(definition: Definition): Promise<Created> {
    const created = await this.#steps.do('create', definition);
    if (created.kind === 'created') this.#known.enter(created.state);
    return created;
  }

  async view(group: KnownGroup): Promise<GroupView> {
    return this.viewOf(await this.#on(group, ({ id }) => this.#steps.do('state', id)));
  }

  /** The groups that `isMeant` accepts. */
  async list(isMeant: (definition: Definition) => boolean): Promise<GroupView[]> {
    const views: GroupView[] = [];
    for (const state of await this.#steps.do('list')) {
      if (isMeant(state.definition)) views.push(await this.viewOf(state));
    }
    return views;
  }

  /** Deletes the group and refuses those waiting for its events. Resolves when none of its events is being sent. */
  async remove(group: KnownGroup): Promise<void> {
    await this.#on(group, async ({ id, pusher }) => {
      const isRemoved = await this.#steps.do('remove', id);
      if (isRemoved) await pusher?.close();
      return isRemoved || null;
    });
  }

  /** See Dispatcher.pull. */
  pull(group: KnownGroup, eventsMax: number, waitMs: number, signal: AbortSignal): Promise<Delivered[]> {
    return this.#on(group, ({ dispatcher }) => dispatcher.pull(eventsMax, waitMs, signal));
  }

  /** One state for each lease, in order. */
  acknowledge(group: KnownGroup, leaseIds: readonly string[]): Promise<LeaseStates> {
    return this.#on(group, ({ id, secret }) => this.#steps.do('acknowledge', id, leasesOf(secret, leaseIds)));
  }

  giveBack(group: KnownGroup, leaseIds: readonly string[], delayMs: number): Promise<LeaseStates> {
    return this.#on(group, ({ id, secret }) =>
      this.#steps.do('giveBack', id, leasesOf(secret, leaseIds), delayMs),
    );
  }

  /** Without `leaseMs` the group's own lease time applies. */
  extend(group: KnownGroup, leaseIds: readonly string[], leaseMs: number | null): Promise<LeaseStates> {
    return this.#on(group, ({ id, secret, leaseMs: usualMs }) =>
      this.#steps.do('extend', id, leasesOf(secret, leaseIds), leaseMs ?? usualMs),
    );
  }

  seek(group: KnownGroup, to: Start): Promise<Sought> {
    return this.#on(group, ({ id }) => this.#steps.do('seek', id, to));
  }

  /** Resumes its webhook at once. */
  async resume(group: KnownGroup): Promise<void> {
    await this.#on(group, ({ id }) => this.#steps.do('resume', id));
  }

  /** Some dead events above the offset, and the offset above which there are more, or null. */
  async dead(
    group: KnownGroup,
    after: number,
    eventsMax: number,
  ): Promise<{ events: DeadEvent[]; next: number | null }> {
    const letters = await this.#on(group, ({ id }) => this.#steps.do('dead', id, after, eventsMax + 1));
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
  async replay(
    group: KnownGroup,
    offsets: readonly number[] | null,
  ): Promise<{ replayed: number; dead: number }> {
    const replayed = await this.#on(group, ({ id }) =>
      this.#steps.do('replay', id, offsets, REPLAY_EVENTS_MAX),
    );
    const { dead } = await this.#on(group, ({ id }) => this.#steps.do('state', id));
    return { replayed, dead };
  }

  /** Answers waiting pulls with nothing. */
  async close(): Promise<void> {
    await this.#known.close();
    await this.#steps.idle();
  }

  /**
   * Applies `work` to the group; null from it means that the group is gone. Another process may have deleted and
   * recreated it, so its name is looked up once more. That is not done if the new group has other topics, to which the
   * caller may have no right.
   */
  async #on<T>(group: KnownGroup, work: (group: KnownGroup) => Promise<T | null>): Promise<T> {
    const outcome = await work(group);
    if (outcome !== null) return outcome;
    this.#known.forget(group);
    const current = await this.#known.lookUp(group.name);
    const isSame = current !== undefined && current.topics.join('\0') === group.topics.join('\0');
    const again = isSame ? await work(current) : null;
    if (again === null) throw new GroupGone('there is no such group');
    return again;
  }

  /** What the API shows of this state. */
  async viewOf(state: GroupState): Promise<GroupView> {
    const { leased, returned, position, definition } = state;
    // The store does not know what was searched in vain since the last step.
    const lookedTo = this.#known.withId(state.id)?.dispatcher.lookedTo(position) ?? position;
    const { count } = await this.#store.snapshot({
      topicPatterns: [definition.topics],
      order: 'asc',
      after: lookedTo,
    });
    const outstanding = leased + returned;
    return { ...state, cursor: outstanding === 0 ? lookedTo : state.cursor, lag: count + outstanding };
  }
}
