import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AggregatorProcess,
  type Ending,
  LEVEL,
  Site,
  type StatsAnswer,
} from '../tests/support/aggregator-process.ts';

/** A service that is fuzzed: a process and a file of its own, and what it says besides answering. */
export class Target {
  readonly #process: AggregatorProcess;
  readonly #endings: (() => unknown)[];
  #logged = 0;
  #stderr = 0;

  private constructor(process: AggregatorProcess, endings: (() => unknown)[]) {
    this.#process = process;
    this.#endings = endings;
  }

  /** Of what `npm start` runs, or of another program. */
  static async start(command?: readonly string[]): Promise<Target> {
    const endings: (() => unknown)[] = [];
    const ending: Ending = { after: (work) => endings.push(work) };
    const aggregator = await new Site(ending).start({ ...(command && { command }) });
    return new Target(aggregator, endings);
  }

  get port(): number {
    return this.#process.port;
  }

  get url(): string {
    return this.#process.url;
  }

  stats(): Promise<StatsAnswer> {
    return this.#process.stats();
  }

  /** What it said since it was last asked, and whether it still runs; empty where all is well. */
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

  /** Ends it as an operator would, or with force where it does not; returns what was wrong with that. */
  async stop(): Promise<string[]> {
    try {
      await this.#process.stop();
      return [];
    } catch (error) {
      return [`it did not stop: ${String(error)}`];
    } finally {
      for (const end of this.#endings) await end();
    }
  }

  /** Its log comes by another way than its answers. */
  async settle(): Promise<void> {
    await sleep(20);
  }
}
