import { tempFolder } from '../../lab/lifetime.ts';
import { Driver } from '../load/driver.ts';
import type { Measure } from '../load/measure.ts';
import { ServerProcess } from '../process/server-process.ts';
import type { BesideSetting } from '../results.ts';
import { say } from '../say.ts';
import { chronicleWeaver } from '../systems.ts';
import type { Load, Setting } from './references.ts';

const STANDARD: readonly Load[] = [
  [1, 40_000],
  [100, 200_000],
  [1000, 200_000],
];
const QUICK: readonly Load[] = [
  [1, 4_000],
  [100, 20_000],
];

/**
 * What a setting of the service costs: the same load on the service as it is and on one with the setting, each with a file of its own, one
 * measure each in turn, while the other one is paused. A first measure of each, which does not count, warms them up.
 */
export async function besideSettingRun(
  setting: Setting,
  { variable, quick }: { variable: readonly [name: string, value: string]; quick: boolean },
): Promise<BesideSetting> {
  using folder = tempFolder(setting.folder);
  using otherFolder = tempFolder(setting.folder);
  const plain = chronicleWeaver(folder.path, setting.cores, null);
  const other = chronicleWeaver(otherFolder.path, setting.cores, null);
  await using plainServer = await ServerProcess.start(plain);
  await using otherServer = await ServerProcess.start({ ...other, settings: Object.fromEntries([variable]) });
  const servers = [plainServer, otherServer];
  const drivers = servers.map((server) => new Driver(server, setting.seed, setting.eventText));
  const rows: BesideSetting['rows'][number][] = [];
  for (const [batch, events] of quick ? QUICK : STANDARD) {
    const measures: [Measure[], Measure[]] = [[], []];
    for (let run = 0; run <= setting.runs; run++) {
      say(`batches of ${batch}, ${run === 0 ? 'warming up' : `run ${run} of ${setting.runs}`}`);
      for (const which of run % 2 === 0 ? [0, 1] : [1, 0]) {
        const driver = drivers[which]!;
        const [requests] = await driver.prepare((plan) => [[plan.next(events), batch]]);
        const measure = await servers[1 - which]!.whileHeld(() => driver.publish(requests!));
        if (run > 0) measures[which]!.push(measure);
      }
    }
    for (const driver of drivers) await driver.checkBooks();
    rows.push({ batch, without: measures[0], with: measures[1] });
  }
  const [without, withIt] = drivers.map(({ server, keys }) => server.diskBytes() / keys);
  return { variable, rows, diskBytesPerEvent: { without: without!, with: withIt! } };
}
