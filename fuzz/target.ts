import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AggregatorProcess,
  type Ending,
  Endings,
  LEVEL,
  Site,
  type StatsAnswer,
} from '../lab/aggregator-process.ts';
import { tempFolder } from '../lab/lifetime.ts';
import { SOURCES } from './sources.ts';

export interface TargetOptions {
  /** The service asks for keys. */
  readonly guarded: boolean;
  /** A program to run instead of what `npm start` runs. */
  readonly command?: readonly string[];
}

/** The secret of the only key, which may do everything. */
export const SECRET = 'the-secret-of-the-fuzzer';
const KEY_HEADERS = { authorization: `Bearer ${SECRET}` };

function keyFile(ending: Ending): string {
  const folder = tempFolder();
  ending.after(() => folder[Symbol.dispose]());
  const path = join(folder.path, 'keys.json');
  const key = { name: 'fuzzer', secret_sha256: hash('sha256', SECRET), scopes: ['publish', 'read', 'admin'] };
  writeFileSync(path, JSON.stringify({ keys: [key] }));
  return path;
}

/** The service under test: its process, its file, and what it logs. */
export class Target {
  /** Headers that our own requests need. */
  readonly headers: Readonly<Record<string, string>>;
  readonly #process: AggregatorProcess;
  readonly #endings: Endings;
  #logged = 0;
  #stderr = 0;

  private constructor(
    process: AggregatorProcess,
    headers: Readonly<Record<string, string>>,
    endings: Endings,
  ) {
    this.#process = process;
    this.headers = headers;
    this.#endings = endings;
  }

  static async start({ guarded, command }: TargetOptions): Promise<Target> {
    const endings = new Endings();
    const settings = guarded ? { API_KEYS_FILE: keyFile(endings) } : {};
    const aggregator = await new Site(endings).start({ settings, ...(command && { command }) });
    const target = new Target(aggregator, guarded ? KEY_HEADERS : {}, endings);
    await target.#define(SOURCES);
    return target;
  }

  async #define(sources: Readonly<Record<string, object>>): Promise<void> {
    for (const [name, source] of Object.entries(sources)) {
      const { status } = await fetch(`${this.url}/sources/${name}`, {
        method: 'PUT',
        headers: { ...this.headers, 'content-type': 'application/json' },
        body: JSON.stringify(source),
      });
      if (status !== 201) throw new Error(`the source ${name} was answered with ${status}`);
    }
  }

  get isGuarded(): boolean {
    return 'authorization' in this.headers;
  }

  get port(): number {
    return this.#process.port;
  }

  get url(): string {
    return this.#process.url;
  }

  async stats(): Promise<StatsAnswer> {
    return (await (await fetch(`${this.url}/stats`, { headers: this.headers })).json()) as StatsAnswer;
  }

  /** Errors that it logged since the last call, and whether it died; empty if all is well. */
  async complaints(): Promise<string[]> {
    const { program, logs } = this.#process;
    if (program.hasExited) {
      const { code, signal } = await program.exited;
      return [`the service ended with ${code ?? signal}: ${program.printed()}`];
    }
    const complaints = logs
      .slice(this.#logged)
      .filter(({ level }) => level >= LEVEL.error)
      .map((line) => `it logged ${JSON.stringify(line).slice(0, 2000)}`);
    this.#logged = logs.length;
    const { stderr } = program;
    if (stderr.length > this.#stderr) complaints.push(`it printed ${stderr.slice(this.#stderr)}`);
    this.#stderr = stderr.length;
    return complaints;
  }

  /** Stops it as an operator would, by force if need be; returns what went wrong. */
  async stop(): Promise<string[]> {
    try {
      await this.#process.stop();
      return [];
    } catch (error) {
      return [`it did not stop: ${String(error)}`];
    } finally {
      await this.#endings[Symbol.asyncDispose]();
    }
  }

  /** Gives its log, which takes another way than its answers, time to arrive. */
  async settle(): Promise<void> {
    await sleep(20);
  }
}
