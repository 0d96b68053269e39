import type { Driver } from '../load/driver.ts';
import { type ServerCommand, ServerProcess } from '../process/server-process.ts';

/** How much is sent before each kill, so that each kill comes right after an acknowledgement. */
const BURST_EVENTS = 20_000;

/**
 * Several times: `kill -9` right after the last answer of a burst, then a start on the same file, which must still have
 * everything that was acknowledged. Returns the times to ready and leaves the last server running.
 */
export async function killAndReturn(
  driver: Driver,
  command: ServerCommand,
  times: number,
): Promise<number[]> {
  const readyMs: number[] = [];
  for (let time = 0; time < times; time++) {
    const [burst] = await driver.prepare((plan) => [[plan.next(BURST_EVENTS), 1000]]);
    await driver.publish(burst!);
    await driver.server.kill();
    const back = await ServerProcess.startReady(command);
    driver.server = back.server;
    readyMs.push(back.readyMs);
    await driver.checkBooks();
  }
  return readyMs;
}
