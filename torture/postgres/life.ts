import { setTimeout as sleep } from 'node:timers/promises';
import { Endings } from '../../lab/aggregator-process.ts';
import type { Source } from '../../lab/changed-source.ts';
import type { Network } from '../../lab/network.ts';
import type { SeededRandom } from '../../lab/random.ts';
import { Account } from '../account.ts';
import { BrokenPromise } from '../broken-promise.ts';
import { checkService, checkWhole } from '../check.ts';
import { Events } from '../events.ts';
import { History } from '../history/history.ts';
import { publishUnsettled } from '../publisher.ts';
import { setPolicies } from '../letting-go/deleter.ts';
import { KEPT_TOPIC, topicsOf } from '../letting-go/topics.ts';
import { type Clients, deleteAnywhere, publishAnywhere, publishAtOnce, readAnywhere } from './clients.ts';
import { type Database, OwnDatabase, newSchema, quiet, removeLog } from './database.ts';
import { LogFollower } from './followers.ts';
import { WebhookTarget } from './webhook.ts';
import { GroupWorkers } from './workers.ts';
import { type Instance, Instances } from './instances.ts';
import { type Fault, type Round, planRound } from './plan.ts';
import type { DatabaseReport } from './report.ts';

interface Setting {
  readonly database: Database;
  readonly source: Source;
  readonly instances: number;
  readonly faults: readonly Fault[];
  readonly random: SeededRandom;
  readonly report: DatabaseReport;
  /** Called after each round. */
  readonly advanced: () => void;
}

/** How many instances start at once, all of them together. */
const MANY = 20;
/** After a fault publishing must go on within so long; a commit in doubt is tried again for 20 s. */
const GOES_ON_WITHIN_MS = 30_000;
/** Followers must have been shown everything so long after the last publish. */
const SHOWN_WITHIN_MS = 15_000;
const READERS = 2;
const WORKERS = 3;
/**
 * For so long nothing may be delivered while something is left: leases, and the claim of a killed instance on a webhook, must run
 * out first. How long it takes in all depends on how much there is.
 */
const STANDS_MS_MAX = 90_000;

/**
 * One log in a database from its first event to the check of everything. In each round publishers and readers work on all
 * instances, something goes wrong, they go on; then they pause, and what is stored is compared with what everybody was told.
 * Followers read all the time, from the first round to the last.
 */
export class DatabaseLife {
  readonly #setting: Setting;
  readonly #schema = newSchema();
  readonly #events: Events;
  readonly #account: Account;
  readonly #history: History;
  readonly #endings = new Endings();
  readonly #instances: Instances;
  readonly #followers: LogFollower[] = [];
  readonly #life = new AbortController();
  /** The first promise that a client found broken. */
  #broken: Error | null = null;
  #fault: Fault = 'instance killed';

