import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DONE,
  EXPIRED,
  type Definition,
  type GroupState,
  SETTLED,
  type Step,
} from '../../../src/store/group-store.ts';
import type { EventStore } from '../../../src/store/event-store.ts';
import { batchOf, manyEvents } from '../../support/events.ts';
import { MOVABLE, moved, openAt } from '../../support/moving.ts';
import { readAhead } from '../../support/stored-group.ts';

const HOUR_MS = 3_600_000;
const PUSH = {
  url: 'https://example.com/hook',
  secrets: ['whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'],
  format: 'cloudevents',
} as const;

function definition(change: Partial<Definition>): Definition {
  const own = {
    topics: ['orders'],
    start: 'earliest',
    leaseMs: HOUR_MS,
    deliveriesMax: 2,
    push: null,
  } as const;
  return { name: 'workers', ...own, ...change };
}

async function step<const S extends Step>(store: EventStore, ...one: S) {
  const [outcome] = await store.groups.apply([one]);
  return outcome;
}

async function made(store: EventStore, change: Partial<Definition> = {}): Promise<number> {
  const created = await step(store, 'create', definition(change));
  return 'state' in created ? created.state.id : assert.fail(JSON.stringify(created));
}

async function taken(store: EventStore, id: number, events: number) {
  const request = { demands: [events], bytesMax: 1e6, readAhead: null, outstandingMax: 1000 };
  const [hand] = (await step(store, 'take', id, request))!.hands;
  return { offsets: [...hand!.offsets], deliveries: [...hand!.deliveries], take: hand!.take };
}

function leases(take: number, ...offsets: number[]) {
  return { takes: new Float64Array(offsets.length).fill(take), offsets: Float64Array.from(offsets) };
}

/** With secrets in one form, whatever kind of bytes a store has. */
function plain(states: readonly GroupState[]): unknown {
  return states.map((state) => ({ ...state, secret: Buffer.from(state.secret).toString('hex') }));
}

for (const [from, newSource] of Object.entries(MOVABLE)) {
  for (const [to, newTarget] of Object.entries(MOVABLE)) {
    test(`from ${from} to ${to}: groups go on where they were, with leases, dead letters and webhooks`, async (t) => {
      const [source, target] = [await newSource(t), await newTarget(t)];
      const old = await openAt(t, source);
      await old.append([batchOf(...manyEvents(30))]);
      const gone = await made(old, { name: 'gone' });
      await made(old, { name: 'hook', push: PUSH });
      const hook = (await step(old, 'find', 'hook'))!.id;
      await step(old, 'notePush', hook, 'it answered 500', HOUR_MS);
      // Another number of everything that is counted.
      const passing = { demands: [0], bytesMax: 1, readAhead: readAhead(0, 3, [1, 2, 3]), outstandingMax: 1 };
      await step(old, 'take', hook, passing);
      assert.equal((await step(old, 'state', hook))!.expired, 3);
      const id = await made(old);
      const first = await taken(old, id, 5);
      await step(old, 'acknowledge', id, leases(first.take, 1, 2));
      const held = await taken(old, id, 3);
      // Two deliveries are all that events may have.
      await step(old, 'giveBack', id, leases(first.take, 3), 0);
      const second = await taken(old, id, 1);
      assert.deepEqual([second.offsets, second.deliveries], [[3], [2]]);
      await step(old, 'giveBack', id, leases(second.take, 3), 0);
      await step(old, 'giveBack', id, leases(first.take, 4), 0);
      await step(old, 'remove', gone);
      const last = await made(old, { name: 'last' });
      await step(old, 'remove', last);
      const before = await step(old, 'list');
      const dead = await step(old, 'dead', id, 0, 10);
      assert.deepEqual(dead!.map(({ offset }) => offset), [3]); // prettier-ignore
      await old.close();

      assert.equal((await moved(source, target)).kind, 'moved');

      const store = await openAt(t, target);
      assert.deepEqual(plain(await step(store, 'list')), plain(before));
      assert.deepEqual(await step(store, 'dead', id, 0, 10), dead);
      assert.deepEqual([...(await step(store, 'acknowledge', id, leases(first.take, 1, 4, 5)))!], [SETTLED, EXPIRED, DONE]); // prettier-ignore
      assert.deepEqual([...(await step(store, 'acknowledge', id, leases(held.take, ...held.offsets)))!], [DONE, DONE, DONE]); // prettier-ignore
      const next = await taken(store, id, 2);
      assert.deepEqual([next.offsets, next.deliveries], [[4, 9], [2, 1]]); // prettier-ignore
      assert.equal(next.take, second.take + 1);
      assert.equal(await step(store, 'replay', id, null, 10), 1);
      assert.ok((await made(store, { name: 'later' })) > last, 'an id was given twice');
    });
  }
}
