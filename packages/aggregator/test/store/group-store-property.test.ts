import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import * as fc from 'fast-check';
import type { EventStore } from '../../src/store/event-store.ts';
import { ManyInstances } from '../../src/store/memory/many-instances.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { PostgresStore } from '../../src/store/postgres/store.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { DONE, type LeaseStates, type Leases, type Step } from '../../src/store/group-store.ts';
import { SeededRandom } from '../../../../lab/random.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import { newLog } from '../support/postgres-server.ts';
import { readAhead } from '../support/stored-group.ts';
import { TestClock } from '../support/stores.ts';
import { tempFolder } from '../support/temp-folder.ts';

const EVENTS = 24;
const LEASE_MS = 100;
const DELIVERIES_MAX = 3;
const OUTSTANDING_MAX = 12;

interface Lease {
  readonly take: number;
  readonly offset: number;
}

/** What a worker may do; numbers choose among the leases that were ever given, good or not. */
const anAction = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('take' as const), demands: fc.array(fc.nat(5), { minLength: 1, maxLength: 3 }), gap: fc.nat(3), behind: fc.constantFrom(0, 0, 0, 1, 4) }) }, // prettier-ignore
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('acknowledge', 'giveBack', 'extend'), chosen: fc.array(fc.nat(60), { maxLength: 6 }), ms: fc.constantFrom(0, 30, 250) }) }, // prettier-ignore
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 40, 100, 400) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('untake' as const), chosen: fc.option(fc.nat(60)) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replay' as const), offsets: fc.option(fc.array(fc.nat(EVENTS), { maxLength: 5 })) }) }, // prettier-ignore
  { weight: 1, arbitrary: fc.record({ do: fc.constant('seek' as const), offset: fc.nat(EVENTS + 3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('erase' as const), offset: fc.integer({ min: 1, max: EVENTS }) }) }, // prettier-ignore
);

/** What must hold for any group, in the simplest terms: what was seen of each event, and what may be seen next. */
class Witness {
  readonly #seen = new Map<
    number,
    { deliveries: number; heldUntilMs: number; take: number; acknowledged: boolean }
  >();
  position = 0;

  delivered(nowMs: number, take: number, offset: number, delivery: number): void {
    const before = this.#seen.get(offset);
    if (before === undefined) {
      assert.ok(offset > this.position, `first deliveries are in order: ${offset} after ${this.position}`);
      this.position = offset;
    } else {
      assert.ok(!before.acknowledged, `${offset} was acknowledged and is delivered again`);
      assert.ok(before.heldUntilMs <= nowMs, `${offset} is leased and is delivered again`);
    }
    const deliveries = (before?.deliveries ?? 0) + 1;
    assert.equal(delivery, deliveries, `deliveries of ${offset}`);
    assert.ok(deliveries <= DELIVERIES_MAX, `${offset} is delivered too often`);
    this.#seen.set(offset, { deliveries, heldUntilMs: nowMs + LEASE_MS, take, acknowledged: false });
  }

  isHeld(nowMs: number, { take, offset }: Lease): boolean {
    const seen = this.#seen.get(offset);
    return seen !== undefined && !seen.acknowledged && seen.take === take && seen.heldUntilMs > nowMs;
  }

  acknowledged({ offset }: Lease): void {
    this.#seen.get(offset)!.acknowledged = true;
  }

  until({ offset }: Lease, heldUntilMs: number): void {
    this.#seen.get(offset)!.heldUntilMs = heldUntilMs;
  }

  undone(nowMs: number, take: number | null): void {
    for (const seen of this.#seen.values()) {
      if (seen.take !== (take ?? seen.take) || seen.acknowledged || seen.heldUntilMs <= nowMs) continue;
      seen.heldUntilMs = 0;
      seen.deliveries -= 1;
    }
  }

  replayed(offset: number): void {
    this.#seen.set(offset, { deliveries: 0, heldUntilMs: 0, take: 0, acknowledged: false });
  }

