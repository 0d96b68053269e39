import type { Target } from '../load/driver.ts';
import type { Database } from './database.ts';
import { type ServerCommand, ServerProcess } from './server-process.ts';

/** Servers that share a log in a database. Their processor time includes the database's. */
export class Instances implements Target, AsyncDisposable {
  readonly servers: readonly ServerProcess[];
  readonly #database: Database;

  private constructor(servers: readonly ServerProcess[], database: Database) {
    this.servers = servers;
    this.#database = database;
  }

  static async start(command: ServerCommand, count: number, database: Database): Promise<Instances> {
    const servers: ServerProcess[] = [];
    const instances = new Instances(servers, database);
    try {
      for (let i = 0; i < count; i++) servers.push((await ServerProcess.startReady(command)).server);
    } catch (error) {
      await instances[Symbol.asyncDispose]();
      throw error;
    }
    return instances;
  }

  get ports(): readonly number[] {
    return this.servers.map(({ port }) => port);
  }

  cpuSeconds(): number {
    return this.ownCpuSeconds() + this.#database.cpuSeconds();
  }

  /** Without the database's. */
  ownCpuSeconds(): number {
    return this.servers.reduce((sum, server) => sum + server.cpuSeconds(), 0);
  }

  /** They leave no work for later that a pause would give time for. */
  async whileHeld<T>(work: () => T | Promise<T>): Promise<T> {
    return work();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Profiles are written at a clean end alone.
    const ended = await Promise.allSettled(this.servers.map((server) => server.stop()));
    await Promise.all(this.servers.map((server) => server.kill()));
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
  }
}
