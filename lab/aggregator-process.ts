import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Event, Problem, PublishAnswer, StoredEvent } from '@chronicleweaver/protocol';
import { tempFolder } from './lifetime.ts';
import { Program } from './program.ts';
import { emptyLog } from './test-store.ts';
import { pathOf, textOf } from './repository.ts';

export interface LogLine {
  level: number;
  msg: string;
  [name: string]: unknown;
}

/** The numbers that pino uses. */
export const LEVEL = { debug: 20, info: 30, warn: 40, error: 50 } as const;

export type Settings = Readonly<Record<string, string | undefined>>;

export interface StartOptions {
  /** Environment variables besides the file's path and a free port; undefined removes one. */
  readonly settings?: Settings;
  /** A command that runs the service, such as strace; the service must stay a child of ours. */
  readonly under?: readonly string[];
  /** A program to run instead of what `npm start` runs. */
  readonly command?: readonly string[];
  /** How long it may take until it listens, milliseconds. */
  readonly withinMs?: number;
}

export interface EventsAnswer {
  count: number;
  events: StoredEvent[];
}

export interface StatsAnswer {
  received: number;
  unique_processed: number;
  duplicated_dropped: number;
  topics: string[];
  uptime: number;
  conflicts: number;
  stored: number;
  expired: number;
  last_offset: number;
  commits: number;
}

/** Something that says when to clean up, such as a test. */
export interface Ending {
  after(work: () => unknown): void;
}

/** Cleans up at the end of a block with `await using`, in reverse order. */
export class Endings implements Ending, AsyncDisposable {
  readonly #works: (() => unknown)[] = [];

  after(work: () => unknown): void {
    this.#works.unshift(work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const work of this.#works.splice(0)) await work();
  }
}

const START_COMMAND = startCommand();

/**
 * A new folder for the service's file, in which a test starts processes, one after another or at the same time. With
 * TEST_STORE=postgres they share a log there instead. When the test ends, the processes are killed and the folder is removed.
 */
export class Site {
  readonly folder: string;
  readonly databasePath: string;
  readonly #programs: Program[] = [];
  #log: ReturnType<typeof emptyLog> | undefined;

  constructor(t: Ending) {
    const folder = tempFolder();
    this.folder = folder.path;
    this.databasePath = join(this.folder, 'events.db');
    t.after(async () => {
      await Promise.allSettled(this.#programs.map((program) => program.kill()));
      folder[Symbol.dispose]();
    });
  }

  /** Starts the service and waits until it listens. */
  async start(options: StartOptions = {}): Promise<AggregatorProcess> {
    const log = await this.#emptyLog();
    const aggregator = new AggregatorProcess((onLine) => this.#aggregator(options, log, onLine));
    await aggregator.listening(options.withinMs);
    return aggregator;
  }

  /**
   * Starts the service on a port that a later one can use again. The port is below those that the kernel gives to clients,
   * because any connection could take one of these in the meantime.
   */
  async startOnFixedPort(options: StartOptions = {}): Promise<AggregatorProcess> {
    const log = await this.#emptyLog();
    for (let attempt = 1; ; attempt++) {
      const port = 12_000 + Math.floor(Math.random() * 16_000);
      const aggregator = new AggregatorProcess((onLine) =>
        this.#aggregator(
          { ...options, settings: { ...options.settings, APP_PORT: String(port) } },
          log,
          onLine,
        ),
      );
      try {
        await aggregator.listening();
        return aggregator;
      } catch (error) {
        if (attempt === 10 || !aggregator.program.stderr.includes('EADDRINUSE')) throw error;
      }
    }
  }

  /** Starts the service when it is expected to fail, and returns it after its end. */
  async fail(options: StartOptions = {}): Promise<Program> {
    const program = this.#aggregator(options, await this.#emptyLog());
    await program.exit(START_MS_MAX);
    return program;
  }

  /** Starts any program in the folder; `onLine` gets every whole line that it prints. */
  run(command: readonly string[], env: Settings = {}, onLine?: (line: string) => void): Program {
    return this.#keep(new Program(command, { cwd: this.folder, env, ...(onLine && { onLine }) }));
  }

  #emptyLog(): ReturnType<typeof emptyLog> {
    return (this.#log ??= emptyLog());
  }

  #aggregator(
    { settings = {}, under = [], command = START_COMMAND }: StartOptions,
    log: Settings,
    onLine?: (line: string) => void,
  ): Program {
    const env = { APP_PORT: '0', DEDUPLICATION_DB_PATH: this.databasePath, ...log, ...settings };
    return this.#keep(
      new Program([...under, ...command], { cwd: this.folder, env, ...(onLine && { onLine }) }),
    );
  }

  #keep(program: Program): Program {
    this.#programs.push(program);
    return program;
  }
}

