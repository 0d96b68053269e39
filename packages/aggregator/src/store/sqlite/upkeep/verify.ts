import type { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../../errors.ts';
import { epochsOf } from '../file/epochs.ts';
import { readLedger } from '../file/ledger.ts';
import { isInUse } from '../file/lock.ts';
import { FILE_SHAPE, type FileShape, type OpenFile, openFile } from '../open-file.ts';
import { type Findings, addProblem, noFindings } from '../../findings.ts';
import { emptyRuns } from './salvage-keys.ts';
import { auditProblems } from './verify-audit.ts';
import { groupProblems } from './verify-groups.ts';
import { repeatProblems } from './verify-repeats.ts';
import { type TopicCount, countIn } from '../topic-rows.ts';
import { type Walked, walkLog } from './verify-log.ts';

/**
 * Walks a file from end to end and checks that SQLite finds its pages sound; that the log has no gap and every text is
 * an event; that every kept event is found by its key at its offset, so none is stored twice; that there are as many keys
 * as events whose ids are known; that no text of an expired event is left in its block;
 * that filters, directories, topics and books agree with the events; that the repeats that are remembered do so, too; that the groups' books balance; and that the audit trail can be read. Changes
 * nothing but what every start changes. Throws a StoreError if another process has the file open, which says nothing about it.
 */
export function verifyFile(path: string, walked: Walked = () => {}, shape?: FileShape): Findings {
  const findings = noFindings();
  let file: OpenFile;
  try {
    file = openFile(path, { shape });
  } catch (error) {
    if (isInUse(error)) throw error;
    findings.isWalked = false;
    addProblem(findings, messageOf(error));
    return findings;
  }
  try {
    settle(file, findings);
    for (const row of file.db.prepare('PRAGMA integrity_check').all()) {
      if (row['integrity_check'] !== 'ok') addProblem(findings, `SQLite: ${String(row['integrity_check'])}`);
    }
    const topics = walkLog(file, findings, walked);
    checkBooks(file.db, findings, topics);
    for (const problem of groupProblems(file.db)) addProblem(findings, problem);
    for (const problem of repeatProblems(file.db)) addProblem(findings, problem);
    for (const problem of auditProblems(file.db)) addProblem(findings, problem);
    findings.keys = file.index.keys;
    for (const problem of file.index.problems()) addProblem(findings, problem);
    const { forgotten } = file.db.prepare('SELECT forgotten FROM log').get()!;
    const known = findings.events - Number(forgotten);
    if (file.index.keys !== known) {
      const those = Number(forgotten) === 0 ? '' : ` whose ids are not forgotten`;
      addProblem(findings, `the index has ${file.index.keys} keys, the log ${known} events${those}`);
    }
  } finally {
    file.close();
  }
  return findings;
}

/** Brings the rows of the books up to date, as the service does soon after its start: they may lag behind the blocks. */
function settle({ appender }: OpenFile, findings: Findings): void {
  try {
    appender.settle();
  } catch (error) {
    addProblem(findings, messageOf(error));
  }
}

/**
 * Rebuilds the key index from the blocks, and from what can be read of the index itself, where there is no text. If it is
 * killed halfway, the next start completes the index. Returns how many ids are lost: their events would be stored again.
 */
export function rebuildIndex(path: string, walked: Walked = () => {}, shape: FileShape = FILE_SHAPE): number {
  let [total, lost] = [0, 0];
  const empty = (db: DatabaseSync): void => {
    lost = emptyRuns(db, shape.index);
    total = readLedger(db).accepted;
  };
  openFile(path, { shape, before: empty, revived: (lastOffset) => walked(lastOffset, total) }).close();
  return lost;
}

/** Compares the books with what the walk through the log has counted. */
function checkBooks(db: DatabaseSync, findings: Findings, topics: ReadonlyMap<string, TopicCount>): void {
  const ledger = db.prepare('SELECT * FROM ledger').get()!;
  const {
    received,
    accepted,
    duplicates,
    conflicts,
    last_offset: lastOffset,
  } = ledger as Record<string, number>;
  if (received !== accepted! + duplicates!) {
    addProblem(
      findings,
      `books: received ${received} is not accepted ${accepted} plus duplicates ${duplicates}`,
    );
  }
  if (conflicts! > duplicates!)
    addProblem(findings, `books: ${conflicts} conflicts among ${duplicates} duplicates`);
  if (accepted !== findings.events)
    addProblem(findings, `books: accepted ${accepted}, but the log has ${findings.events} events`);
  if (lastOffset !== accepted)
    addProblem(findings, `books: last offset ${lastOffset} after ${accepted} accepted events`);
  const begins = epochsOf(db).map(({ afterOffset }) => afterOffset);
  if (begins[0] !== 0 || begins.some((begin, i) => begin < (begins[i - 1] ?? 0) || begin > lastOffset!)) {
    addProblem(
      findings,
      `epochs: they begin after offsets ${begins.join()}, the last offset is ${lastOffset}`,
    );
  }
  for (const state of ['expired', 'bare'] as const) {
    let found = 0;
    for (const topic of topics.values()) found += topic[state];
    if (found !== ledger[state])
      addProblem(findings, `books: ${String(ledger[state])} events are ${state}, in the log ${found}`);
  }
  for (const row of db.prepare('SELECT * FROM topic').iterate()) {
    const name = String(row['name']);
    for (const fault of topicFaults(countIn(row), topics.get(name) ?? countIn(undefined)))
      addProblem(findings, `topic ${JSON.stringify(name)}: ${fault}`);
  }
}

/** How the row of a topic differs from what the log has of it. */
function* topicFaults(row: TopicCount, found: TopicCount): Generator<string> {
  if (found.events !== row.events || found.lastOffset !== row.lastOffset) {
    yield (
      `the books say ${row.events} events up to offset ${row.lastOffset}, ` +
      `the log has ${found.events} up to ${found.lastOffset}`
    );
  }
  for (const part of ['bytes', 'expired', 'bare'] as const)
    if (found[part] !== row[part]) yield `the books say ${row[part]} ${part}, the log has ${found[part]}`;
  // The row is a bound: expiry raises it only as far as it has read.
  if (found.events > 0 && row.firstOffset > found.firstOffset)
    yield `the books say that no event below ${row.firstOffset} is kept, the log keeps ${found.firstOffset}`;
}
