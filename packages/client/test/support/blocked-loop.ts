import { setTimeout as sleep } from 'node:timers/promises';

export function compute(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Blocks the event loop at a point after which it fires timers before it reads what has arrived. */
export async function blockFor(ms: number): Promise<void> {
  await sleep(1);
  await new Promise((resolve) => setImmediate(resolve));
  compute(ms);
}
