import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventStore } from '../../src/store/event-store.ts';
import { FreshEventsFound } from '../../src/store/fresh-events.ts';
import type {
  Definition,
  FreshEvents,
  GroupState,
  LeaseStates,
  Leases,
  Step,
  Taken,
} from '../../src/store/group-store.ts';
import { batchOf, manyEvents } from './events.ts';
import { STORES, TestClock } from './stores.ts';

export const LEASE_MS = 1000;

/** A store with ten events, and its clock. */
export interface Setting {
  /** The name of the store in STORES. */
  readonly name: string;
  readonly store: EventStore;
  readonly clock: TestClock;
}

/** A group on a store whose time the test sets. */
export class StoredGroup {
  readonly store: EventStore;
  readonly clock: TestClock;
  id = 0;

  constructor({ store, clock }: Pick<Setting, 'store' | 'clock'>) {
    this.store = store;
    this.clock = clock;
  }

  static async make(
    setting: Pick<Setting, 'store' | 'clock'>,
    change: Partial<Definition> = {},
  ): Promise<StoredGroup> {
    const group = new StoredGroup(setting);
    const created = await group.step('create', definition(change));
    assert.ok(created.kind === 'created', JSON.stringify(created));
    group.id = created.state.id;
    return group;
  }

  async step<const S extends Step>(...step: S) {
    const [outcome] = await this.store.groups.apply([step]);
    return outcome;
  }

  /** Takes events, offering the offsets above `after` up to `upTo` as read ahead; null offers nothing. */
  async take(ahead: [after: number, upTo: number] | null, ...demands: number[]): Promise<Taken> {
    const taken = await this.step('take', this.id, {
      demands,
      bytesMax: 1000,
      readAhead: ahead && readAhead(...ahead),
      outstandingMax: 50,
    });
    return taken ?? assert.fail('there is no such group');
  }

  async state(): Promise<GroupState> {
    return (await this.step('state', this.id)) ?? assert.fail('there is no such group');
  }
}

/** Events of 100 bytes as if they had been read, from the offset above `after` up to `upTo`, except those that have expired. */
export function readAhead(after: number, upTo: number, expired: readonly number[] = []): FreshEvents {
  const found = new FreshEventsFound();
  let passed = 0;
  for (let offset = after + 1; offset <= upTo; offset++) {
    if (expired.includes(offset)) passed += 1;
    else found.push(offset, 100, passed);
  }
  return found.end(after, upTo, passed);
}

export function definition(change: Partial<Definition> = {}): Definition {
  return {
    name: 'workers',
    topics: ['>'],
    start: 'earliest',
    leaseMs: LEASE_MS,
    deliveriesMax: 3,
    push: null,
    ...change,
  };
}

/** The contents of each hand, as [offset, delivery] pairs. */
export function handsOf({ hands }: Taken): [number, number][][] {
  return hands.map(({ offsets, deliveries }) => Array.from(offsets, (offset, i) => [offset, deliveries[i]!]));
}

export function leases(...pairs: [take: number, offset: number][]): Leases {
  return {
    takes: Float64Array.from(pairs, ([take]) => take),
    offsets: Float64Array.from(pairs, ([, offset]) => offset),
  };
}

export function said(states: LeaseStates | null): string[] {
  return Array.from(states ?? [], (state) => ['done', 'settled', 'expired', 'unknown'][state]!);
}

/** Tests a behaviour of groups on every store. */
export function suite(behaviour: string, run: (setting: Setting) => Promise<void>): void {
  for (const [name, open] of Object.entries(STORES)) {
    test(`${name}: ${behaviour}`, async (t) => {
      const clock = new TestClock(1_000_000);
      let store: EventStore | undefined;
      t.after(() => store?.close());
      store = await open(t, clock);
      await store.append([batchOf(...manyEvents(10))]);
      await run({ name, store, clock });
    });
  }
}
