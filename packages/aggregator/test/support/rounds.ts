import { setTimeout as sleep } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { AnswersUnderWay } from '../../src/api/read/answers-under-way.ts';
import { Rounds } from '../../src/retention/rounds.ts';
import { RETENTION_TIMING, type RetentionTiming } from '../../src/retention/timing.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import type { Policy, RetentionStore } from '../../src/store/retention-store.ts';
import { batchOf, eventWith } from './events.ts';
import { policyWith } from './letting-go.ts';
import { TestClock } from './stores.ts';
import { until } from './until.ts';

const TICK_MS = 2;

const EVERY_LINE = new Set(['level', 'time', 'pid', 'hostname', 'msg']);

/** Rounds over the reference store, whose time the test sets. Few events go at once unless the test gathers them. */
export class RoundsTested {
  readonly clock = new TestClock(Date.parse('2026-01-01T00:00:00Z'));
  readonly store = new MemoryStore(this.clock.now);
  readonly readers = new AnswersUnderWay();
  readonly lines: Record<string, unknown>[] = [];
  /** How often the policies were looked at. */
  looks = 0;
  /** What the rounds see of the store; a test may replace its methods. */
  readonly seen: RetentionStore;
  rounds: Rounds;
  readonly #timing: RetentionTiming;
  #events = 0;

  constructor(t: TestContext, timing: Partial<RetentionTiming> = {}) {
    this.#timing = {
      ...RETENTION_TIMING,
      tickMs: TICK_MS,
      gatherMs: 0,
      restsAfterLook: 0,
      now: this.clock.now,
      ...timing,
    };
    const { retention } = this.store;
    this.seen = {
      policies: () => {
        this.looks += 1;
        return retention.policies();
      },
      put: (policy) => retention.put(policy),
      remove: (name) => retention.remove(name),
      claim: () => retention.claim(),
      now: () => retention.now(),
      due: (query) => retention.due(query),
      expire: (query) => retention.expire(query),
      erase: (...of) => retention.erase(...of),
      forget: (query) => retention.forget(query),
      watch: (listener) => retention.watch(listener),
    };
    this.rounds = this.#start();
    t.after(() => this.rounds.close());
  }

  async restart(): Promise<void> {
    await this.rounds.close();
    this.rounds = this.#start();
  }

  /** Commits one event on each topic, a second after the last commit. */
  async commit(...topics: string[]): Promise<void> {
    for (const topic of topics) {
      this.clock.ms += 1000;
      await this.store.append([batchOf(eventWith({ topic, event_id: `${(this.#events += 1)}` }))]);
    }
  }

  async put(change: Partial<Policy>): Promise<void> {
    await this.seen.put(policyWith(change));
    await this.rounds.changed();
  }

  /** The offsets that are kept once a few more rounds have been made. */
  async kept(): Promise<number[]> {
    // The first of these may have begun earlier.
    const enough = this.looks + 3;
    await until(
      () => `${this.looks} looks`,
      () => this.looks >= enough,
    );
    const page = await this.store.read({
      order: 'asc',
      after: 0,
      upTo: 1e9,
      eventsMax: 1e6,
      framing: 'array',
      placed: true,
    });
    return [...page.offsets!];
  }

  /** Lets time pass for the rounds, in which a test expects nothing. */
  async someTicks(): Promise<void> {
    await sleep(10 * TICK_MS);
  }

  /** What the log says with this message, without what every line has. */
  told(message: string): Record<string, unknown>[] {
    const said = this.lines.filter(({ msg }) => msg === message);
    return said.map((line) =>
      Object.fromEntries(Object.entries(line).filter(([name]) => !EVERY_LINE.has(name))),
    );
  }

  #start(): Rounds {
    const { store, readers } = this;
    const write = (line: string): void => {
      this.lines.push(JSON.parse(line) as Record<string, unknown>);
    };
    const log = pino({ level: 'info' }, { write });
    return new Rounds({ store, retention: this.seen, readers, timing: this.#timing, log });
  }
}
