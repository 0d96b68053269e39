import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { EventStore } from '../../src/store/event-store.ts';
import { ManyInstances } from '../../src/store/memory/many-instances.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { PostgresStore } from '../../src/store/postgres/store.ts';
import { SqliteStore } from '../../src/store/sqlite/store.ts';
import { SeededRandom } from '../../../../lab/random.ts';
import { newLog } from './postgres-server.ts';
import { tempFolder } from './temp-folder.ts';

/** The clock of a store under test. Every store reads it, from any thread. */
export class TestClock {
  readonly shared = new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT));

  constructor(ms: number) {
    this.ms = ms;
  }

  get ms(): number {
    return this.shared[0]!;
  }

  set ms(ms: number) {
    this.shared[0] = ms;
  }

  readonly now = (): number => this.ms;
}

/** Every store, by its folder, and the reference as many processes see it. All of them pass the same suites. */
export const STORES: Readonly<Record<string, (t: TestContext, clock: TestClock) => Promise<EventStore>>> = {
  memory: async (_t, clock) => new MemoryStore(clock.now),
  'memory, many instances': async (_t, clock) => takingTurns(clock),
  postgres: async (_t, clock) =>
    PostgresStore.open(await newLog(), undefined, { now: clock.now, allowsLoss: true }),
  sqlite: (t, clock) =>
    SqliteStore.open(join(tempFolder(t), 'events.db'), undefined, { clock: clock.shared }),
};

/** The folders of stores, each of which must be in STORES. */
export function storeFolders(): string[] {
  const source = new URL('../../src/store/', import.meta.url);
  return readdirSync(source).filter((name) => existsSync(new URL(`${name}/store.ts`, source)));
}

/** Three instances on one truth as one store: each call goes to the next one, as behind a load balancer. */
function takingTurns(clock: TestClock): EventStore {
  const random = new SeededRandom(1);
  const truth = new ManyInstances(() => random.between(0, 1), clock.now);
  const instances = [truth.open(), truth.open(), truth.open()];
  let turn = 0;
  const next = (): EventStore => instances[turn++ % instances.length]!;
  const [first] = instances as [EventStore];
  return {
    about: first.about,
    epochs: first.epochs,
    groupsAtOnce: first.groupsAtOnce,
    groups: {
      apply: (steps) => next().groups.apply(steps),
      watch: (listener) => first.groups.watch(listener),
    },
    retention: first.retention,
    repeats: first.repeats,
    sources: first.sources,
    audit: first.audit,
    append: (batches) => next().append(batches),
    probe: () => next().probe(),
    snapshot: (query) => next().snapshot(query),
    read: (query) => next().read(query),
    readAt: (offsets) => next().readAt(offsets),
    countAt: (offsets, filter) => next().countAt(offsets, filter),
    find: (topic, eventId) => next().find(topic, eventId),
    topics: (filter) => next().topics(filter),
    stats: () => next().stats(),
    watch: (after, listener) => first.watch(after, listener),
    watchEpochs: (listener) => first.watchEpochs(listener),
    close: async () => {
      for (const instance of instances) await instance.close();
    },
  };
}
