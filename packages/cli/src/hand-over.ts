import { fileURLToPath } from 'node:url';

/**
 * Becomes another of our programs: its module finds its arguments as if it had been started directly, and has its own
 * flags, help and exit codes.
 */
export async function handOver(url: string, args: readonly string[]): Promise<void> {
  process.argv = [process.execPath, fileURLToPath(url), ...args];
  await import(url);
}