  sought(position: number): void {
    this.position = position;
    for (const offset of this.#seen.keys()) if (offset > position) this.#seen.delete(offset);
    for (const seen of this.#seen.values()) seen.heldUntilMs = 0;
  }

  /** Settled without its text: nobody is owed it any more. */
  expired({ offset }: Lease): void {
    this.#seen.get(offset)!.acknowledged = true;
  }

  /** Events that must still be delivered, or be dead. */
  owed(): number[] {
    return [...this.#seen].flatMap(([offset, { acknowledged }]) => (acknowledged ? [] : [offset]));
  }
}

/** A store that is compared with the reference, both with the same events and groups. */
interface Subject {
  readonly reference: EventStore;
  readonly clock: TestClock;
  /** Whichever instance the next step goes to. */
  readonly store: () => EventStore;
  readonly restart: () => Promise<void>;
  /** The offsets of the events whose texts are gone in both. */
  readonly gone: Set<number>;
  readonly close: () => Promise<void>;
}

async function withEvents(reference: EventStore, store: EventStore): Promise<void> {
  for (const one of [reference, store]) await one.append([batchOf(...manyEvents(EVENTS))]);
}

/** Each store, and what makes the subject of one run. */
const SUBJECTS: Readonly<Record<string, (t: TestContext) => Promise<() => Promise<Subject>>>> = {
  'The reference as many instances': async () => async () => {
    const clock = new TestClock(Date.now());
    const reference = new MemoryStore(clock.now);
    const random = new SeededRandom(1);
    const truth = new ManyInstances(() => random.between(0, 1), clock.now);
    const instances = [truth.open(), truth.open()];
    await withEvents(reference, instances[0]!);
    const store = (): EventStore => instances[random.whole(0, 1)]!;
    return { reference, clock, store, restart: async () => {}, gone: new Set(), close: async () => {} };
  },
  SQLite: async (t) => {
    const folder = tempFolder(t);
    let file = 0;
    return async () => {
      const path = join(folder, `${file++}.db`);
      const clock = new TestClock(Date.now());
      const reference = new MemoryStore(clock.now);
      const open = () => SqliteStore.open(path, undefined, { clock: clock.shared });
      let store = await open();
      await withEvents(reference, store);
      const restart = async (): Promise<void> => {
        await store.close();
        store = await open();
      };
      return {
        reference,
        clock,
        store: () => store,
        restart,
        gone: new Set(),
        close: () => store.close(),
      };
    };
  },
  // The runs share the log: each has a group of its own.
  'PostgreSQL with three instances': async (t) => {
    const address = await newLog();
    const clock = new TestClock(Date.now());
    const reference = new MemoryStore(clock.now);
    const open = () => PostgresStore.open(address, undefined, { now: clock.now, allowsLoss: true });
    const instances = await Promise.all([open(), open(), open()]);
    t.after(() => Promise.all(instances.map((instance) => instance.close())));
    await withEvents(reference, instances[0]);
    const random = new SeededRandom(1);
    const restart = async (): Promise<void> => {
      await instances.shift()!.close();
      instances.push(await open());
    };
    const store = (): EventStore => instances[random.whole(0, instances.length - 1)]!;
    const gone = new Set<number>();
    return async () => ({ reference, clock, store, restart, gone, close: async () => {} });
  },
};

let groups = 0;

for (const [name, subjects] of Object.entries(SUBJECTS))
  test(`${name} behaves like the reference whatever workers do, with restarts in between; acknowledged events are never delivered again, and all others are, or are dead`, async (t) => {
    const begun = await subjects(t);
    await fc.assert(
      fc.asyncProperty(fc.array(anAction, { maxLength: 40 }), async (actions) => {
        const { reference, clock, store, restart, gone, close } = await begun();
        try {
          const both = async <const S extends Step>(step: S) => {
            const [expected] = await reference.groups.apply([step]);
            const [actual] = await store().groups.apply([step]);
            assert.deepEqual(withoutSecret(actual), withoutSecret(expected), step[0]);
            return expected;
          };
          const definition = { name: `w-${groups++}`, topics: ['>'], start: 'earliest', leaseMs: LEASE_MS, deliveriesMax: DELIVERIES_MAX, push: null } as const; // prettier-ignore
          const created = await both(['create', definition]);
          assert.ok(created.kind === 'created');
          const { id } = created.state;
          const witness = new Witness();
          const given: Lease[] = [];
          let position = 0;
          /** By the step of that name alone. */
          let expired = 0;

          /** The offer begins at the position, or where another process may have moved it from. */
          const take = async (demands: number[], upTo: number, behind = 0): Promise<void> => {
            const after = Math.max(0, position - behind);
            const fresh = readAhead(after, upTo, [...gone]);
            const request = { demands, bytesMax: 1000, readAhead: fresh, outstandingMax: OUTSTANDING_MAX };
            const taken = await both(['take', id, request]);
            const empty: Lease[] = [];
            for (const hand of taken!.hands) {
              for (const [i, offset] of hand.offsets.entries()) {
                witness.delivered(clock.ms, hand.take, offset, hand.deliveries[i]!);
                const lease = { take: hand.take, offset };
                (gone.has(offset) ? empty : given).push(lease);
              }
            }
            position = taken!.position;
            const states = await both(['expire', id, leasesOf(empty)]);
            assert.ok(states!.every((state) => state === DONE));
            for (const lease of empty) witness.expired(lease);
            expired += empty.length;
          };
          const settle = async (
            what: 'acknowledge' | 'giveBack' | 'extend',
            chosen: Lease[],
            ms: number,
          ): Promise<void> => {
            const leases = leasesOf(chosen);
            const states: LeaseStates | null =
              what === 'acknowledge' ? await both([what, id, leases]) : await both([what, id, leases, ms]);
            for (const [i, lease] of chosen.entries()) {
              const isHeld = witness.isHeld(clock.ms, lease);
              assert.equal(
                states![i] === DONE,
                isHeld,
                `${what} of a lease that is ${isHeld ? '' : 'not '}held`,
              );
              if (!isHeld) continue;
              if (what === 'acknowledge') witness.acknowledged(lease);
              else witness.until(lease, what === 'extend' ? clock.ms + ms : clock.ms);
            }
          };
          const deadOffsets = async (): Promise<number[]> =>
            (await both(['dead', id, 0, 1000]))!.map(({ offset }) => offset);

          for (const action of actions) {
            switch (action.do) {
              case 'take':
                await take(action.demands, Math.min(EVENTS, position + action.gap + 1), action.behind);
                break;
              case 'acknowledge':
              case 'giveBack':
              case 'extend': {
                if (given.length === 0) break;
                await settle(action.do, action.chosen.map((i) => given[i % given.length]!), action.ms); // prettier-ignore
                break;
              }
              case 'pass':
                clock.ms += action.ms;
                break;
              case 'untake': {
                const lease = action.chosen === null ? null : given[action.chosen % given.length];
                if (lease === undefined) break;
                await both(['untake', id, lease?.take ?? null]);
                witness.undone(clock.ms, lease?.take ?? null);
                break;
              }
              case 'replay': {
                const before = await deadOffsets();
                await both(['replay', id, action.offsets, 4]);
                const after = new Set(await deadOffsets());
                for (const offset of before) if (!after.has(offset)) witness.replayed(offset);
                break;
              }
              case 'seek': {
                const to = action.offset === 0 ? 'earliest' : { offset: action.offset };
                const sought = await both(['seek', id, to]);
                if (sought!.kind !== 'sought') break;
                position = sought!.position;
                witness.sought(position);
                break;
              }
              case 'restart':
                await restart();
                break;
              case 'erase':
                if (store().retention === null) break;
                for (const { retention } of [reference, store()]) {
                  await retention.erase(eventWith().topic, `e-${action.offset}`, false);
                }
                gone.add(action.offset);
                break;
            }
            await both(['state', id]);
            await both(['outstanding', id, 3, 5]);
            await both(['returned', id, 2, 5]);
          }

          // Workers that process everything: in the end all events are acknowledged or dead, and all that were owed
          // arrived.
          const dead = new Set(await deadOffsets());
          const owed = new Set(witness.owed().filter((offset) => !dead.has(offset)));
          for (let round = 0; round < 30; round++) {
            clock.ms += LEASE_MS * 3;
            const from = given.length;
            await take([50], EVENTS);
            for (const { offset } of given.slice(from)) owed.delete(offset);
            await settle('acknowledge', given.slice(from), 0);
          }
          for (const offset of [...(await deadOffsets()), ...gone]) owed.delete(offset);
          const state = await both(['state', id]);
          assert.deepEqual([state!.leased, state!.returned, state!.position], [0, 0, EVENTS]);
          if (!actions.some((action) => action.do === 'seek')) {
            assert.deepEqual([...owed], []);
            // What had expired before the first kept event was never the group's.
            const own = EVENTS - created.state.position;
            assert.equal(state!.acknowledged + state!.dead + state!.expired, own);
            assert.ok(state!.expired >= expired);
          }
        } finally {
          await close();
        }
      }),
      { numRuns: 12 },
    );
  });

function leasesOf(leases: readonly Lease[]): Leases {
  return {
    takes: Float64Array.from(leases, ({ take }) => take),
    offsets: Float64Array.from(leases, ({ offset }) => offset),
  };
}

/** Each store draws its secret at random. */
function withoutSecret(outcome: unknown): unknown {
  if (typeof outcome !== 'object' || outcome === null || ArrayBuffer.isView(outcome)) return outcome;
  if ('state' in outcome) return { ...outcome, state: withoutSecret(outcome.state) };
  return 'secret' in outcome ? { ...outcome, secret: null } : outcome;
}
