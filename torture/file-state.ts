import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** What a kill interrupted, as the file shows afterwards. */
export const WORKS = [
  'seal',
  'key merge',
  'log merge due',
  'checkpoint',
  'half-written transaction',
] as const;

export type Work = (typeof WORKS)[number];

/** How many events of fresh blocks make a merged one (store/sqlite/blocks/block-log.ts). */
const MERGEABLE_EVENTS = 4096;

/**
 * What a dead process had under way in its files. Looking changes neither file nor log: a read-only connection runs no
 * checkpoint.
 *
 * @param runBuckets how many buckets a full run of level 0 has
 * @param before the last checkpoint when the process had started; null if it never did
 */
export function worksUnderWay(databasePath: string, runBuckets: number, before: Checkpoint | null): Work[] {
  const now = lastCheckpoint(databasePath);
  const isHalfWritten = isTransactionHalfWritten(databasePath);
  const works = worksInTables(databasePath, runBuckets);
  // What a start recovers looks like a checkpoint in progress, so only a different one counts.
  if (before !== null && now.attempted > now.done && now.attempted !== before.attempted)
    works.push('checkpoint');
  if (isHalfWritten) works.push('half-written transaction');
  return works;
}

function worksInTables(path: string, runBuckets: number): Work[] {
  // Killed in its first start, before there was a table.
  if (!existsSync(path) || statSync(path).size === 0) return [];
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const holds = (sql: string): boolean => db.prepare(sql).get() !== undefined;
    if (!holds("SELECT 1 FROM sqlite_schema WHERE name = 'fresh_block'")) return [];
    const works: Work[] = [];
    if (holds(`SELECT 1 FROM key_run WHERE level = 0 AND filled < ${runBuckets}`)) works.push('seal');
    if (holds('SELECT 1 FROM key_run WHERE merged_into IS NOT NULL')) works.push('key merge');
    if (holds(`SELECT 1 FROM (SELECT sum(events) AS n FROM fresh_block) WHERE n >= ${MERGEABLE_EVENTS}`))
      works.push('log merge due');
    return works;
  } finally {
    db.close();
  }
}

/** How many frames a checkpoint meant to copy into the file, and how many are certainly there. */
export interface Checkpoint {
  readonly attempted: number;
  readonly done: number;
}

/** From the index of the log, which outlives a killed process: https://sqlite.org/walformat.html */
export function lastCheckpoint(databasePath: string): Checkpoint {
  const index = readStart(`${databasePath}-shm`, 136);
  if (index.length < 136) return { attempted: 0, done: 0 };
  return { attempted: index.readUInt32LE(128), done: index.readUInt32LE(96) };
}

/** Whether frames follow the last commit: https://sqlite.org/fileformat2.html#walformat */
function isTransactionHalfWritten(databasePath: string): boolean {
  const log = readAll(`${databasePath}-wal`);
  if (log.length < 32) return false;
  const frameBytes = 24 + log.readUInt32BE(8);
  const salts = log.subarray(16, 24);
  let isCommitted = true;
  for (let at = 32; at + 24 <= log.length; at += frameBytes) {
    if (!log.subarray(at + 8, at + 16).equals(salts)) break;
    isCommitted = log.readUInt32BE(at + 4) !== 0 && at + frameBytes <= log.length;
  }
  return !isCommitted;
}

function readStart(path: string, bytes: number): Buffer {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return Buffer.alloc(0);
  }
  try {
    const start = Buffer.alloc(bytes);
    return start.subarray(0, readSync(file, start));
  } finally {
    closeSync(file);
  }
}

function readAll(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
