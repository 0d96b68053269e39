import { type AggregatorProcess, Site } from '../../lab/aggregator-process.ts';
import type { Ending } from '../../lab/aggregator-process.ts';
import type { Source } from '../../lab/changed-source.ts';
import { Network, type Place } from '../../lab/network.ts';
import type { SeededRandom } from '../../lab/random.ts';
import { BrokenPromise } from '../broken-promise.ts';

/** One process of the service, and the networks between it and each server of the database. */
export interface Instance {
  /** Its place among the instances, which its successor takes over. */
  readonly place: number;
  readonly service: AggregatorProcess;
  readonly networks: readonly Network[];
}

/** How an instance reaches its database: an address with the ports of the networks in between. */
type AddressAt = (ports: readonly number[]) => string;

/** What it logs when acknowledged events are gone. */
const LOST = /has lost events that were acknowledged/;

/** The instances of the service on one database. Each is up, or down until it is started again. */
export class Instances {
  readonly #site: Site;
  readonly #source: Source;
  readonly #addressAt: AddressAt;
  /** Of each place. */
  readonly #networks: (readonly Network[])[] = [];
  readonly #up = new Map<number, Instance>();
  /** Those that were killed or stopped. */
  readonly #ended: AggregatorProcess[] = [];

  constructor(ending: Ending, source: Source, addressAt: AddressAt) {
    this.#site = new Site(ending);
    this.#source = source;
    this.#addressAt = addressAt;
    ending.after(() => closed(this.#networks.flat()));
  }

  get up(): readonly Instance[] {
    return [...this.#up.values()];
  }

  /** How many places there are, with the instances that are down. */
  get places(): number {
    return this.#networks.length;
  }

  /** Leads everybody to where the servers are now. */
  lead(servers: readonly Place[]): void {
    for (const networks of this.#networks) {
      for (const [i, network] of networks.entries()) network.server = servers[i] ?? network.server;
    }
  }

  /** Ends what stalls. */
  flow(): void {
    for (const network of this.#networks.flat()) network.flow();
  }

  /** Any that is up; undefined if all are down. */
  any(random: SeededRandom): Instance | undefined {
    const { up } = this;
    return up[random.whole(0, Math.max(0, up.length - 1))];
  }

  /** Makes the networks for so many instances, and starts these at the same time. */
  async start(count: number, servers: readonly Place[]): Promise<void> {
    const from = this.#networks.length;
    for (let i = 0; i < count; i++) {
      this.#networks.push(await Promise.all(servers.map((server) => Network.open(server))));
    }
    await Promise.all(this.#networks.slice(from).map((_, i) => this.revive(from + i)));
  }

  /** Stops the instances from a place on, and forgets them. */
  async dismiss(from: number): Promise<void> {
    await Promise.all(this.up.filter(({ place }) => place >= from).map((instance) => this.stop(instance)));
    await closed(this.#networks.splice(from).flat());
  }

  /** Starts the instance at a place that has none. */
  async revive(place: number): Promise<Instance> {
    const networks = this.#networks[place]!;
    const service = await this.#site.start({
      command: this.#source.start,
      withinMs: START_MS_MAX,
      settings: {
        STORE_URL: this.#addressAt(networks.map(({ port }) => port)),
        WEBHOOK_ALLOW_PRIVATE: 'true',
      },
    });
    const instance = { place, service, networks };
    this.#up.set(place, instance);
    return instance;
  }

  /** Starts whatever is down. */
  async reviveAll(): Promise<void> {
    const down = [...this.#networks.keys()].filter((place) => !this.#up.has(place));
    await Promise.all(down.map((place) => this.revive(place)));
  }

  /** Ends one at once, by `kill -9`. */
  async kill({ place, service }: Instance): Promise<void> {
    this.#up.delete(place);
    await service.kill();
    this.#ended.push(service);
  }

  /** Ends one as an operator does, and expects a clean end. */
  async stop({ place, service }: Instance): Promise<void> {
    this.#up.delete(place);
    service.program.signal('SIGTERM');
    const { code, signal } = await service.program.exit(STOP_MS_MAX);
    if (code !== 0) throw new BrokenPromise('exit code 0', `${code ?? signal}\n${service.program.printed()}`);
    this.#ended.push(service);
  }

  /** None has ended by itself, written to stderr or missed events. Throws a BrokenPromise. */
  expectSound(): void {
    for (const { service } of this.up) {
      if (service.program.hasExited)
        throw new BrokenPromise('an instance that runs', service.program.printed());
    }
    for (const { program, logs } of [...this.#ended.splice(0), ...this.up.map(({ service }) => service)]) {
      if (program.stderr !== '') throw new BrokenPromise('nothing on stderr', program.printed());
      const lost = logs.find(({ msg }) => LOST.test(msg));
      if (lost !== undefined) throw new BrokenPromise('no event lost', JSON.stringify(lost));
    }
  }
}

/** Many start at the same time on two processors. */
const START_MS_MAX = 120_000;
const STOP_MS_MAX = 60_000;

async function closed(networks: readonly Network[]): Promise<void> {
  await Promise.all(networks.map((network) => network[Symbol.asyncDispose]()));
}
