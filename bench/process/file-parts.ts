import { DatabaseSync } from 'node:sqlite';

/** What a database file consists of, in bytes of whole pages. */
export interface FileParts {
  /** The index that deduplicates. */
  readonly keysBytes: number;
  /** The events, and which of them are of which topic. */
  readonly eventsBytes: number;
  /** The story of the duplicates, which stays with the ids. */
  readonly repeatsBytes: number;
}

const KEY_TABLES = ['key_block', 'key_filter', 'key_run', 'bare_key'];
const EVENT_TABLES = ['merged_block', 'fresh_block', 'block_topic'];
const REPEAT_TABLES = [
  'repeat_history',
  'repeat_count',
  'repeat_period',
  'repeating_block',
  'conflict',
  'conflict_texts',
];

/** Reads each page of the file once, also while a service has it open: https://sqlite.org/dbstat.html */
export function filePartsOf(path: string): FileParts {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const sum = db.prepare(
      'SELECT ifnull(sum(pgsize), 0) AS bytes FROM dbstat(?1, 1) WHERE name IN (SELECT value FROM json_each(?2))',
    );
    const bytesOf = (names: readonly string[]): number =>
      Number(sum.get('main', JSON.stringify(names))!['bytes']);
    return {
      keysBytes: bytesOf(KEY_TABLES),
      eventsBytes: bytesOf(EVENT_TABLES),
      repeatsBytes: bytesOf(REPEAT_TABLES),
    };
  } finally {
    db.close();
  }
}
