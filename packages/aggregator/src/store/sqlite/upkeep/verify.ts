import type { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../file/errors.ts';
import { epochsOf } from '../file/epochs.ts';
import { readLedger } from '../file/ledger.ts';
import { type FileShape, type OpenFile, openFile } from '../open-file.ts';
import { type Findings, addProblem, noFindings } from './findings.ts';
import { groupProblems } from './verify-groups.ts';
import type { TopicCount } from '../topic-rows.ts';
import { type Walked, walkLog } from './verify-log.ts';

/**
 * Walks a file from end to end and checks that SQLite finds its pages sound; that the log has no gap and every text is
 * an event; that every event is found by its key at its offset, so none is stored twice; that no key lacks an event;
 * that filters, directories, topics and books agree with the events; and that the groups' books balance. Changes
 * nothing but what every start changes.
 */
export function verifyFile(path: string, walked: Walked = () => {}, shape?: FileShape): Findings {
  const findings = noFindings();
  let file: OpenFile;
  try {
    file = openFile(path, { shape });
  } catch (error) {
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
    findings.keys = file.index.keys;
    for (const problem of file.index.problems()) addProblem(findings, problem);
    if (file.index.keys !== findings.events) {
      addProblem(findings, `the index has ${file.index.keys} keys, the log ${findings.events} events`);
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

/** Rebuilds the key index from the blocks. If it is killed halfway, the next start completes the index. */
export function rebuildIndex(path: string, walked: Walked = () => {}, shape?: FileShape): void {
  let total = 0;
  const empty = (db: DatabaseSync): void => {
    db.exec('BEGIN IMMEDIATE; DELETE FROM key_run; DELETE FROM key_block; DELETE FROM key_filter; COMMIT');
    total = readLedger(db).accepted;
  };
  openFile(path, { shape, before: empty, revived: (lastOffset) => walked(lastOffset, total) }).close();
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
  const rows = db.prepare('SELECT name, events, last_offset FROM topic').all();
  for (const row of rows) {
    const name = String(row['name']);
    const found = topics.get(name) ?? { events: 0, lastOffset: 0 };
    if (found.events !== row['events'] || found.lastOffset !== row['last_offset']) {
      addProblem(
        findings,
        `topic ${JSON.stringify(name)}: the books say ${String(row['events'])} events up to offset ` +
          `${String(row['last_offset'])}, the log has ${found.events} up to ${found.lastOffset}`,
      );
    }
  }
}
