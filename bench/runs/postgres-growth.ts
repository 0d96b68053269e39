import { tempFolder } from '../../lab/lifetime.ts';
import { Driver } from '../load/driver.ts';
import type { Database } from '../process/database.ts';
import { Instances } from '../process/instances.ts';
import type { PostgresGrowthResults, PostgresGrowthStep } from '../results/postgres.ts';
import { say } from '../say.ts';
import { chronicleWeaverOn } from '../systems.ts';
import type { Setting } from './references.ts';

const STEP_KEYS_MAX = 500_000;
const STEPS_MIN = 10;
const BATCH = 1000;

/** Batches of 1000 into an empty log in the database, to this many keys. `reached` is called after each step. */
export async function postgresGrowthRun(
  setting: Setting,
  database: Database,
  { keys, profileFolder }: { keys: number; profileFolder: string | null },
  reached: (step: PostgresGrowthStep) => void,
): Promise<Omit<PostgresGrowthResults, 'machine'>> {
  using folder = tempFolder(setting.folder);
  const log = database.newLog();
  await using instances = await Instances.start(
    chronicleWeaverOn(log, folder.path, profileFolder),
    1,
    database,
  );
  const driver = new Driver(instances, setting.seed, setting.eventText);
  const stepKeys = Math.min(STEP_KEYS_MAX, Math.ceil(keys / STEPS_MIN));
  const steps: PostgresGrowthStep[] = [];
  while (driver.keys < keys) {
    const upTo = Math.min(keys, driver.keys + stepKeys);
    say(`growing to ${upTo} keys`);
    const [requests] = await driver.prepare((plan) => [[plan.untilKeys(upTo), BATCH]]);
    const walBefore = await database.walBytes();
    const measure = await driver.publish(requests!);
    const step = {
      keys: upTo,
      measure,
      diskBytesPerEvent: (await database.diskBytes(log)) / upTo,
      walBytesPerEvent: ((await database.walBytes()) - walBefore) / measure.events,
    };
    await driver.checkBooks();
    steps.push(step);
    reached(step);
  }
  return { kind: 'postgres growth', server: database.about, stepKeys, steps };
}
