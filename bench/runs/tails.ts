import { Driver } from '../load/driver.ts';
import type { Measure } from '../load/measure.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { ServerProcess } from '../process/server-process.ts';
import { say } from '../say.ts';
import { type TailRow, type Tails, scenarioOf } from '../results.ts';
import { chronicleWeaver } from '../systems.ts';
import type { Setting } from './references.ts';

/** Batch size and events of a stretch: about the first two seconds of a process. */
const STANDARD = [
  [1, 20_000],
  [100, 200_000],
  [1000, 200_000],
] as const;
const QUICK = [
  [1, 2_000],
  [100, 20_000],
  [1000, 20_000],
] as const;

/** So many stretches follow the cold one. */
const WARM_STRETCHES = 2;

/**
 * The tails run: a process that has just started, on a new file, takes one stretch of publishes cold, and as many again
 * when its code is compiled. A new process for each batch size and each run.
 */
export async function tailsRun(
  setting: Setting,
  { quick, profileFolder }: { quick: boolean; profileFolder: string | null },
): Promise<Tails> {
  const rows: TailRow[] = [];
  for (const [batch, events] of quick ? QUICK : STANDARD) {
    const cold: Measure[] = [];
    const warm: Measure[] = [];
    for (let run = 0; run < setting.runs; run++) {
      say(`run ${run + 1} of ${setting.runs}: batches of ${batch}, from a cold start`);
      const [first, ...others] = await stretches(setting, batch, events, profileFolder);
      cold.push(first!);
      warm.push(...others);
    }
    rows.push({ batch, cold: scenarioOf(batch, cold), warm: scenarioOf(batch, warm) });
  }
  return { rows };
}

async function stretches(
  setting: Setting,
  batch: number,
  events: number,
  profileFolder: string | null,
): Promise<Measure[]> {
  using folder = tempFolder(setting.folder);
  const { server } = await ServerProcess.startReady(
    chronicleWeaver(folder.path, setting.cores, profileFolder),
  );
  try {
    const driver = new Driver(server, setting.seed, setting.eventText);
    const prepared = await driver.prepare((plan) =>
      Array.from({ length: 1 + WARM_STRETCHES }, () => [plan.next(events), batch] as const),
    );
    const measures: Measure[] = [];
    for (const requests of prepared) measures.push(await driver.publish(requests));
    await driver.checkBooks();
    return measures;
  } finally {
    await server.kill();
  }
}
