import assert from 'node:assert/strict';
import { Commits } from '../../src/commits/commits.ts';
import { Dispatcher } from '../../src/groups/dispatcher.ts';
import { leasesOf } from '../../src/groups/lease-id.ts';
import { SharedSteps } from '../../src/groups/shared-steps.ts';
import type { Delivered } from '../../src/groups/waiting-pulls.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import type { Definition, GroupState } from '../../src/store/group-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { batchOf, manyEvents } from './events.ts';

const STAYS = new AbortController().signal;
export const WAIT_MS = 20_000;
/** For events that must arrive at once, not by the next poll some seconds later. */
export const SOON_MS = 3000;

interface DeskOptions {
  /** Changes to the group's definition. */
  readonly definition?: Partial<Definition>;
  readonly outstandingMax?: number;
  readonly believedMs?: number;
}

/** A dispatcher on a store, which hears the store's news. */
export class Desk<S extends EventStore = MemoryStore> {
  readonly store: S;
  readonly dispatcher: Dispatcher;
  readonly steps: SharedSteps;
  /** Whether news of the group is lost. */
  isDeaf = false;
  readonly #secret: Uint8Array;
  #published = 0;

  constructor(store: S, state: GroupState, { outstandingMax = 1000, believedMs }: DeskOptions = {}) {
    this.store = store;
    const commits = new Commits(store, 0);
    this.steps = new SharedSteps(store.groups);
    this.dispatcher = new Dispatcher(
      { store, commits, steps: this.steps, ...(believedMs !== undefined && { believedMs }) },
      state,
      outstandingMax,
    );
    commits.listen((commit) => this.dispatcher.committed(commit));
    store.retention?.watch((expiry) => this.dispatcher.expired(expiry));
    store.groups.watch((news) => {
      if (this.isDeaf) return;
      if (news.kind === 'moved') this.dispatcher.moved(news.hasRoom, news.dueInMs);
      else if (news.kind === 'sought') this.dispatcher.sought(news.position);
      else if (news.kind === 'removed') this.dispatcher.gone();
    });
    this.#secret = state.secret;
  }

  static async open(options: DeskOptions = {}): Promise<Desk> {
    const store = new MemoryStore();
    return new Desk(store, await makeGroup(store, options.definition), options);
  }

  async publish(count: number, topic = 'orders'): Promise<void> {
    const from = this.#published;
    this.#published += count;
    await this.store.append([batchOf(...manyEvents(count, (i) => ({ topic, event_id: `e-${from + i}` })))]);
  }

  pull(eventsMax: number, waitMs = 0, signal: AbortSignal = STAYS): Promise<Delivered[]> {
    return this.dispatcher.pull(eventsMax, waitMs, signal);
  }

  /** Holds reads back until the returned function is called. */
  holdReads(): () => void {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const read = this.store.read.bind(this.store);
    this.store.read = async (query) => {
      const page = await read(query);
      await held;
      return page;
    };
    return release;
  }

  async acknowledge(events: readonly Delivered[]): Promise<void> {
    const leases = leasesOf(this.#secret, events.map(({ leaseId }) => leaseId)); // prettier-ignore
    await this.steps.do('acknowledge', this.dispatcher.id, leases);
  }

  async giveBack(events: readonly Delivered[], delayMs = 0): Promise<void> {
    const leases = leasesOf(this.#secret, events.map(({ leaseId }) => leaseId)); // prettier-ignore
    await this.steps.do('giveBack', this.dispatcher.id, leases, delayMs);
  }
}

export async function makeGroup(store: EventStore, change: Partial<Definition> = {}): Promise<GroupState> {
  const definition: Definition = {
    name: 'w',
    topics: ['>'],
    start: 'earliest',
    leaseMs: 60_000,
    deliveriesMax: 5,
    push: null,
    ...change,
  };
  const [created] = await store.groups.apply([['create', definition]]);
  assert.ok(created.kind === 'created');
  return created.state;
}

/** Resolves once a pending pull has found nothing to do. */
export async function asleep(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
}

export function offsetsOf(events: readonly Delivered[]): number[] {
  return events.map(({ offset }) => offset);
}
