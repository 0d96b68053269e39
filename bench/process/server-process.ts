import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AggregatorProcess, LEVEL } from '../../lab/aggregator-process.ts';
import { get } from '../../lab/connection.ts';
import { Program } from '../../lab/program.ts';
import { type Memory, cpuSecondsOf, memoryOf } from '../../lab/proc.ts';
import { type Cores, nodeCommand } from './cores.ts';

/** A server to start: ours or a reference. It logs where it listens in a line of JSON, as the service does. */
export interface ServerCommand {
  readonly name: string;
  readonly script: string;
  readonly nodeArgs?: readonly string[];
  /** A command that runs it, such as strace. */
  readonly under?: readonly string[];
  /** Its file, in an existing folder. */
  readonly databasePath: string;
  /** The database that holds its log instead of a file. */
  readonly storeUrl?: string;
  /** Further settings, in its environment. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly cores: Cores;
}

const LISTEN_MS_MAX = 120_000;
const READY_MS_MAX = 120_000;
const STOP_MS_MAX = 60_000;
const READY_POLL_MS = 5;

/** A server as a process. States: listening, perhaps paused; then ended, by `stop` or by `kill`. */
export class ServerProcess implements AsyncDisposable {
  readonly #command: ServerCommand;
  readonly #process: AggregatorProcess;

  private constructor(command: ServerCommand, process: AggregatorProcess) {
    this.#command = command;
    this.#process = process;
  }

  /** Resolves when it listens, which is before it is ready. */
  static async start(command: ServerCommand): Promise<ServerProcess> {
    const process = launch(command);
    try {
      await process.listening(LISTEN_MS_MAX);
    } catch (error) {
      await process.kill();
      throw error;
    }
    return new ServerProcess(command, process);
  }

  get port(): number {
    return this.#process.port;
  }

  get ports(): readonly number[] {
    return [this.port];
  }

  /** Starts it and asks until it is ready; `readyMs` counts from the start of the process to the first 200. */
  static async startReady(command: ServerCommand): Promise<{ server: ServerProcess; readyMs: number }> {
    const startMs = performance.now();
    const server = await ServerProcess.start(command);
    for (;;) {
      const { status } = await get(server.port, '/ready');
      const readyMs = performance.now() - startMs;
      if (status === 200) return { server, readyMs };
      if (readyMs > READY_MS_MAX) throw new Error(`${command.name} is not ready after ${READY_MS_MAX} ms`);
      await sleep(READY_POLL_MS);
    }
  }

  /**
   * Does something while the process is paused. Otherwise an idle server would use the time to catch up on work that it
   * had put off, outside the measure.
   */
  async whileHeld<T>(work: () => T | Promise<T>): Promise<T> {
    this.#process.program.signal('SIGSTOP');
    try {
      return await work();
    } finally {
      this.#process.program.signal('SIGCONT');
    }
  }

  memory(): Memory | null {
    return memoryOf(this.#process.program.pid);
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.#process.program.pid);
  }

  /** Bytes of the file and its write-ahead log. */
  diskBytes(): number {
    const { fileBytes, logBytes } = this.diskParts();
    return fileBytes + logBytes;
  }

  /** Of the file, and of its write-ahead log. */
  diskParts(): { readonly fileBytes: number; readonly logBytes: number } {
    const { databasePath } = this.#command;
    return { fileBytes: bytesOf(databasePath), logBytes: bytesOf(`${databasePath}-wal`) };
  }

  /** `kill -9`. */
  kill(): Promise<void> {
    return this.#process.kill();
  }

  /** Asks it to end, as an operator would; rejects where it does not, or not with 0. */
  stop(): Promise<void> {
    return this.#process.stop(STOP_MS_MAX);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

function launch({
  name,
  script,
  nodeArgs = [],
  under = [],
  databasePath,
  storeUrl,
  settings = {},
  cores,
}: ServerCommand): AggregatorProcess {
  const env = {
    APP_PORT: '0',
    DEDUPLICATION_DB_PATH: databasePath,
    STORE_URL: storeUrl,
    LOG_LEVEL: 'info',
    // The service's own default, as for its users.
    NODE_COMPILE_CACHE: undefined,
    ...settings,
  };
  const server = new AggregatorProcess(
    (onLine) =>
      new Program([...under, ...nodeCommand(cores), ...nodeArgs, script], {
        cwd: dirname(databasePath),
        env,
        showsErrors: true,
        onLine(line) {
          onLine(line);
          const { level } = server.logs.at(-1)!;
          if (level >= LEVEL.warn) process.stderr.write(`${name}: ${line}\n`);
        },
      }),
  );
  return server;
}

function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
