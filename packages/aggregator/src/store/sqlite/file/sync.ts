import { closeSync, fsyncSync, openSync } from 'node:fs';

/**
 * Syncs the bytes and the length of a file, or the names in a folder, to the disk. Not for a file on which this process has
 * locks: closing any descriptor of it would end them (the write-ahead log has none).
 */
export function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
