import { suite } from 'node:test';
import { pathToFileURL } from 'node:url';
import { pathOf } from '../repository.ts';

/** For the tests of a file, milliseconds, on a busy machine: what hangs is named long before the part's process is killed. */
const FILE_TIMEOUT_MS = 300_000;

/**
 * Runs test files in this process, one after the other. Each is a suite, so that hooks outside a file's tests begin and
 * end with it, and that whatever it does not survive bears its name.
 */
export async function runTogether(files: readonly string[]): Promise<void> {
  // As in a process of its own, where a test that waits for what does not keep the process alive is waited for, too.
  const staysAwake = setInterval(() => {}, FILE_TIMEOUT_MS);
  for (const file of files) {
    await suite(file, { timeout: FILE_TIMEOUT_MS }, async () => {
      await import(pathToFileURL(pathOf(file)).href);
    });
  }
  clearInterval(staysAwake);
}
