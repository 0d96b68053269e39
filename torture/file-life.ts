import { cpSync, existsSync, mkdirSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AggregatorProcess, LEVEL, type Settings } from '../lab/aggregator-process.ts';
import type { Source } from '../lab/changed-source.ts';
import { Program } from '../lab/program.ts';
import type { SeededRandom } from '../lab/random.ts';
import { Account } from './account.ts';
import { BrokenPromise } from './broken-promise.ts';
import { checkService, checkWhole } from './check.ts';
import { Events } from './events.ts';
import { Deleter, setPolicies } from './letting-go/deleter.ts';
import { type Checkpoint, lastCheckpoint, worksUnderWay } from './file-state.ts';
import { type Round, deleterChoices, planRound, publisherChoices, sampleChoices } from './plan.ts';
import { publish, publishUnsettled } from './publisher.ts';
import type { KilledWhile, Report } from './report.ts';

interface Setting {
  /** An empty folder for this file alone. */
  readonly folder: string;
  readonly source: Source;
  /** How many buckets a run of level 0 has in this source. */
  readonly runBuckets: number;
  /** Whether everything is kept: there are no policies, and nothing is deleted. */
  readonly isKept: boolean;
  readonly random: SeededRandom;
  readonly report: Report;
  /** Called after each kill. */
  readonly advanced: () => void;
}

const VERIFY_MS_MAX = 10 * 60_000;
const STOP_MS_MAX = 60_000;

/**
 * One file, from its first start through many kills to a check of everything.
 *
 * There is at most one process at a time: starting, serving or stopping. After a kill the files are copied, unless the
 * previous copy is still being walked, and the copy is walked from end to end while the next process runs on the files
 * themselves.
 */
export class FileLife implements AsyncDisposable {
  readonly #setting: Setting;
  readonly #databasePath: string;
  readonly #events: Events;
  readonly #account: Account;
  #usualStartMs = 700;
  #usualStopMs = 200;
  #checkpointBefore: Checkpoint | null = null;
  readonly #programs = new Set<Program>();
  #verifying: Promise<void> | null = null;
  #hasPolicies = false;
  #hasServed = false;

  constructor(setting: Setting) {
    this.#setting = setting;
    this.#databasePath = join(setting.folder, 'events.db');
    this.#events = new Events(setting.random.seed, setting.isKept);
    this.#account = new Account(this.#events, setting.report.answers);
  }

  get stored(): number {
    return this.#account.stored;
  }

