import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { get } from '../../lab/connection.ts';
import { type Cores, nodeCommand } from './cores.ts';
import { own } from './lifetime.ts';
import { type Memory, cpuSecondsOf, memoryOf } from './proc.ts';

/** A server to start: ours or a reference. It says `{"port":…}` in a line of JSON on stdout when it listens. */
export interface ServerCommand {
  readonly name: string;
  readonly script: string;
  readonly nodeArgs?: readonly string[];
  /** Its file, in a folder that is there. */
  readonly databasePath: string;
  readonly cores: Cores;
}

const LISTEN_MS_MAX = 120_000;
const READY_MS_MAX = 120_000;
const STOP_MS_MAX = 60_000;
const READY_POLL_MS = 5;

/** A server in a process of its own. States: listening, held or not, then ended, by `stop` or by `kill`. */
export class ServerProcess implements AsyncDisposable {
  readonly port: number;
  readonly #command: ServerCommand;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(command: ServerCommand, child: ChildProcess, ended: Promise<unknown>, port: number) {
    this.#command = command;
    this.#child = child;
    this.#ended = ended;
    this.port = port;
  }

  /** Resolves when it listens, which is before it is ready. */
  static async start(command: ServerCommand): Promise<ServerProcess> {
    const [file, ...args] = nodeCommand(command.cores);
    const child = spawn(file, [...args, ...(command.nodeArgs ?? []), command.script], {
      // Only what is set here, and no .env: the settings of whoever runs this are not part of the measure.
      env: {
        PATH: process.env['PATH'] ?? '',
        APP_PORT: '0',
        DEDUPLICATION_DB_PATH: command.databasePath,
        LOG_LEVEL: 'info',
      },
      cwd: dirname(command.databasePath),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    own(child);
    const ended = once(child, 'exit');
    const listening = Promise.withResolvers<number>();
    createInterface({ input: child.stdout }).on('line', (line) =>
      hear(command.name, line, listening.resolve),
    );
    const timer = setTimeout(
      () => listening.reject(new Error(`${command.name} does not listen after ${LISTEN_MS_MAX} ms`)),
      LISTEN_MS_MAX,
    );
    ended.then(
      () => listening.reject(new Error(`${command.name} ended before it listened`)),
      (error: unknown) => listening.reject(error),
    );
    try {
      return new ServerProcess(command, child, ended, await listening.promise);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Starts it and asks until it is ready; `readyMs` is from the start of the process to the first 200. */
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
   * Does something while the process stands still. A server that is idle while bodies are made would do ahead of the
   * clock the work that it put off.
   */
  async whileHeld<T>(work: () => T | Promise<T>): Promise<T> {
    this.#child.kill('SIGSTOP');
    try {
      return await work();
    } finally {
      this.#child.kill('SIGCONT');
    }
  }

  memory(): Memory | null {
    return memoryOf(this.#child.pid!);
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.#child.pid!);
  }

  /** Bytes of the file and its write-ahead log. */
  diskBytes(): number {
    return fileBytes(this.#command.databasePath) + fileBytes(`${this.#command.databasePath}-wal`);
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** Asks it to end, as an operator would; rejects where it does not, or not with 0. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS_MAX);
    await this.#ended;
    clearTimeout(timer);
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== 0) throw new Error(`${this.#command.name} ended with ${exitCode ?? signalCode}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** A line of the server's log: where it listens, or what went wrong, or nothing to us. */
function hear(name: string, line: string, listens: (port: number) => void): void {
  let fields: { port?: unknown; level?: unknown };
  try {
    fields = JSON.parse(line) as typeof fields;
  } catch {
    fields = { level: Number.POSITIVE_INFINITY };
  }
  if (typeof fields.port === 'number') listens(fields.port);
  if (typeof fields.level === 'number' && fields.level >= WARN) process.stderr.write(`${name}: ${line}\n`);
}

/** https://getpino.io/#/docs/api?id=loggerlevels-object */
const WARN = 40;

function fileBytes(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
