import { createProgress } from '@chronicleweaver/terminal';
import { Driver } from '../load/driver.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { ServerProcess } from '../process/server-process.ts';
import { say } from '../say.ts';
import type { GrowthResults, GrowthStep, Machine } from '../results.ts';
import { chronicleWeaver } from '../systems.ts';
import { killAndReturn } from './kill-and-return.ts';
import { atRest, readyFresh } from './ready.ts';
import type { Setting } from './references.ts';

const STEP_KEYS_MAX = 500_000;
const STEPS_MIN = 10;
const BATCH = 1000;

/**
 * The growth run: batches of 1000 from an empty file to this many keys, then `kill -9`. `reached` is called after each
 * step.
 */
export async function growthRun(
  setting: Setting,
  { keys, machine, profileFolder }: { keys: number; machine: Machine; profileFolder: string | null },
  reached: (step: GrowthStep) => void,
): Promise<GrowthResults> {
  using folder = tempFolder(setting.folder);
  const command = chronicleWeaver(folder.path, setting.cores, profileFolder);
  const { server } = await ServerProcess.startReady(command);
  const driver = new Driver(server, setting.seed, setting.eventText);
  const stepKeys = Math.min(STEP_KEYS_MAX, Math.ceil(keys / STEPS_MIN));
  const steps: GrowthStep[] = [];
  try {
    while (driver.keys < keys) {
      const step = await grow(driver, Math.min(keys, driver.keys + stepKeys));
      steps.push(step);
      reached(step);
    }
    say('kill -9 and return');
    const ms = await killAndReturn(driver, command, setting.runs);
    const restBytes = await atRest(driver.server);
    await driver.server.stop();
    const diskBytesPerEventStopped = driver.server.diskBytes() / driver.keys;
    const ready = [await readyFresh(setting), { keys, ms, restBytes }];
    return { kind: 'growth', machine, stepKeys, steps, ready, diskBytesPerEventStopped };
  } finally {
    await driver.server.kill();
  }
}

async function grow(driver: Driver, upTo: number): Promise<GrowthStep> {
  const from = driver.keys;
  const [requests] = await driver.prepare((plan) => [[plan.untilKeys(upTo), BATCH]]);
  const total = requests!.wire.length;
  const progress = createProgress({ what: 'growing', total: upTo, unit: 'keys' });
  try {
    const measure = await driver.publish(requests!, (sent) =>
      progress.advance(from + ((upTo - from) * sent) / total),
    );
    const memory = driver.server.memory();
    const diskBytesPerEvent = driver.server.diskBytes() / upTo;
    await driver.checkBooks();
    return { keys: upTo, measure, memory, diskBytesPerEvent };
  } finally {
    progress.stop();
  }
}