  /** Runs rounds until `isOver`, then publishes, reads and walks everything. Throws a BrokenPromise. */
  async live(isOver: () => boolean): Promise<void> {
    while (!isOver()) await this.#round(planRound(this.#setting.random, ++this.#setting.report.rounds));
    await this.#verifying;
    const service = await this.#start();
    await checkService(service, this.#account, this.#events, this.#samples());
    await publishUnsettled({ account: this.#account, events: this.#events, port: service.port });
    await checkWhole(service, this.#account, this.#events, this.#samples());
    await this.#stop(service);
    await this.#verify(this.#databasePath);
  }

  /** Ends what still runs; that is only the case after a broken promise. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#programs].map((program) => program.kill()));
  }

  async #round(round: Round): Promise<void> {
    for (const share of round.startKills) await this.#killInStart(share);
    const service = await this.#start();
    if (!this.#hasPolicies && !this.#setting.isKept) await setPolicies(service.port);
    this.#hasPolicies = true;
    await checkService(service, this.#account, this.#events, this.#samples());
    const stop = new AbortController();
    const publishing = Promise.all([
      ...(this.#setting.isKept ? [] : [this.#delete(service.port, stop.signal)]),
      ...Array.from({ length: round.publishers }, (_, id) =>
        publish({
          account: this.#account,
          events: this.#events,
          port: service.port,
          batches: round.batches,
          random: publisherChoices(this.#setting.random, this.#setting.report.rounds, id),
          signal: stop.signal,
        }),
      ),
    ]);
    // It is awaited below, after the kill that ends it.
    publishing.catch(() => {});
    await sleep(round.loadMs);
    if (round.moment === 'idle') {
      stop.abort();
      await publishing;
      await sleep(round.idleMs);
    }
    if (service.program.hasExited) throw new BrokenPromise('a service that runs', service.program.printed());
    if (round.moment === 'shutdown') await this.#killInStop(service, round.stopShare);
    else await this.#kill(service, round.moment);
    stop.abort();
    await publishing;
    expectNoComplaint(service);
  }

  #delete(port: number, signal: AbortSignal): Promise<void> {
    const { random, report } = this.#setting;
    const choices = deleterChoices(random, report.rounds);
    const { deletions } = report;
    const work = { account: this.#account, events: this.#events, random: choices, deletions, signal };
    return Deleter.run(work, port);
  }

  async #start(): Promise<AggregatorProcess> {
    const startMs = performance.now();
    const service = this.#launch();
    await this.#expectStart(service);
    this.#usualStartMs = (this.#usualStartMs + performance.now() - startMs) / 2;
    this.#checkpointBefore = lastCheckpoint(this.#databasePath);
    return service;
  }

  /** It may be the first to notice what a kill left behind; one that never comes up is no service. */
  async #expectStart(service: AggregatorProcess): Promise<void> {
    try {
      await service.listening();
    } catch (error) {
      if (!this.#hasServed) throw error;
      throw new BrokenPromise(
        'a service that starts',
        error instanceof Error ? error.message : String(error),
      );
    }
    this.#hasServed = true;
  }

  async #killInStart(share: number): Promise<void> {
    this.#checkpointBefore = null;
    const service = this.#launch();
    await sleep(share * this.#usualStartMs);
    if (service.program.hasExited)
      throw new BrokenPromise('a service that starts', service.program.printed());
    const isListening = service.logs.some((line) => 'port' in line);
    const isOpen = hasOpen(service.program.pid, this.#databasePath);
    await this.#kill(
      service,
      isListening ? 'idle' : isOpen ? 'start, file open' : 'start, file not open yet',
    );
    expectNoComplaint(service);
  }

  async #killInStop(service: AggregatorProcess, share: number): Promise<void> {
    service.program.signal('SIGTERM');
    await Promise.race([service.program.exited, sleep(share * this.#usualStopMs)]);
    if (!service.program.hasExited) return this.#kill(service, 'shutdown');
    await this.#expectCleanEnd(service);
    this.#setting.report.cleanStops += 1;
  }

  async #stop(service: AggregatorProcess): Promise<void> {
    const startMs = performance.now();
    service.program.signal('SIGTERM');
    await this.#expectCleanEnd(service);
    this.#usualStopMs = (this.#usualStopMs + performance.now() - startMs) / 2;
  }

  async #expectCleanEnd(service: AggregatorProcess): Promise<void> {
    const { code, signal } = await service.program.exit(STOP_MS_MAX);
    if (code !== 0) throw new BrokenPromise('exit code 0', `${code ?? signal}\n${service.program.printed()}`);
    expectNoComplaint(service);
  }

  async #kill(service: AggregatorProcess, moment: KilledWhile): Promise<void> {
    await service.kill();
    const { report, runBuckets, advanced } = this.#setting;
    report.kills += 1;
    report.killedWhile[moment] += 1;
    const amid = worksUnderWay(this.#databasePath, runBuckets, this.#checkpointBefore);
    for (const work of amid) report.killedAmid[work] += 1;
    advanced();
    await this.#verifyCopy();
  }

  /** Walks a copy of the files, unless the previous one is still being walked. */
  async #verifyCopy(): Promise<void> {
    if (this.#verifying !== null) {
      // This rejects if the walk found a problem.
      const isOver = await Promise.race([this.#verifying.then(() => true), sleep(0, false)]);
      if (!isOver) return;
    }
    const folder = join(this.#setting.folder, 'at-kill');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const name of readdirSync(this.#setting.folder)) {
      if (/^events\.db(-wal)?$/.test(name)) cpSync(join(this.#setting.folder, name), join(folder, name));
    }
    const copyPath = join(folder, 'events.db');
    if (!existsSync(copyPath)) return;
    this.#verifying = this.#verify(copyPath);
    // It is awaited before the next copy is made.
    this.#verifying.catch(() => {});
  }

  async #verify(path: string): Promise<void> {
    const walk = this.#run([...this.#setting.source.verify, path]);
    const { code, signal } = await walk.exit(VERIFY_MS_MAX);
    this.#setting.report.verified += 1;
    if (code !== 0)
      throw new BrokenPromise(`${path} sound`, `verify ended with ${code ?? signal}\n${walk.printed()}`);
  }

  #launch(): AggregatorProcess {
    const env = { APP_PORT: '0', DEDUPLICATION_DB_PATH: this.#databasePath };
    return new AggregatorProcess((onLine) => this.#run(this.#setting.source.start, env, onLine));
  }

  #run(command: readonly string[], env: Settings = {}, onLine?: (line: string) => void): Program {
    const program = new Program(command, { cwd: this.#setting.folder, env, ...(onLine && { onLine }) });
    this.#programs.add(program);
    const forget = (): boolean => this.#programs.delete(program);
    program.exited.then(forget, forget);
    return program;
  }

  #samples(): SeededRandom {
    return sampleChoices(this.#setting.random, this.#setting.report.rounds);
  }
}

/** The disk is neither full nor broken, so the service must not complain. */
function expectNoComplaint({ logs, program }: AggregatorProcess): void {
  const errors = logs.filter(({ level }) => level >= LEVEL.warn);
  if (errors.length > 0)
    throw new BrokenPromise('no warning and no error in the log', JSON.stringify(errors, null, 2));
  if (program.stderr !== '') throw new BrokenPromise('nothing on stderr', program.printed());
}

/** Whether a process has a file open; false without /proc. */
function hasOpen(pid: number, path: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === path;
      } catch {
        // It was closed in the meantime.
        return false;
      }
    });
  } catch {
    return false;
  }
}
