import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, get, requestBytes } from '../../lab/connection.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { Driver, type Steady } from '../load/driver.ts';
import type { Timed } from '../load/open-loop.ts';
import { filePartsOf } from '../process/file-parts.ts';
import { ServerProcess } from '../process/server-process.ts';
import type { Machine } from '../results.ts';
import type {
  AnswerTimes,
  FileSize,
  LettingGo,
  RetentionResults,
  SteadyState,
} from '../results/retention.ts';
import { say } from '../say.ts';
import { percentile } from '../statistics.ts';
import { chronicleWeaver } from '../systems.ts';
import type { Setting } from './references.ts';

/** The load of all measures: 2000 events a second, whatever the answers do. */
const LOAD: Steady = { perSecond: 1000, batch: 2 };

/** The part of the events that stays. */
const KEPT_SHARE = 0.1;

/** The size of the file by what is kept and the keys, at most. */
export const RATIO_MAX = 1.3;

interface Sizes {
  /** Before the reference, so that the code for small commits is compiled. */
  readonly warmSeconds: number;
  readonly referenceSeconds: number;
  /** The measure ends earlier once the file has kept its size for `restSeconds`. */
  readonly lettingGoSecondsMax: number;
  readonly restSeconds: number;
  /** In the steady state. */
  readonly keptEvents: number;
  /** How long ids are known then. */
  readonly ids: string;
}

const STANDARD: Sizes = {
  warmSeconds: 5,
  referenceSeconds: 30,
  lettingGoSecondsMax: 180,
  restSeconds: 10,
  keptEvents: 100_000,
  ids: '2m',
};

const QUICK: Sizes = {
  warmSeconds: 1,
  referenceSeconds: 5,
  lettingGoSecondsMax: 15,
  restSeconds: 5,
  keptEvents: 10_000,
  ids: '10s',
};

interface RetentionOptions {
  readonly events: number;
  readonly minutes: number;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly profileFolder: string | null;
}

/**
 * The retention run. A server is filled; while events are published at a steady rate, a policy lets nine tenths go. Then a second
 * server, on a new file, stands under a policy while events are published for minutes.
 */
export async function retentionRun(
  setting: Setting,
  { events, minutes, quick, machine, profileFolder }: RetentionOptions,
): Promise<RetentionResults> {
  const sizes = quick ? QUICK : STANDARD;
  const lettingGo = await letGo(setting, sizes, events, profileFolder);
  const steadyState = await steadyRun(setting, sizes, minutes, profileFolder);
  return { kind: 'retention', quick, machine, load: LOAD, lettingGo, steadyState };
}

async function letGo(
  setting: Setting,
  sizes: Sizes,
  events: number,
  profileFolder: string | null,
): Promise<LettingGo> {
  using folder = tempFolder(setting.folder);
  const command = chronicleWeaver(folder.path, setting.cores, profileFolder);
  const { server } = await ServerProcess.startReady(command);
  try {
    const driver = new Driver(server, setting.seed, setting.eventText);
    await driver.fill('filling', events);
    await sleep(sizes.restSeconds * 1000);
    const keep = Math.round(events * KEPT_SHARE);
    const { keysBytes, eventsBytes, repeatsBytes } = filePartsOf(command.databasePath);
    /** What so many kept events, all ids and the story of the duplicates take in a file from which nothing has ever gone. */
    const needed = ({ kept, ids }: Books): number =>
      (eventsBytes * kept + keysBytes * ids) / events + repeatsBytes;

    const load = new SteadyLoad(driver);
    await load.during(`publishing, nothing goes: ${sizes.warmSeconds} s of warm-up`, sizes.warmSeconds);
    const before = await load.during(
      `publishing, nothing goes: ${sizes.referenceSeconds} s`,
      sizes.referenceSeconds,
    );
    say(`publishing while ${events - keep} events go`);
    const startMs = performance.now();
    await put(server.port, { max_events: keep });
    const sizesSeen: FileSize[] = [];
    let goneAfterS: number | null = null;
    let reachedAfterS: number | null = null;
    for (let second = 0; second <= sizes.lettingGoSecondsMax; second++) {
      const size = await sizeNow(server, startMs);
      const ratio = (size.fileBytes + size.logBytes) / needed(size);
      sizesSeen.push({ ...size, ratio });
      if (goneAfterS === null && size.kept <= keep + GATHERED_MAX) goneAfterS = size.seconds;
      if (goneAfterS !== null && reachedAfterS === null && ratio <= RATIO_MAX) reachedAfterS = size.seconds;
      if (goneAfterS !== null && isAtRest(sizesSeen, sizes.restSeconds)) break;
      await sleep(Math.max(0, startMs + (second + 1) * 1000 - performance.now()));
    }
    if (goneAfterS === null) throw new Error(`of ${events} events ${sizesSeen.at(-1)!.kept} are still kept`);
    const during = load.since(startMs);
    const going = load.since(startMs, startMs + goneAfterS * 1000);
    const shrinking = load.since(startMs + goneAfterS * 1000);
    await load.stop();
    return {
      events,
      keep,
      bytesPerEvent: eventsBytes / events,
      bytesPerKey: keysBytes / events,
      repeatsBytes,
      before,
      during,
      going,
      shrinking,
      sizes: sizesSeen,
      goneAfterS,
      reachedAfterS,
    };
  } finally {
    await server.kill();
  }
}

