import { fileURLToPath } from 'node:url';

/**
 * Becomes another of our programs: its module finds the arguments as if it had been started by itself, and has flags,
 * help and exit codes of its own.
 */
export async function handOver(url: string, args: readonly string[]): Promise<void> {
  process.argv = [process.execPath, fileURLToPath(url), ...args];
  await import(url);
}
