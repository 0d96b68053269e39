import { writeFileSync } from 'node:fs';
import { Stopped, run } from '@chronicleweaver/terminal';
import { createEventText } from './load/event-text.ts';
import { describeMachine } from './machine.ts';
import { type Options, benchCommand } from './options.ts';
import { claimCores } from './process/cores.ts';
import { Database } from './process/database.ts';
import { fanOutBar, fanOutLines } from './report/fan-out.ts';
import { drainLines } from './report/drain.ts';
import { growthBar, growthHead, growthLine, growthLines } from './report/growth.ts';
import { barLines, headingLines } from './report/heading.ts';
import {
  postgresBar,
  postgresGrowthBar,
  postgresGrowthHead,
  postgresGrowthLine,
  postgresLines,
} from './report/postgres.ts';
import { standardBar, standardLines } from './report/standard.ts';
import { besideBar, besideLines } from './report/beside.ts';
import { besideSettingLines } from './report/beside-setting.ts';
import { retentionBar, retentionLines } from './report/retention.ts';
import { writesLines } from './report/writes.ts';
import { tailsBar, tailsLines } from './report/tails.ts';
import { stallsBar, stallsLines } from './report/stalls.ts';
import type {
  BarLine,
  BesideResults,
  BesideSettingResults,
  DrainResults,
  FanOutResults,
  GrowthResults,
  Machine,
  StallsResults,
  StandardResults,
  TailsResults,
  WritesResults,
} from './results.ts';
import type { RetentionResults } from './results/retention.ts';
import { fanOutRun } from './runs/fan-out.ts';
import { drainRun } from './runs/drain.ts';
import { growthRun } from './runs/growth.ts';
import { stallsRun } from './runs/stalls.ts';
import { postgresRun } from './runs/postgres.ts';
import { postgresGrowthRun } from './runs/postgres-growth.ts';
import type { Setting } from './runs/references.ts';
import { besideRun } from './runs/beside.ts';
import { besideSettingRun } from './runs/beside-setting.ts';
import { retentionRun } from './runs/retention.ts';
import { writesRun } from './runs/writes.ts';
import { tailsRun } from './runs/tails.ts';
import { standardRun } from './runs/standard.ts';

process.exitCode = await run(benchCommand(bench), 'bench');

async function bench(options: Options): Promise<void> {
  try {
    await measure(options);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Stopped(1, `FAILED: ${text}`);
  }
}

async function measure(options: Options): Promise<void> {
  const { folder, runs, seed, profileFolder } = options;
  const cores = options.pin ? claimCores() : null;
  const eventText = createEventText(seed);
  const setting = { folder, cores, runs, seed, eventText };
  const machine = describeMachine(cores, folder, eventText);
  print(headingLines(machine));
  if (options.store !== null) return await measureOnPostgres(options, setting, machine);

  let results:
    | StandardResults
    | GrowthResults
    | FanOutResults
    | DrainResults
    | TailsResults
    | WritesResults
    | StallsResults
    | BesideResults
    | BesideSettingResults
    | RetentionResults;
  let bar: BarLine[];
  if (options.fanOut) {
    const { quick } = options;
    const fanOut = await fanOutRun(setting, { quick, profileFolder });
    results = { kind: 'fan-out', machine, fanOut };
    bar = fanOutBar(fanOut);
    print(fanOutLines(fanOut));
    print(barLines(bar, quick ? ' (of 1000 followers; a quick run is too small to judge it)' : ''));
  } else if (options.drain) {
    const drain = await drainRun(setting, { quick: options.quick, profileFolder });
    results = { kind: 'drain', machine, drain };
    bar = [];
    print(drainLines(drain));
  } else if (options.tails) {
    const { quick } = options;
    const tails = await tailsRun(setting, { quick, profileFolder });
    results = { kind: 'tails', machine, tails };
    bar = tailsBar(tails);
    print(tailsLines(tails));
    print(barLines(bar, quick ? ' (of a full run; a quick one is too short to judge it)' : ''));
  } else if (options.writes) {
    const writes = await writesRun(setting, { quick: options.quick });
    results = { kind: 'writes', machine, writes };
    bar = [];
    print(writesLines(writes));
  } else if (options.beside) {
    const { quick } = options;
    const beside = await besideRun(setting, { quick });
    results = { kind: 'beside', machine, beside };
    bar = besideBar(beside);
    print(besideLines(beside));
    print(barLines(bar, quick ? ' (of a full run; a quick one is too short to judge it)' : ''));
  } else if (options.besideSetting !== null) {
    const { quick, besideSetting: variable } = options;
    const besideSetting = await besideSettingRun(setting, { variable, quick });
    results = { kind: 'beside setting', machine, besideSetting };
    bar = [];
    print(besideSettingLines(besideSetting));
  } else if (options.stalls) {
    results = await stallsRun(setting, { quick: options.quick, machine });
    bar = stallsBar(results);
    print(stallsLines(results));
    print(barLines(bar, options.quick ? ' (of a full run; in a quick one p99.9 is the worst of a few)' : ''));
  } else if (options.retention !== null) {
    const { retention, quick } = options;
    results = await retentionRun(setting, { ...retention, quick, machine, profileFolder });
    bar = retentionBar(results);
    print(retentionLines(results));
    print(barLines(bar, quick ? ' (of a full run; a quick one is too short to judge it)' : ''));
  } else if (options.growthKeys === null) {
    const { quick, fullReferences } = options;
    results = await standardRun(setting, { quick, fullReferences, machine, profileFolder });
    bar = standardBar(results);
    print(standardLines(results));
    print(barLines(bar, quick ? ' (of a run at 1,000,000 keys; a quick one is too short to judge it)' : ''));
  } else {
    print([growthHead()]);
    results = await growthRun(setting, { keys: options.growthKeys, machine, profileFolder }, (step) =>
      print([growthLine(step)]),
    );
    bar = growthBar(results);
    print(growthLines(results));
    print(barLines(bar, ''));
  }
  writeResults(options, results, bar);
}

async function measureOnPostgres(options: Options, setting: Setting, machine: Machine): Promise<void> {
  const { growthKeys: keys, instances, quick, profileFolder } = options;
  await using database = await Database.open(options.store!, options.folder);
  print([database.about, '']);
  if (keys !== null) {
    print([postgresGrowthHead()]);
    const growth = await postgresGrowthRun(setting, database, { keys, profileFolder }, (step) =>
      print([postgresGrowthLine(step)]),
    );
    const bar = postgresGrowthBar(growth);
    print(barLines(bar, ''));
    return writeResults(options, { ...growth, machine }, bar);
  }
  const results = await postgresRun(setting, database, { quick, instances, profileFolder });
  const bar = postgresBar(results);
  print(postgresLines(results));
  print(barLines(bar, quick ? ' (of a full run; a quick one is too short to judge it)' : ''));
  writeResults(options, { ...results, machine }, bar);
}

function writeResults({ jsonPath }: Options, results: object, bar: readonly BarLine[]): void {
  if (jsonPath !== null) writeFileSync(jsonPath, `${JSON.stringify({ ...results, bar }, null, 2)}\n`);
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}