/** Fewer are gathered before they go (retention/timing.ts), and some arrive meanwhile. */
const GATHERED_MAX = 15_000;

function isAtRest(seen: readonly FileSize[], seconds: number): boolean {
  const then = seen.at(-1 - seconds);
  return then !== undefined && then.fileBytes <= seen.at(-1)!.fileBytes;
}

async function steadyRun(
  setting: Setting,
  sizes: Sizes,
  minutes: number,
  profileFolder: string | null,
): Promise<SteadyState> {
  const { keptEvents: maxEvents, ids } = sizes;
  using folder = tempFolder(setting.folder);
  const { server } = await ServerProcess.startReady(
    chronicleWeaver(folder.path, setting.cores, profileFolder),
  );
  try {
    const driver = new Driver(server, setting.seed, setting.eventText);
    // Bounded ids need a bounded age.
    await put(server.port, { max_events: maxEvents, max_age: ids, ids });
    await driver.fill('filling', maxEvents);
    say(`publishing for ${minutes} min, ${maxEvents} events are kept and ids for ${ids}`);
    const load = new SteadyLoad(driver, { ...LOAD, forgets: true });
    const startMs = performance.now();
    const seen: FileSize[] = [];
    for (let second = 0; second <= minutes * 60; second++) {
      seen.push(await sizeNow(server, startMs));
      await sleep(Math.max(0, startMs + (second + 1) * 1000 - performance.now()));
    }
    const times = load.since(startMs);
    await load.stop();
    return { maxEvents, ids, minutes, times, sizes: seen };
  } finally {
    await server.kill();
  }
}

/** Publishes at the steady rate from its making until `stop`, and keeps the time of each answer. */
class SteadyLoad {
  readonly #driver: Driver;
  readonly #times: Timed[] = [];
  readonly #stopped = new AbortController();
  readonly #finished: Promise<void>;

  constructor(driver: Driver, steady = LOAD) {
    this.#driver = driver;
    this.#finished = driver.publishSteadily(steady, this.#stopped.signal, (time) => this.#times.push(time));
    // `stop` reports what went wrong.
    this.#finished.catch(() => undefined);
  }

  /** The answers to what was due in the next seconds. */
  async during(what: string, seconds: number): Promise<AnswerTimes> {
    say(what);
    const startMs = performance.now();
    await sleep(seconds * 1000);
    return this.since(startMs);
  }

  /** The answers, so far, to what was due in that time. */
  since(fromMs: number, toMs = Infinity): AnswerTimes {
    const times = this.#times.filter(({ dueMs }) => dueMs >= fromMs && dueMs < toMs);
    const tookMs = Float64Array.from(times, (time) => time.tookMs);
    const at = (share: number): number => (tookMs.length === 0 ? NaN : percentile(tookMs, share));
    return { answers: tookMs.length, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999), maxMs: at(1) };
  }

  /** Throws if an answer was wrong, or the books are. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#finished;
    await this.#driver.checkBooks();
  }
}

type Books = Pick<FileSize, 'kept' | 'ids'>;

async function sizeNow(server: ServerProcess, startMs: number): Promise<FileSize> {
  const { status, body } = await get(server.port, '/stats');
  if (status !== 200) throw new Error(`GET /stats was answered with ${status}: ${body}`);
  const { stored: kept, unique_processed: ids } = JSON.parse(body) as Record<string, number>;
  const seconds = (performance.now() - startMs) / 1000;
  return { seconds, kept: kept!, ids: ids!, ...server.diskParts() };
}

async function put(port: number, bounds: Readonly<Record<string, unknown>>): Promise<void> {
  const connection = await Connection.open(port);
  try {
    const body = JSON.stringify({ topics: ['>'], ...bounds });
    const answer = await connection.request(requestBytes('PUT /retention/bench', body));
    if (answer.status !== 201) throw new Error(`a policy was answered with ${answer.status}: ${answer.body}`);
  } finally {
    connection.close();
  }
}
