import { join } from 'node:path';
import { publishAll } from '../load/closed-loop.ts';
import { Driver } from '../load/driver.ts';
import { type Measure, measureLoad } from '../load/measure.ts';
import { Plan } from '../load/plan.ts';
import { publishRequests } from '../load/requests.ts';
import type { Cores } from '../process/cores.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { runScript } from '../process/run-script.ts';
import { ServerProcess } from '../process/server-process.ts';
import { say } from '../say.ts';
import { type AppendOnly, type Scenario, type System, scenarioOf } from '../results.ts';
import { median } from '../statistics.ts';
import { APPEND_ONLY_SCRIPT, afternoon, sink } from '../systems.ts';

/** What all measures of a run share. */
export interface Setting {
  readonly folder: string;
  readonly cores: Cores;
  readonly runs: number;
  readonly seed: number;
  readonly eventText: (k: number) => string;
}

/** One measure's batch size and events. */
export type Load = readonly [batch: number, events: number];

/** Reference (a), one run at a time, so that its runs can take place before, between and after ours. */
export class AppendOnlyRuns {
  readonly #setting: Setting;
  readonly #events: number;
  readonly #runs: number[] = [];
  readonly #runsPerCpuS: number[] = [];
  #diskBytesPerEvent = 0;

  constructor(setting: Setting, events: number) {
    this.#setting = setting;
    this.#events = events;
  }

  async run(): Promise<void> {
    say('(a) append-only');
    using folder = tempFolder(this.#setting.folder);
    const args = [join(folder.path, 'append-only.db'), String(this.#events), String(this.#setting.seed)];
    const result = (await runScript(APPEND_ONLY_SCRIPT, args, this.#setting.cores)) as {
      events: number;
      seconds: number;
      cpuSeconds: number;
      diskBytes: number;
    };
    this.#runs.push(result.events / result.seconds);
    this.#runsPerCpuS.push(result.events / result.cpuSeconds);
    this.#diskBytesPerEvent = result.diskBytes / result.events;
  }

  results(): AppendOnly {
    return {
      eventsPerS: median(this.#runs),
      eventsPerCpuS: median(this.#runsPerCpuS),
      runs: this.#runs,
      diskBytesPerEvent: this.#diskBytesPerEvent,
    };
  }
}

/** Reference (b): each measure on an empty file, or all of them in turn on one file filled to `fillKeys`. */
export async function measureAfternoon(
  setting: Setting,
  loads: readonly Load[],
  fillKeys: number | null,
): Promise<System> {
  const { runs } = setting;
  const rounds = [];
  if (fillKeys === null) {
    for (let run = 0; run < runs; run++)
      for (const load of loads) rounds.push(await afternoonOnOneFile(setting, [load], 0));
  } else {
    const allRuns = Array.from({ length: runs }, () => loads).flat();
    rounds.push(await afternoonOnOneFile(setting, allRuns, fillKeys));
  }
  const measures = rounds.flatMap((round) => round.measures);
  const scenarios = loads.map(([batch]) =>
    scenarioOf(
      batch,
      measures.filter((one) => one.batch === batch).map((one) => one.measure),
    ),
  );
  // The fullest file says the most about memory and disk.
  const { measures: _, ...fullest } = rounds.toSorted((a, b) => a.keys[1] - b.keys[1]).at(-1)!;
  return { name: '(b) afternoon', scenarios, ...fullest };
}

interface AfternoonRound extends Omit<System, 'name' | 'scenarios'> {
  readonly keys: readonly [number, number];
  readonly measures: readonly { readonly batch: number; readonly measure: Measure }[];
}

async function afternoonOnOneFile(
  { folder: parent, cores, seed, eventText }: Setting,
  loads: readonly Load[],
  fillKeys: number,
): Promise<AfternoonRound> {
  using folder = tempFolder(parent);
  const command = afternoon(folder.path, cores);
  await using server = await ServerProcess.start(command);
  const driver = new Driver(server, seed, eventText);
  if (fillKeys > 0) {
    say(`(b) afternoon, filling to ${fillKeys} keys`);
    await driver.fill('(b) afternoon', fillKeys);
  }
  const keysBefore = driver.keys;
  const measures = [];
  for (const [batch, events] of loads) {
    say(`(b) afternoon, batches of ${batch}`);
    const [requests] = await driver.prepare((plan) => [[plan.next(events), batch]]);
    measures.push({ batch, measure: await driver.publish(requests!) });
    await driver.checkBooks();
  }
  const memory = server.memory();
  const diskBytesPerEvent = server.diskBytes() / driver.keys;
  await server.kill();
  const { server: back, readyMs } = await ServerProcess.startReady(command);
  await back.kill();
  return { keys: [keysBefore, driver.keys], measures, memory, diskBytesPerEvent, readyMs: [readyMs] };
}

/** Reference (c). A first pass, which does not count, warms it up, because its measures are the shortest. */
export async function measureSink(setting: Setting, loads: readonly Load[]): Promise<System> {
  using folder = tempFolder(setting.folder);
  await using server = await ServerProcess.start(sink(folder.path, setting.cores));
  const plan = new Plan(setting.seed);
  const scenarios: Scenario[] = [];
  for (const [batch, events] of loads) {
    say(`(c) sink, batches of ${batch}`);
    const requests = publishRequests(plan.next(events), batch, setting.eventText);
    const runs: Measure[] = [];
    for (let run = 0; run <= setting.runs; run++) {
      const { measure } = await measureLoad(server, events, () => publishAll([server.port], requests));
      if (run > 0) runs.push(measure);
    }
    scenarios.push(scenarioOf(batch, runs));
  }
  const memory = server.memory();
  return { name: '(c) sink', keys: null, scenarios, memory, diskBytesPerEvent: null, readyMs: null };
}
