import { Watched } from '../watched.ts';
import { Refusal, ask } from './ask.ts';
import { key } from './key.ts';
import { pulse } from './pulse.ts';

/** Whether the service tells the story of duplicates; a version that does not answers 404. */
export const tellsDuplicates = new Watched(false);

/** Asks once the service has answered anything, and again with another key. Called once. */
export function startFeatures(): void {
  let askedWith: string | null | undefined = null;
  pulse.watch(() => {
    if (pulse.value.stats === undefined || askedWith === key.value) return;
    askedWith = key.value;
    void askOnce();
  });
}

async function askOnce(): Promise<void> {
  try {
    await ask('/duplicates/ages');
    tellsDuplicates.set(true);
  } catch (error) {
    // A key that may not see it: the page says so.
    tellsDuplicates.set(error instanceof Refusal && error.status === 403);
  }
}
