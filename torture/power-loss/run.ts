import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LOG_SHAPE } from '../../packages/aggregator/src/store/sqlite/blocks/block-log.ts';
import type { FileShape } from '../../packages/aggregator/src/store/sqlite/open-file.ts';
import { AggregatorProcess } from '../../lab/aggregator-process.ts';
import type { Change } from '../../lab/breakages/breakage.ts';
import { type Source, changedSource } from '../../lab/changed-source.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { Program, until } from '../../lab/program.ts';
import { SeededRandom } from '../../lab/random.ts';
import { Account, type Publish } from '../account.ts';
import { checkService } from '../check.ts';
import { Events } from '../events.ts';
import { Deleter, type Deletions, setPolicies } from '../letting-go/deleter.ts';
import { publish } from '../publisher.ts';
import { type Cause, causeOf, newReport, noDeletions } from '../report.ts';
import { shapeChange } from '../runs-of-keys.ts';
import { checkFile } from './check.ts';
import { Disk, REMAINS, type Remains } from './disk.ts';
import type { PowerLossOptions } from './options.ts';
import { Playback } from './playback.ts';
import { Promises } from './promises.ts';
import { type Deed, type Recorded, isRecorded, readRecording, recordCommand } from './recording.ts';

/** Small runs of keys, so that a few thousand events are enough to seal and merge them. */
const SHAPE: FileShape = { index: { hotKeysMax: 512, baseBits: 3 }, log: LOG_SHAPE, keyBits: 128 };

/** How each process on the file ends. */
const ENDS = ['kill', 'stop', 'kill', 'kill', 'stop'] as const;

const PUBLISHERS = 3;
const LOAD_MS = 1500;
/** How long nobody publishes in between, so that background work is recorded as well. */
const IDLE_MS = 400;

export interface PowerLossReport {
  readonly seed: number;
  /** Processes that were recorded. */
  processes: number;
  writes: number;
  syncs: number;
  /** Publishes whose answer was recorded. */
  answers: number;
  losses: number;
  readonly remains: Record<Remains, number>;
  /** Of the requests to let go. */
  readonly deletions: Deletions;
  /** What was answered and had to hold, added up over all losses. */
  promisesChecked: number;
  outcome: 'kept' | 'broken';
  failure: (Cause & { readonly folder: string; readonly isOfRecording: boolean }) | null;
}

/** The account, with everything that was sent. */
class Ledger extends Account {
  readonly publishes = new Set<Publish>();

  override attempt(publish: Publish): void {
    this.publishes.add(publish);
    super.attempt(publish);
  }
}

/**
 * Records several processes on one file, one after another, and after each examines losses of power that could have
 * happened while it ran. It never rejects because of the service: that is in the report.
 *
 * @param changes to the service's sources, with which a test breaks it
 * @param isKept whether nothing is let go of, so that what is lost first are events
 */
export async function runPowerLoss(
  options: PowerLossOptions,
  advanced: (report: PowerLossReport) => void = () => {},
  changes: readonly Change[] = [],
  isKept = false,
): Promise<PowerLossReport> {
  const report: PowerLossReport = {
    seed: options.seed,
    processes: 0,
    writes: 0,
    syncs: 0,
    answers: 0,
    losses: 0,
    deletions: noDeletions(),
    promisesChecked: 0,
    remains: { nothing: 0, 'some writes': 0, 'some sectors': 0, all: 0 },
    outcome: 'broken',
    failure: null,
  };
  using temp = tempFolder(options.folder, 'chronicleweaver-power-loss-');
  const folder = temp.path;
  try {
    const source = changedSource(join(folder, 'source'), [shapeChange(SHAPE.index), ...changes]);
    const events = new Events(options.seed, isKept);
    await loseOften(options, report, { folder, source, events }, () => advanced(report));
    report.outcome = 'kept';
  } catch (error) {
    report.failure = { folder, isOfRecording: error instanceof RecordingError, ...causeOf(error) };
    temp.keep();
  }
  return report;
}