/** The service as a process, spoken to over HTTP. */
export class AggregatorProcess {
  readonly program: Program;
  readonly logs: LogLine[] = [];
  readonly #listening = Promise.withResolvers<LogLine>();
  #url = '';
  #port = 0;

  constructor(launch: (onLine: (line: string) => void) => Program) {
    this.program = launch((text) => {
      const line = JSON.parse(text) as LogLine;
      this.logs.push(line);
      if ('port' in line) this.#listening.resolve(line);
    });
    this.program.exited.then(
      () => this.#listening.reject(new Error(`the service did not come up\n${this.program.printed()}`)),
      (error: unknown) => this.#listening.reject(error),
    );
    // `listening` reports the error.
    this.#listening.promise.catch(() => {});
  }

  /** Like "http://127.0.0.1:41231". */
  get url(): string {
    return this.#url;
  }

  get port(): number {
    return this.#port;
  }

  /** Resolves when the log says that the service listens; rejects if it ends first or takes longer. */
  async listening(withinMs = START_MS_MAX): Promise<void> {
    const timer = setTimeout(() => {
      const message = `the service does not listen after ${withinMs} ms\n${this.program.printed()}`;
      this.#listening.reject(new Error(message));
    }, withinMs);
    try {
      const { port, msg } = await this.#listening.promise;
      this.#port = Number(port);
      this.#url = /https?:\/\/\S+$/.exec(msg)?.[0] ?? assert.fail(`no address in ${msg}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Stops it as an operator does, and expects a clean end. */
  async stop(withinMs = STOP_MS_MAX): Promise<void> {
    this.program.signal('SIGTERM');
    const { code } = await this.program.exit(withinMs);
    assert.equal(code, 0, this.program.printed());
  }

  /** Kills it, like a crash. */
  kill(): Promise<void> {
    return this.program.kill();
  }

  /** `POST /publish` with this body; a string is sent as it is. */
  post(body: unknown, path = '/publish'): Promise<Response> {
    return fetch(this.#url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_MS),
    });
  }

  /** Publishes a batch and returns the answer, with verdict and offset for each event. */
  async publish(...events: Event[]): Promise<PublishAnswer> {
    const response = await this.post({ events }, '/publish?results=true');
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text) as PublishAnswer;
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.#url + path, { signal: AbortSignal.timeout(REQUEST_MS) });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text) as T;
  }

  events(query = ''): Promise<EventsAnswer> {
    return this.get<EventsAnswer>(`/events${query}`);
  }

  stats(): Promise<StatsAnswer> {
    return this.get<StatsAnswer>('/stats');
  }
}

/** Asserts that the response is this problem, in the form of ERR-1, and returns it. */
export async function problemIn(response: Response, status: number, code: string): Promise<Problem> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
  const problem = JSON.parse(text) as Problem;
  assert.equal(problem.code, code, text);
  return problem;
}

/** Asserts that every event received was either stored or dropped [P-5]. */
export function assertBalanced(stats: StatsAnswer): void {
  assert.equal(stats.received, stats.unique_processed + stats.duplicated_dropped, JSON.stringify(stats));
}

/** What `npm start` runs, from the sources in `root`. */
export function startCommand(root = pathOf('')): string[] {
  const { scripts } = JSON.parse(textOf('package.json')) as { scripts: { start: string } };
  // Without the settings for malloc, which start.js makes by itself where they are missing.
  const [exec, program, ...args] = scripts.start.replace(/^(\w+=\S+ )+/, '').split(' ');
  assert.deepEqual([exec, program], ['exec', 'node']);
  return [process.execPath, ...args.map((arg) => (arg.startsWith('packages/') ? join(root, arg) : arg))];
}

/** Patience, on a machine that is busy with other tests, not what is expected. */
const START_MS_MAX = 60_000;
const STOP_MS_MAX = 30_000;
const REQUEST_MS = 30_000;
