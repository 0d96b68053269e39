import { Driver } from '../load/driver.ts';
import type { Measure } from '../load/measure.ts';
import { expectedKeys } from '../load/plan.ts';
import { readAll } from '../load/read-all.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { runScript } from '../process/run-script.ts';
import { type ServerCommand, ServerProcess } from '../process/server-process.ts';
import { say } from '../say.ts';
import { type Machine, type Reading, type StandardResults, type System, scenarioOf } from '../results.ts';
import { median } from '../statistics.ts';
import { BARE_UNPACK_SCRIPT, chronicleWeaver } from '../systems.ts';
import { drainRun } from './drain.ts';
import { fanOutRun } from './fan-out.ts';
import { tailsRun } from './tails.ts';
import { writesRun } from './writes.ts';
import { killAndReturn } from './kill-and-return.ts';
import { atRest, readyFresh } from './ready.ts';
import { AppendOnlyRuns, type Load, type Setting, measureAfternoon, measureSink } from './references.ts';

interface Sizes {
  /** Keys that the server has after the first round of measures. */
  readonly keys: number;
  readonly loads: readonly Load[];
  readonly appendOnlyEvents: number;
  readonly afternoonLoads: readonly Load[];
  readonly sinkLoads: readonly Load[];
  readonly openLoopSeconds: number;
}

const STANDARD: Sizes = {
  keys: 1_000_000,
  loads: [
    [1000, 200_000],
    [100, 200_000],
    [1, 40_000],
  ],
  appendOnlyEvents: 200_000,
  afternoonLoads: [
    [1000, 200_000],
    [100, 200_000],
    [1, 10_000],
  ],
  sinkLoads: [
    [1000, 200_000],
    [100, 200_000],
    [1, 40_000],
  ],
  openLoopSeconds: 10,
};

const QUICK: Sizes = {
  keys: 80_000,
  loads: [
    [1000, 20_000],
    [100, 20_000],
    [1, 4_000],
  ],
  appendOnlyEvents: 20_000,
  afternoonLoads: [
    [1000, 20_000],
    [100, 20_000],
    [1, 2_000],
  ],
  sinkLoads: [
    [1000, 20_000],
    [100, 20_000],
    [1, 4_000],
  ],
  openLoopSeconds: 2,
};

const OPEN_LOOP_PER_S = 1000;

/**
 * The standard run: the server is filled to about a million keys, measured at every batch size, read, stopped and killed;
 * its references are measured as well. All bodies of a round are made before its first measure, so that the server gets no
 * pause in which to catch up on work that it put off.
 */
export async function standardRun(
  setting: Setting,
  { quick, fullReferences, machine, profileFolder }: StandardOptions,
): Promise<StandardResults> {
  const sizes = quick ? QUICK : STANDARD;
  const appendOnly = new AppendOnlyRuns(setting, sizes.appendOnlyEvents);
  await appendOnly.run();
  const ours = await measureServer(setting, sizes, appendOnly, profileFolder);
  const sink = await measureSink(setting, sizes.sinkLoads);
  const fillKeys = fullReferences ? fillKeysOf(sizes) : null;
  const afternoon = await measureAfternoon(setting, sizes.afternoonLoads, fillKeys);
  const fanOut = await fanOutRun(setting, { quick, profileFolder });
  const drain = await drainRun(setting, { quick, profileFolder });
  const tails = await tailsRun(setting, { quick, profileFolder });
  const writes = await writesRun(setting, { quick });
  return {
    kind: 'standard',
    quick,
    machine,
    ...ours,
    fanOut,
    drain,
    tails,
    writes,
    appendOnly: appendOnly.results(),
    afternoon,
    sink,
  };
}

interface StandardOptions {
  readonly quick: boolean;
  readonly fullReferences: boolean;
  readonly machine: Machine;
  readonly profileFolder: string | null;
}

function fillKeysOf({ keys, loads }: Sizes): number {
  return keys - expectedKeys(loads.reduce((sum, [, events]) => sum + events, 0));
}

