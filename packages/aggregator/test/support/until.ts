import { setTimeout as sleep } from 'node:timers/promises';

/** Repeats the probe until it returns true; rejects with what it was waiting for. */
export async function until(what: () => string, probe: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 60_000;
  while (!(await probe())) {
    if (Date.now() > giveUpAt) throw new Error(`not within 60 s: ${what()}`);
    await sleep(5);
  }
}
