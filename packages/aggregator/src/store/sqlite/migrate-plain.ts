import type { DatabaseSync } from 'node:sqlite';
import { readStoredEvents } from '../../event/event-reader.ts';
import type { Appender } from './append.ts';
import type { BlockLog } from './blocks/block-log.ts';
import type { KeyHasher } from '../key-hash.ts';
import type { KeyIndex } from './keys/key-index.ts';

/** Rows moved in one transaction. */
const ROWS_MOVED = 4096;

interface PlainRow {
  readonly offset: number;
  readonly topic_id: number;
  readonly received_ms: number;
  readonly text: string;
}

/** Called after every transaction with the number of events moved so far. */
export type Progress = (moved: number, total: number) => void;

/**
 * Moves the events of the plain store (migration step 1) into blocks and index, a few thousand rows per transaction.
 * The transaction that adds a block deletes its rows, so a kill at any moment leaves each event in exactly one of the
 * two, and the next start continues from there. Offsets, times and counts do not change.
 */
export function migratePlain(
  db: DatabaseSync,
  { appender, hasher, index, log }: { appender: Appender; hasher: KeyHasher; index: KeyIndex; log: BlockLog },
  progress: Progress,
): void {
  const hasPlain = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'event'").get() !== undefined;
  if (!hasPlain) return;
  const total = Number(db.prepare('SELECT accepted FROM ledger').get()!['accepted']);
  const left = db.prepare('SELECT count(*) AS n FROM event');
  const select = db.prepare('SELECT offset, topic_id, received_ms, text FROM event ORDER BY offset LIMIT ?');
  const remove = db.prepare('DELETE FROM event WHERE offset <= ?');
  for (;;) {
    const rows = select.all(ROWS_MOVED) as unknown as PlainRow[];
    if (rows.length === 0) break;
    appender.transaction(() => {
      move(rows);
      remove.run(rows.at(-1)!.offset);
      index.step(rows.length);
      log.step();
    });
    progress(total - Number(left.get()!['n']), total);
  }
  db.exec('DROP TABLE event');

  function move(rows: readonly PlainRow[]): void {
    const texts = rows.map((row) => Buffer.from(row.text));
    const lengths = Int32Array.from(texts, (text) => text.length);
    let end = 0;
    const starts = lengths.map((length) => (end += length) - length);
    const joined = Buffer.concat(texts, end);
    const commits: { events: number; receivedMs: number }[] = [];
    for (const { received_ms: receivedMs } of rows) {
      const commit = commits.at(-1);
      if (commit?.receivedMs === receivedMs) commit.events += 1;
      else commits.push({ events: 1, receivedMs });
    }
    log.insert(rows[0]!.offset, {
      topicIds: Int32Array.from(rows, (row) => row.topic_id),
      starts,
      lengths,
      texts: joined,
      commits,
    });
    addKeys(readStoredEvents(Buffer.from(joined), rows.length), rows[0]!.offset, hasher, index);
  }
}

/** Adds the keys of consecutive stored events. */
function addKeys(
  events: ReturnType<typeof readStoredEvents>,
  firstOffset: number,
  hasher: KeyHasher,
  index: KeyIndex,
): void {
  for (let i = 0; i < events.count; i++) {
    hasher.hashKey(events, i);
    index.addStored(hasher.k0, hasher.k1, hasher.k2, hasher.k3, firstOffset + i, hasher.digest(events, i));
  }
}
