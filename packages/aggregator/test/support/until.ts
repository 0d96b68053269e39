import { setTimeout as sleep } from 'node:timers/promises';

/** Asks again until the probe says true; rejects with what was waited for. */
export async function until(what: () => string, probe: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 15_000;
  while (!(await probe())) {
    if (Date.now() > giveUpAt) throw new Error(`not within 15 s: ${what()}`);
    await sleep(5);
  }
}