async function measureServer(
  setting: Setting,
  sizes: Sizes,
  appendOnly: AppendOnlyRuns,
  profileFolder: string | null,
): Promise<Pick<StandardResults, 'server' | 'diskBytesPerEventStopped' | 'openLoop' | 'reading' | 'ready'>> {
  using folder = tempFolder(setting.folder);
  const command = chronicleWeaver(folder.path, setting.cores, profileFolder);
  const { server } = await ServerProcess.startReady(command);
  const driver = new Driver(server, setting.seed, setting.eventText);
  try {
    say(`filling the server to ${fillKeysOf(sizes)} keys`);
    await driver.fill('filling', fillKeysOf(sizes));
    const keysBefore = driver.keys;
    const scenarios = await measureRounds(driver, setting, sizes.loads, appendOnly);
    const keys = [keysBefore, driver.keys] as const;
    const memory = server.memory();
    const diskBytesPerEvent = server.diskBytes() / driver.keys;

    say(`open loop, ${OPEN_LOOP_PER_S} single events/s`);
    const openLoopEvents = OPEN_LOOP_PER_S * sizes.openLoopSeconds;
    const [schedule] = await driver.prepare((plan) => [[plan.next(openLoopEvents), 1]]);
    const openLoop = {
      ...(await driver.publishOnSchedule(schedule!, OPEN_LOOP_PER_S)),
      perSecond: OPEN_LOOP_PER_S,
    };
    await driver.checkBooks();

    const read = await measureReading(driver, setting.runs);
    await server.stop();
    const diskBytesPerEventStopped = server.diskBytes() / driver.keys;
    const reading = { ...read, ...(await bareUnpack(command, setting, driver.keys)) };

    say('kill -9 and return');
    driver.server = (await ServerProcess.startReady(command)).server;
    await driver.checkBooks();
    const readyKeys = driver.keys;
    const readyMs = await killAndReturn(driver, command, setting.runs);
    const restBytes = await atRest(driver.server);
    const ready = [await readyFresh(setting), { keys: readyKeys, ms: readyMs, restBytes }];
    const system: System = { name: command.name, keys, scenarios, memory, diskBytesPerEvent, readyMs };
    return { server: system, diskBytesPerEventStopped, openLoop, reading, ready };
  } finally {
    await driver.server.kill();
  }
}

async function measureRounds(
  driver: Driver,
  { runs }: Setting,
  loads: readonly Load[],
  appendOnly: AppendOnlyRuns,
): Promise<System['scenarios']> {
  const measures = loads.map((): Measure[] => []);
  for (let run = 0; run < runs; run++) {
    const prepared = await driver.prepare((plan) =>
      loads.map(([batch, events]) => [plan.next(events), batch]),
    );
    for (const [i, requests] of prepared.entries()) {
      say(`run ${run + 1} of ${runs}, batches of ${requests.batch}, from ${driver.keys} keys`);
      measures[i]!.push(await driver.publish(requests));
      await driver.checkBooks();
    }
    await driver.server.whileHeld(() => appendOnly.run());
  }
  return loads.map(([batch], i) => scenarioOf(batch, measures[i]!));
}

/** Reads everything with `GET /events`, `runs` times. */
async function measureReading(driver: Driver, runs: number): Promise<Omit<Reading, keyof BareRates>> {
  say('GET /events, everything');
  const rates: number[] = [];
  const cpuRates: number[] = [];
  let bytes = 0;
  for (let run = 0; run < runs; run++) {
    const cpuBefore = driver.server.cpuSeconds();
    const read = await readAll(driver.server.port);
    cpuRates.push(read.events / (driver.server.cpuSeconds() - cpuBefore));
    if (read.events !== driver.keys)
      throw new Error(`GET /events gave ${read.events} events of ${driver.keys}`);
    bytes = read.bytes;
    rates.push(read.events / read.seconds);
  }
  const eventsPerS = median(rates);
  return {
    events: driver.keys,
    eventsPerS,
    bytesPerS: (eventsPerS * bytes) / driver.keys,
    eventsPerCpuS: median(cpuRates),
    runs: rates,
    memoryAfter: driver.server.memory(),
  };
}

type BareRates = Pick<Reading, 'bareEventsPerS' | 'bareEventsPerCpuS'>;

async function bareUnpack(
  { databasePath }: ServerCommand,
  { cores, runs }: Setting,
  keys: number,
): Promise<BareRates> {
  say('the same blocks in a bare loop');
  const bare = (await runScript(BARE_UNPACK_SCRIPT, [databasePath, String(runs)], cores)) as {
    events: number;
    seconds: number[];
    cpuSeconds: number[];
  };
  if (bare.events !== keys) throw new Error(`the blocks hold ${bare.events} events of ${keys}`);
  return {
    bareEventsPerS: bare.events / median(bare.seconds),
    bareEventsPerCpuS: bare.events / median(bare.cpuSeconds),
  };
}