  constructor(setting: Setting) {
    this.#setting = setting;
    this.#events = new Events(setting.random.seed);
    this.#account = new Account(this.#events, setting.report.answers);
    this.#history = new History((key, offset) => {
      const topic = this.#events.topicOf(key);
      return this.#account.lettingGo.standing(topic, offset) !== 'kept';
    });
    const { database, source } = setting;
    this.#instances = new Instances(this.#endings, source, (ports) => {
      const places = ports.map((port) => ({ host: '127.0.0.1', port }));
      return database.addressAt(places, this.#schema);
    });
  }

  get stored(): number {
    return this.#account.stored;
  }

  /** Runs rounds until `isOver`, then publishes and reads everything. Throws a BrokenPromise. */
  async live(isOver: () => boolean): Promise<void> {
    const { database, instances, report, random, faults } = this.#setting;
    try {
      await this.#instances.start(instances, database.servers);
      const { service: first } = this.#instances.up[0]!;
      const workers = new GroupWorkers(this.#clients(random.fork(6), this.#life.signal));
      await workers.make(first);
      const target = await WebhookTarget.open(this.#endings, (error) => (this.#broken ??= error));
      await target.make(first, KEPT_TOPIC);
      await setPolicies(first.port);
      const following = Promise.all([
        this.#follow(),
        ...Array.from({ length: WORKERS }, (_, i) => this.#watched(workers.work(random.fork(7, i)))),
      ]);
      while (!isOver()) {
        await this.#round(planRound(random, report.rounds, faults));
        report.rounds += 1;
        this.#setting.advanced();
      }
      const service = this.#instances.up[0]!.service;
      const { port } = service;
      await publishUnsettled({
        account: this.#account,
        events: this.#events,
        history: this.#history,
        port,
        mayDoubt: true,
      });
      await checkWhole(service, this.#account, this.#events, random.fork(8, report.rounds));
      await this.#shown();
      this.#history.check();
      const all = this.#account.storedByTopic.get(KEPT_TOPIC) ?? 0;
      const seen = this.#account.stored - this.#bare;
      await this.#delivered(async () => (await workers.left(service, seen)) + target.left(all));
      this.#life.abort();
      await following;
      report.deliveries += workers.deliveries;
      report.messages += target.messages;
      report.streams += this.#followers.reduce((sum, { streams }) => sum + streams, 0);
      report.operations += this.#history.operations;
      for (const instance of this.#instances.up) await this.#instances.stop(instance);
      this.#instances.expectSound();
      report.database = await removeLog(database, this.#schema);
    } catch (error) {
      throw this.#withHistory(error as Error);
    } finally {
      this.#life.abort();
      await this.#endings[Symbol.asyncDispose]();
    }
  }

  /** How many events were stored without their texts, so that no group knows of them. */
  get #bare(): number {
    const { storedByTopic } = this.#account;
    return topicsOf('bare').reduce((sum, topic) => sum + (storedByTopic.get(topic) ?? 0), 0);
  }

  /** The error, together with what the history says, which others may have been faster to notice. */
  #withHistory(error: Error): Error {
    try {
      this.#history.check();
      return error;
    } catch (found) {
      if ((found as Error).message === error.message) return error;
      return new Error(
        `${error.message}\nThe history of what clients were told: ${(found as Error).message}`,
        { cause: found },
      );
    }
  }

  async #follow(): Promise<void> {
    const { random, instances } = this.#setting;
    this.#followers.push(
      ...Array.from({ length: instances }, (_, place) => {
        return new LogFollower(place, this.#clients(random.fork(2, place), this.#life.signal));
      }),
    );
    await Promise.all(this.#followers.map((follower) => this.#watched(follower.follow())));
  }

  async #round(round: Round): Promise<void> {
    const { random, report, database } = this.#setting;
    this.#fault = round.fault;
    const stop = new AbortController();
    const clientOf = (i: number) => this.#clients(random.fork(3, report.rounds, i), stop.signal);
    const working = [
      ...Array.from({ length: round.publishers }, (_, i) => publishAnywhere(clientOf(i), round.batches)),
      ...Array.from({ length: READERS }, (_, i) => readAnywhere(clientOf(100 + i))),
      deleteAnywhere(clientOf(200), report.deletions),
    ].map((work) => this.#watched(work));
    try {
      await this.#pause(round.beforeMs);
      await this.#cause(round, random.fork(4, report.rounds));
      report.faults[round.fault].times += 1;
      await this.#pause(round.afterMs);
    } finally {
      stop.abort();
      this.#instances.flow();
      // Also after a failure: what they are told completes the history.
      await Promise.all(working);
    }
    this.#throwIfBroken();
    this.#instances.expectSound();
    await this.#instances.reviveAll();
    await quiet(database);
    await this.#check();
  }

  /** Nobody publishes. */
  async #check(): Promise<void> {
    const { random, report } = this.#setting;
    const draw = random.fork(5, report.rounds);
    this.#history.check();
    const { up } = this.#instances;
    const { service } = up[draw.whole(0, up.length - 1)]!;
    // Another instance may have to notice first that the one which obeyed the policies is gone.
    await checkService(service, this.#account, this.#events, draw, 0);
    const ends = await Promise.all(up.map(async ({ service }) => (await service.stats()).last_offset));
    for (const end of ends) {
      if (end !== this.#account.lastOffset)
        throw new BrokenPromise(`all instances to end at ${this.#account.lastOffset}`, ends.join());
    }
    await this.#shown();
    this.#history.check();
    this.#throwIfBroken();
  }

  /** Waits until every follower was shown the whole log. */
  async #shown(): Promise<void> {
    const giveUpAt = performance.now() + SHOWN_WITHIN_MS;
    const { lastOffset } = this.#account;
    const { service } = this.#instances.up[0]!;
    const newest = await service.get<{ events: { offset: number }[] }>('/events?order=desc&limit=1');
    const readTo = newest.events[0]?.offset ?? 0;
    while (this.#followers.some(({ position }) => position < readTo)) {
      this.#throwIfBroken();
      if (performance.now() > giveUpAt) {
        const positions = this.#followers.map(({ position }) => position).join();
        throw new BrokenPromise(
          `every follower shown the log up to ${readTo} within ${SHOWN_WITHIN_MS} ms`,
          positions,
        );
      }
      await sleep(10);
    }
    for (const { position } of this.#followers) {
      if (position > lastOffset)
        throw new BrokenPromise(`no follower shown more than ${lastOffset}, the end`, `${position}`);
    }
  }

  /** Waits until the groups have nothing left. */
  async #delivered(left: () => Promise<number>): Promise<void> {
    let [fewest, sinceMs] = [Infinity, performance.now()];
    for (let now = await left(); now > 0; now = await left()) {
      if (now < fewest) [fewest, sinceMs] = [now, performance.now()];
      if (performance.now() - sinceMs > STANDS_MS_MAX)
        throw new BrokenPromise('all events of groups delivered', `${now} left for ${STANDS_MS_MAX} ms`);
      await this.#pause(100);
    }
    this.#throwIfBroken();
  }

  async #cause(round: Round, random: SeededRandom): Promise<void> {
    const instances = this.#instances;
    const hit = instances.up
      .toSorted((a, b) => order(random.seed, a, b))
      .slice(0, Math.min(round.hits, instances.up.length - 1));
    switch (round.fault) {
      case 'instance killed':
        await Promise.all(hit.map((one) => instances.kill(one)));
        await this.#goesOn(performance.now());
        await instances.reviveAll();
        return;
      case 'instance stopped':
        await Promise.all(hit.map((one) => instances.stop(one)));
        await instances.reviveAll();
        return;
      case 'database stopped at once':
      case 'database killed': {
        const { primary } = this.#own;
        await (round.fault === 'database killed' ? primary.kill() : primary.stop('immediate'));
        await this.#pause(random.whole(0, 1500));
        await primary.start();
        instances.lead(this.#own.servers);
        return this.#noted(performance.now());
      }
      case 'connections cut':
        for (let i = 0; i < round.cuts; i++) {
          const { networks } = instances.any(random)!;
          const before = cutsOf(networks);
          const bytes = random.whole(0, round.bytesMax);
          const isLate = random.chance(0.5);
          for (const network of networks) network.cutAfter(bytes, isLate);
          await this.#pause(random.whole(20, 150));
          this.#setting.report.cuts += cutsOf(networks) - before;
        }
        return this.#noted(performance.now());
      case 'network stalled':
        for (const { networks } of hit) for (const network of networks) network.stall();
        await this.#pause(round.stallMs);
        instances.flow();
        return this.#noted(performance.now());
      case 'same keys everywhere': {
        const { signal } = this.#life;
        await this.#watched(publishAtOnce(this.#clients(random, signal), random.whole(10, 30)));
        return;
      }
      case 'many start': {
        const from = instances.places;
        await instances.start(Math.max(0, MANY - from), this.#setting.database.servers);
        await this.#goesOn(performance.now());
        await instances.dismiss(from);
        return;
      }
      case 'failover': {
        const fromMs = performance.now();
        await this.#own.failOver();
        this.#setting.report.promotedMs.push(performance.now() - fromMs);
        // Nothing is switched: the instances know both servers.
        await this.#noted(fromMs);
        await this.#own.pair();
        instances.lead(this.#own.servers);
      }
    }
  }

  get #own(): OwnDatabase {
    const { database } = this.#setting;
    if (!(database instanceof OwnDatabase))
      throw new Error(`${this.#fault} needs a database of the run's own`);
    return database;
  }

  /** Notes how long after this moment the next publish is acknowledged. */
  async #noted(fromMs: number): Promise<void> {
    this.#setting.report.faults[this.#fault].goneOnMs.push(await this.#goesOn(fromMs));
  }

  async #goesOn(fromMs: number): Promise<number> {
    const { answeredEvents } = this.#account;
    while (this.#account.answeredEvents === answeredEvents) {
      if (performance.now() - fromMs > GOES_ON_WITHIN_MS)
        throw new BrokenPromise(
          `publishing to go on within ${GOES_ON_WITHIN_MS} ms of: ${this.#fault}`,
          'no answer',
        );
      await this.#pause(5);
    }
    return performance.now() - fromMs;
  }

  #clients(random: SeededRandom, signal: AbortSignal): Clients {
    return {
      account: this.#account,
      events: this.#events,
      history: this.#history,
      instances: this.#instances,
      random,
      signal,
      moved: (ms) => {
        if (this.#fault === 'instance killed') this.#setting.report.faults[this.#fault].goneOnMs.push(ms);
      },
    };
  }

  /** Keeps the first error of a client, which `#throwIfBroken` then throws. */
  async #watched(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#broken ??= error as Error;
    }
  }

  #throwIfBroken(): void {
    if (this.#broken !== null) throw this.#broken;
  }

  async #pause(ms: number): Promise<void> {
    const untilMs = performance.now() + ms;
    do {
      await sleep(Math.min(20, ms));
      this.#throwIfBroken();
    } while (performance.now() < untilMs);
  }
}

function order(seed: number, a: Instance, b: Instance): number {
  const key = ({ place }: Instance) => Math.imul(place + 1, 0x9e37_79b1) ^ seed;
  return key(a) - key(b);
}

function cutsOf(networks: readonly Network[]): number {
  return networks.reduce((sum, { cuts }) => sum + cuts, 0);
}
