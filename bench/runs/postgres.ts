import { setTimeout as sleep } from 'node:timers/promises';
import type { PublishAnswer } from '@chronicleweaver/protocol';
import { get } from '../../lab/connection.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { Driver } from '../load/driver.ts';
import { LiveFollowers } from '../load/followers.ts';
import type { Measure } from '../load/measure.ts';
import type { Database } from '../process/database.ts';
import { Instances } from '../process/instances.ts';
import type { ServerCommand } from '../process/server-process.ts';
import { say } from '../say.ts';
import type {
  DesignMeasure,
  InstancesRow,
  LiveElsewhere,
  PostgresResults,
  PostgresRow,
} from '../results/postgres.ts';
import { percentile } from '../statistics.ts';
import { chronicleWeaverOn, naiveOn } from '../systems.ts';
import type { Load, Setting } from './references.ts';

interface Sizes {
  readonly loads: readonly Load[];
  /** Batch and events of a measure of several instances. */
  readonly many: Load;
  /** Events sent to each instance that has just started, so that its code is compiled before it is measured. */
  readonly warmUpEvents: number;
  readonly liveSeconds: number;
}

const STANDARD: Sizes = {
  loads: [
    [1, 30_000],
    [100, 200_000],
    [1000, 200_000],
  ],
  many: [100, 150_000],
  warmUpEvents: 25_000,
  liveSeconds: 10,
};

const QUICK: Sizes = {
  loads: [
    [1, 3_000],
    [100, 20_000],
    [1000, 20_000],
  ],
  many: [100, 20_000],
  warmUpEvents: 2_000,
  liveSeconds: 2,
};

/** Measured beside one. */
const INSTANCES = [4, 8];

const LIVE_PER_S = 1000;
const SETTLE_MS_MAX = 30_000;

export interface PostgresOptions {
  readonly quick: boolean;
  /** How many instances are measured beside one, and nothing else; null for everything. */
  readonly instances: number | null;
  readonly profileFolder: string | null;
}

/**
 * The run on PostgreSQL: one instance and the naive design in turn, then several instances and one in turn, then events
 * published on one instance and followed on another. All are processes on the same cores, server and load included: what one
 * of them takes, the others lack.
 */
export async function postgresRun(
  setting: Setting,
  database: Database,
  { quick, instances: only, profileFolder }: PostgresOptions,
): Promise<Omit<PostgresResults, 'machine'>> {
  using folder = tempFolder(setting.folder);
  const sizes = quick ? QUICK : STANDARD;
  const log = database.newLog();
  const ours = chronicleWeaverOn(log, folder.path, profileFolder);
  const site = { setting, database, ours };
  const designs = only !== null ? null : await besideNaive(site, log, sizes.loads, folder.path);
  const instances = await manyInstances(site, sizes, only === null ? INSTANCES : [only]);
  const live = only !== null ? null : await liveElsewhere(site, sizes.liveSeconds);
  return { kind: 'postgres', quick, server: database.about, designs, instances, live };
}

interface Site {
  readonly setting: Setting;
  readonly database: Database;
  readonly ours: ServerCommand;
}

/** One measure of each in turn; a first one, which does not count, warms them up. */
async function besideNaive(
  { setting, database, ours }: Site,
  log: string,
  loads: readonly Load[],
  folder: string,
): Promise<NonNullable<PostgresResults['designs']>> {
  const naiveLog = database.newLog();
  await using weaver = await Instances.start(ours, 1, database);
  await using naive = await Instances.start(naiveOn(naiveLog, folder), 1, database);
  const drivers = [weaver, naive].map((one) => new Driver(one, setting.seed, setting.eventText));
  const rows: PostgresRow[] = [];
  for (const [batch, events] of loads) {
    const measures: [DesignMeasure[], DesignMeasure[]] = [[], []];
    for (let run = 0; run <= setting.runs; run++) {
      say(`batches of ${batch}, ${run === 0 ? 'warming up' : `run ${run} of ${setting.runs}`}`);
      for (const [i, driver] of drivers.entries()) {
        const measure = await measureDesign(driver, database, batch, events);
        if (run > 0) measures[i]!.push(measure);
      }
    }
    for (const driver of drivers) await driver.checkBooks();
    rows.push({ batch, ours: measures[0], naive: measures[1] });
  }
  const bytesPerEvent = async (of: string, { keys }: { keys: number }): Promise<number> =>
    (await database.diskBytes(of)) / keys;
  return {
    rows,
    keys: drivers[0]!.keys,
    diskBytesPerEvent: await bytesPerEvent(log, drivers[0]!),
    naiveDiskBytesPerEvent: await bytesPerEvent(naiveLog, drivers[1]!),
    tables: await database.diskByTable(log),
  };
}