async function loseOften(
  { seed, losses }: PowerLossOptions,
  report: PowerLossReport,
  { folder, source, events }: Pick<Setting, 'folder' | 'source' | 'events'>,
  advanced: () => void,
): Promise<void> {
  const random = new SeededRandom(seed);
  const account = new Ledger(events, newReport(seed).answers);
  const databasePath = join(folder, 'data', 'events.db');
  mkdirSync(join(folder, 'data'));
  const disk = new Disk(join(folder, 'data'));
  const promises = new Promises();
  let lastLine = -1;
  for (const [process, end] of ENDS.entries()) {
    const setting = {
      folder,
      source,
      databasePath,
      random: random.fork(process),
      account,
      events,
      deletions: report.deletions,
    };
    const recorded = await record(setting, process, end, lastLine);
    count(recorded, report);
    const playback = new Playback(recorded, disk, promises);
    const draw = random.fork(process, 1);
    for (const place of playback.places(Math.ceil(losses / ENDS.length), draw)) {
      playback.playTo(place);
      const remains = draw.of<Remains>(['nothing', ...REMAINS]);
      const left = join(folder, 'left');
      writeFiles(left, disk.afterLoss(remains, draw));
      const { publishes } = account;
      const { bounds } = account.lettingGo;
      checkFile(join(left, basename(databasePath)), {
        events,
        promises,
        account,
        bounds,
        publishes,
        shape: SHAPE,
      });
      report.losses += 1;
      report.remains[remains] += 1;
      report.promisesChecked += promises.count;
      advanced();
      // Lets signals be handled.
      await sleep(0);
    }
    playback.playTo(playback.length);
    lastLine = playback.lastLine;
    expectRecorded(disk.now(), account, promises);
  }
}

/** Adds what a process did to the report. */
function count(recorded: readonly Recorded[], report: PowerLossReport): void {
  const of = (kind: Deed['kind']): number => recorded.filter(({ deed }) => deed.kind === kind).length;
  report.processes += 1;
  report.writes += of('write');
  report.syncs += of('sync');
  report.answers += of('answer');
}

interface Setting {
  readonly folder: string;
  readonly source: Source;
  readonly databasePath: string;
  readonly random: SeededRandom;
  readonly account: Account;
  readonly events: Events;
  readonly deletions: Deletions;
}

/**
 * Starts a process, the first or a later one, publishes to it and lets go of some of that for a while, ends it, and returns what
 * it did.
 */
async function record(
  setting: Setting,
  process: number,
  end: 'kill' | 'stop',
  after: number,
): Promise<Recorded[]> {
  const { folder, source, databasePath, random, account, events, deletions } = setting;
  const trace = join(folder, 'trace');
  const env = { APP_PORT: '0', DEDUPLICATION_DB_PATH: databasePath };
  const service = new AggregatorProcess(
    (onLine) => new Program([...recordCommand(trace), ...source.start], { cwd: folder, env, onLine }),
  );
  const load = async (id: number, ms: number, andThen: () => Promise<void>): Promise<void> => {
    const stop = new AbortController();
    const { port } = service;
    const { signal } = stop;
    const work = { account, events, random: random.fork(id, PUBLISHERS), deletions, signal };
    const publishing = Promise.all([
      ...(events.areKept ? [] : [Deleter.run(work, port)]),
      ...Array.from({ length: PUBLISHERS }, (_, publisher) =>
        publish({ account, events, port, batches: 'few', random: random.fork(id, publisher), signal }),
      ),
    ]);
    // It is awaited below.
    publishing.catch(() => {});
    await sleep(ms);
    await andThen();
    stop.abort();
    await publishing;
  };
  try {
    await service.listening();
    if (process === 0 && !events.areKept) await setPolicies(service.port);
    if (process > 0) await checkService(service, account, events, random.fork(PUBLISHERS));
    await load(0, LOAD_MS / 2, async () => {});
    await sleep(IDLE_MS);
    await load(1, LOAD_MS, () => (end === 'kill' ? service.kill() : service.stop()));
  } finally {
    await service.kill();
  }
  await until(
    () => 'the end of the recording',
    () => isRecorded(trace, service.program.pid),
  );
  const recorded = readRecording(trace, databasePath, after);
  rmSync(trace);
  return recorded;
}

/** A recording that is not of what has happened says nothing about the service. */
class RecordingError extends Error {}

/** Throws a RecordingError if the recording is incomplete: the files must match it, and every answer must be in it. */
function expectRecorded(files: ReadonlyMap<string, Buffer>, account: Account, { offsets }: Promises): void {
  for (const [path, bytes] of files) {
    const now = readFileSync(path);
    if (now.equals(bytes)) continue;
    const differs = now.findIndex((byte, i) => byte !== bytes[i]);
    const sizes = `${now.length} bytes, ${bytes.length} recorded; the first that differs is at ${differs}`;
    throw new RecordingError(`the recording does not lead to ${path} as it is: ${sizes}`);
  }
  for (let k = 0; k < account.count; k++) {
    if (account.isAcknowledged(k) && offsets.get(k) !== account.offsetOf(k))
      throw new RecordingError(`the answer about event ${k} was not recorded`);
  }
}

/** Makes a folder with these files and no others. */
function writeFiles(folder: string, files: ReadonlyMap<string, Buffer>): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [path, bytes] of files) writeFileSync(join(folder, basename(path)), bytes);
}
