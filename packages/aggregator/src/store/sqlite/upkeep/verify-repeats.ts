import type { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../../errors.ts';
import { CONFLICTS_KEPT_MAX, REPEATS_KEPT_MAX } from '../../repeat-store.ts';
import { BlockReader } from '../block-reader.ts';
import { readLedger } from '../file/ledger.ts';
import { markIn } from '../file/move-mark.ts';
import { addCounts, historyIn } from '../repeats/packed.ts';
import { PendingRepeats } from '../repeats/pending.ts';
import { addAge, agesIn, noAges } from '../repeats/settling.ts';

/**
 * What is wrong with what is remembered of repeats, one line each: that its counts and the books differ, that events are told
 * of which the log does not have, and texts that lost to an event without a text.
 */
export function* repeatProblems(db: DatabaseSync): Generator<string> {
  for (const check of [countProblems, historyProblems, conflictProblems]) {
    try {
      yield* check(db);
    } catch (error) {
      yield `repeats: ${messageOf(error)}`;
    }
  }
}

function* countProblems(db: DatabaseSync): Generator<string> {
  const ages = noAges();
  const topics = db.prepare('SELECT 1 FROM topic WHERE topic_id = ?');
  for (const row of db.prepare('SELECT * FROM repeat_count').iterate()) {
    const where = `repeats on topic ${String(row['topic_id'])} from ${JSON.stringify(row['source'])}`;
    if (topics.get(row['topic_id']!) === undefined) yield `${where}: there is no topic with this id`;
    try {
      const some = noAges();
      addCounts(some, row['ages'] as Uint8Array);
      addCounts(ages, row['ages'] as Uint8Array);
      const { duplicates, conflicts } = totalsOf(some);
      if (duplicates !== row['duplicates'] || conflicts !== row['conflicts'])
        yield `${where}: its ages and its totals differ`;
    } catch (error) {
      yield `${where}: ${messageOf(error)}`;
    }
  }
  const { lastOffset, duplicates, conflicts } = readLedger(db);
  let last = 0;
  new PendingRepeats(db).visit((repeat) => {
    addAge(ages, repeat);
    last = Math.max(last, repeat.offset);
  });
  if (last > lastOffset) yield `repeats: one is of offset ${last}, the log ends at ${lastOffset}`;
  const state = db.prepare('SELECT duplicates_before, conflicts_before FROM repeat_state').get()!;
  const counted = totalsOf(ages);
  const [mustDuplicates, mustConflicts] = [
    duplicates - Number(state['duplicates_before']),
    conflicts - Number(state['conflicts_before']),
  ];
  if (counted.duplicates !== mustDuplicates || counted.conflicts !== mustConflicts) {
    yield (
      `repeats: ${counted.duplicates} are counted, ${counted.conflicts} of them conflicts, ` +
      `but the books have ${mustDuplicates} and ${mustConflicts} since they are counted`
    );
  }
}

function* historyProblems(db: DatabaseSync): Generator<string> {
  const { lastOffset } = readLedger(db);
  // A database tells fewer where many neighbours were repeated often.
  const isMoved = markIn(db) !== null;
  for (const row of db.prepare('SELECT * FROM repeat_history').iterate()) {
    const [offset, duplicates] = [Number(row['offset']), Number(row['duplicates'])];
    const where = `repeats of offset ${offset}`;
    if (offset > lastOffset) yield `${where}: the log ends at ${lastOffset}`;
    if (Number(row['conflicts']) > duplicates) yield `${where}: more conflicts than duplicates`;
    try {
      const known = historyIn(row['repeats'] as Uint8Array).length;
      if (known < (isMoved ? 1 : Math.min(duplicates, REPEATS_KEPT_MAX)))
        yield `${where}: ${known} of ${duplicates} are known`;
    } catch (error) {
      yield `${where}: ${messageOf(error)}`;
    }
  }
}

function* conflictProblems(db: DatabaseSync): Generator<string> {
  const { lastOffset, conflicts } = readLedger(db);
  const blocks = new BlockReader(db);
  const rows = db.prepare(`
    SELECT number, offset, text_bytes, length(body) >= text_at + text_bytes AS is_in FROM conflict
    LEFT JOIN conflict_texts ON last_number = texts ORDER BY offset`);
  for (const row of rows.all()) {
    const [number, offset] = [Number(row['number']), Number(row['offset'])];
    const where = `conflict ${number}`;
    if (number > conflicts || number <= conflicts - CONFLICTS_KEPT_MAX)
      yield `${where}: the books have ${conflicts} conflicts`;
    if (offset < 1 || offset > lastOffset) {
      yield `${where}: it lost to offset ${offset}, the log ends at ${lastOffset}`;
    } else if (row['text_bytes'] !== null) {
      if (row['is_in'] !== 1) yield `${where}: its text is missing`;
      const block = blocks.find(offset);
      if (block?.isKept(offset - block.firstOffset) === false)
        yield `${where}: its text outlives the one it lost to`;
    }
  }
}

function totalsOf(counts: readonly number[]): { duplicates: number; conflicts: number } {
  const { duplicates, conflicts } = agesIn(counts);
  const sum = (some: readonly number[]): number => some.reduce((all, count) => all + count, 0);
  return { duplicates: sum(duplicates), conflicts: sum(conflicts) };
}
