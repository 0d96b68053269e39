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
import { type GroupsParts, type KnownGroup, KnownGroups, OUTSTANDING_MAX } from './known-groups.ts';
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
  /** Events that are yet to be delivered or acknowledged: those ahead and returned that are kept, and all that are leased. */
  readonly lag: number;
  /** Also those that have expired ahead of the group or while returned, which no step has counted yet. */
  readonly expired: number;
}

/** A dead event with its text; null if it has expired. */
export interface DeadEvent extends DeadLetter {
  readonly json: Uint8Array | null;
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

  /**
   * The groups that `isMeant` accepts.
   * @param end where the log is taken to end: the store is not asked about a group that was searched up to there
   */
  async list(isMeant: (definition: Definition) => boolean, end = Infinity): Promise<GroupView[]> {
    const views: GroupView[] = [];
    for (const state of await this.#steps.do('list')) {
      if (isMeant(state.definition)) views.push(await this.viewOf(state, end));
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
    const untilMs = performance.now() + waitMs;
    return this.#on(group, ({ dispatcher }) =>
      dispatcher.pull(eventsMax, Math.max(0, untilMs - performance.now()), signal).catch((error: unknown) => {
        if (error instanceof GroupGone) return null;
        throw error;
      }),
    );
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

  /** Pauses its webhook: no attempt begins after this has resolved. */
  async pause(group: KnownGroup): Promise<void> {
    await this.#on(group, ({ id }) => this.#steps.do('pause', id));
  }

  /** Resumes its webhook at once. */
  async resume(group: KnownGroup): Promise<void> {
    await this.#on(group, ({ id }) => this.#steps.do('resume', id));
  }

  /**
   * Some dead events above the offset, the offset above which there are more, or null, and the group's cursor in the same
   * transaction: whatever lies above `after`, up to the cursor and to `next`, and is not among them was settled then.
   */
  async dead(
    group: KnownGroup,
    after: number,
    eventsMax: number,
  ): Promise<{ events: DeadEvent[]; cursor: number; next: number | null }> {
    const { letters, cursor } = await this.#on(group, async ({ id }) => {
      const [letters, state] = await this.#store.groups.apply([
        ['dead', id, after, eventsMax + 1],
        ['state', id],
      ]);
      return letters === null || state === null ? null : { letters, cursor: state.cursor };
    });
    let bytes = 0;
    const cut = letters.findIndex((letter, i) => {
      bytes += letter.bytes;
      return i === eventsMax || (i > 0 && bytes > DEAD_BYTES_MAX);
    });
    const shown = cut === -1 ? letters : letters.slice(0, cut);
    const page = await this.#store.readAt(Float64Array.from(shown, ({ offset }) => offset));
    const jsonOf = new Map(Array.from(eventsOf(page), ({ offset, json }) => [offset, json]));
    const events = shown.map((letter) => ({ ...letter, json: jsonOf.get(letter.offset) ?? null }));
    return { events, cursor, next: cut === -1 ? null : shown.at(-1)!.offset };
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

  /** What the API shows of this state; `end` as in `list`. */
  async viewOf(state: GroupState, end = Infinity): Promise<GroupView> {
    const { leased, returned, position, definition } = state;
    // The store does not know what was searched in vain since the last step.
    const looked = this.#known.withId(state.id)?.dispatcher.looked(position) ?? {
      upTo: position,
      expired: 0,
    };
    const query = { topicPatterns: [definition.topics], order: 'asc', after: looked.upTo } as const;
    const ahead = looked.upTo >= end ? { count: 0, expired: 0 } : await this.#store.snapshot(query);
    const gone = returned === 0 ? 0 : await this.#goneAmongReturned(state);
    const waiting = Math.max(0, returned - gone);
    return {
      ...state,
      cursor: leased + returned === 0 ? looked.upTo : state.cursor,
      returned: waiting,
      lag: ahead.count + leased + waiting,
      expired: state.expired + looked.expired + ahead.expired + gone,
    };
  }

  /** How many returned events have expired: they will not be delivered, and the next take settles them. */
  async #goneAmongReturned({ id, cursor, definition }: GroupState): Promise<number> {
    const returned = (await this.#steps.do('returned', id, cursor, OUTSTANDING_MAX)) ?? [];
    const kept = await this.#store.countAt(Float64Array.from(returned), {
      topicPatterns: [definition.topics],
    });
    return returned.length - kept;
  }
}
