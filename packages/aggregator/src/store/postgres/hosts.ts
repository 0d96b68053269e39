import { Client, type ClientBase, type ClientConfig } from 'pg';
import type { Host } from './address.ts';
import { HostsError, remedyFor } from './errors.ts';

type Connected = (error: Error, client?: Client) => void;

/**
 * Which of the servers of an address to connect to. In: clients made for the *next* one, and what became of each. The next is
 * the one that served last; where that cannot be reached, or is a standby, it is the one behind it. A failure moves it on
 * only from the host that failed, so that many that fail at the same time do not pass over the primary.
 */
export class Hosts {
  readonly #hosts: readonly Host[];
  readonly #config: ClientConfig;
  readonly #places = new WeakMap<ClientBase, number>();
  /** Why each failed that has not served since. */
  readonly #reasons = new Map<number, unknown>();
  /** Other errors are no host's, such as that a pool has no session free. */
  readonly #known = new WeakSet();
  readonly Client = clientsOf(this);
  /** The clients that are connected, or about to be. */
  readonly open = new Set<Client>();
  #next = 0;

  /** @param withinMs how long connecting may take; each of several hosts gets its part of it */
  constructor(hosts: readonly Host[], config: ClientConfig, withinMs: number) {
    this.#hosts = hosts;
    this.#config = { ...config, connectionTimeoutMillis: Math.floor(withinMs / hosts.length) };
  }

  /** How to connect to the next one. */
  get config(): ClientConfig {
    return { ...this.#config, connectionString: this.#hosts[this.#next]!.connectionString };
  }

  /** It was made for the host that is the next one now. */
  made(client: Client): void {
    this.#places.set(client, this.#next);
    this.open.add(client);
    client.on('end', () => this.open.delete(client));
  }

  /** It may be used: the next one is made for the same host. */
  served(client: ClientBase): void {
    const place = this.#places.get(client)!;
    this.#next = place;
    this.#reasons.delete(place);
  }

  /** It could not connect, or its host may not hold the log. */
  failed(client: ClientBase, error: unknown): void {
    const place = this.#places.get(client)!;
    if (typeof error === 'object' && error !== null) this.#known.add(error);
    this.#reasons.set(place, error);
    // What a host itself refuses, such as a password, no other one is asked for, as in libpq.
    if (this.#next === place && remedyFor(error) === 'reconnect')
      this.#next = (place + 1) % this.#hosts.length;
  }

  /** Connects by means of one host after another, each once, until one serves. */
  async reach<T>(connect: () => Promise<T>): Promise<T> {
    const count = this.#hosts.length;
    for (let tries = 1; ; tries++) {
      try {
        return await connect();
      } catch (error) {
        if (count === 1 || !this.#isOfHost(error)) throw error;
        if (tries === count || remedyFor(error) !== 'reconnect') throw this.#refusal(error);
      }
    }
  }

  #isOfHost(error: unknown): boolean {
    if (!(error instanceof Error)) return false;
    // The pool has an error of its own for a connection that was not made in time.
    return this.#known.has(error) || (error.cause instanceof Error && this.#known.has(error.cause));
  }

  #refusal(last: unknown): HostsError {
    const reasons = [...this.#reasons].toSorted(([a], [b]) => a - b);
    return new HostsError(
      reasons.map(([place, error]) => ({ host: this.#hosts[place]!.name, error })),
      last,
    );
  }
}

/** The class of clients that connect to what is the next host when they are made, as a pool takes it. */
function clientsOf(hosts: Hosts): new () => Client {
  return class HostClient extends Client {
    constructor() {
      super(hosts.config);
      hosts.made(this);
    }

    override connect(): Promise<Client>;
    override connect(connected: Connected): void;
    override connect(connected?: Connected): Promise<Client> | void {
      if (connected === undefined) {
        return super.connect().catch((error: unknown) => {
          hosts.failed(this, error);
          throw error;
        });
      }
      super.connect((error: Error, client?: Client) => {
        // Where there is none it is null, though its type does not say so.
        if (error instanceof Error) hosts.failed(this, error);
        connected(error, client);
      });
    }
  };
}