async function measureDesign(
  driver: Driver<Instances>,
  database: Database,
  batch: number,
  events: number,
): Promise<DesignMeasure> {
  const [requests] = await driver.prepare((plan) => [[plan.next(events), batch]]);
  const before = {
    own: driver.server.ownCpuSeconds(),
    database: database.cpuSeconds(),
    wal: await database.walBytes(),
    commits: await commitsOf(driver.server),
  };
  const measure = await driver.publish(requests!);
  const perEvent = (after: number, before: number): number => (after - before) / events;
  const commits = (await commitsOf(driver.server)) - before.commits;
  return {
    ...measure,
    ownCpuUs: perEvent(driver.server.ownCpuSeconds(), before.own) * 1e6,
    databaseCpuUs: perEvent(database.cpuSeconds(), before.database) * 1e6,
    walBytesPerEvent: perEvent(await database.walBytes(), before.wal),
    // Of the naive design each request is one.
    eventsPerCommit: commits > 0 ? events / commits : batch,
  };
}

async function commitsOf({ ports }: Instances): Promise<number> {
  const answers = await Promise.all(ports.map((port) => get(port, '/stats')));
  return answers.reduce(
    (sum, { body }) => sum + ((JSON.parse(body) as { commits?: number }).commits ?? 0),
    0,
  );
}

/** One instance and several, in turn, all started anew, since idle ones would take their share of the cores, too. */
async function manyInstances(
  { setting, database, ours }: Site,
  { many: [batch, events], warmUpEvents }: Sizes,
  counts: readonly number[],
): Promise<InstancesRow[]> {
  const measures = [1, ...counts].map((count) => ({ count, runs: [] as DesignMeasure[] }));
  // Its own log, so that the first measure and the last find about as many keys.
  const command = { ...ours, storeUrl: database.newLog() };
  let driver: Driver<Instances> | undefined;
  for (let run = 1; run <= setting.runs; run++) {
    for (const { count, runs } of measures) {
      say(`${count} of our instances, run ${run} of ${setting.runs}`);
      await using instances = await Instances.start(command, count, database);
      driver ??= new Driver(instances, setting.seed, setting.eventText);
      driver.server = instances;
      await measureDesign(driver, database, batch, warmUpEvents * count);
      runs.push(await measureDesign(driver, database, batch, events));
      await driver.checkBooks();
    }
  }
  return measures.map(({ count, runs }) => ({ count, batch, runs }));
}

/** Single events, published on one instance at fixed times; each time is from when it was due to its receipt at the other. */
async function liveElsewhere({ setting, database, ours }: Site, seconds: number): Promise<LiveElsewhere> {
  say(`${LIVE_PER_S} single events/s on one instance, followed on another`);
  const command = { ...ours, storeUrl: database.newLog() };
  await using instances = await Instances.start(command, 2, database);
  const driver = new Driver(instances, setting.seed, setting.eventText);
  const followers = await LiveFollowers.open(instances.ports[1]!, '/events/stream', 1);
  try {
    // The first part warms up.
    let sinceDue: number[] = [];
    let publish: Measure | undefined;
    for (const part of [2, seconds]) {
      const dueMs = new Map<number, number>();
      followers.forget();
      const [requests] = await driver.prepare(
        (plan) => [[plan.next(part * LIVE_PER_S), 1]],
        'POST /publish?results=true',
      );
      publish = await driver.publishOnSchedule(requests!, LIVE_PER_S, ({ body }, due) => {
        const [result] = (JSON.parse(body) as PublishAnswer).results!;
        if (result!.verdict === 'accepted') dueMs.set(result!.offset, due);
      });
      await reached(followers, driver.keys);
      sinceDue = [];
      followers.forEachReceipt((offset, atMs) => sinceDue.push(atMs - dueMs.get(offset)!));
    }
    const times = Float64Array.from(sinceDue);
    const at = (share: number): number => percentile(times, share);
    return {
      perSecond: LIVE_PER_S,
      events: times.length,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1),
      publish: publish!,
    };
  } finally {
    followers.close();
  }
}

async function reached(followers: LiveFollowers, offset: number): Promise<void> {
  const giveUpAt = performance.now() + SETTLE_MS_MAX;
  while (followers.reached() < offset) {
    if (performance.now() > giveUpAt)
      throw new Error(`the follower has ${followers.reached()} of ${offset} events`);
    await sleep(5);
  }
}
