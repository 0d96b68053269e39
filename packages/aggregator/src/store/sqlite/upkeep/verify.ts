import type { DatabaseSync } from 'node:sqlite';
import { EVENT_ID, TOPIC, partText } from '../../../event/event-batch.ts';
import { eventsOf } from '../blocks/block-events.ts';
import { Block, type BlockRow } from '../blocks/block-format.ts';
import { messageOf } from '../file/errors.ts';
import { epochsOf } from '../file/epochs.ts';
import { readLedger } from '../file/ledger.ts';
import { groupProblems } from './verify-groups.ts';
import { type FileShape, type OpenFile, openFile } from '../open-file.ts';

/** What a walk through a file found. The file is sound where `problems` is empty. */
export interface Findings {
  events: number;
  blocks: number;
  keys: number;
  /** What is wrong and where, the first thousand. */
  readonly problems: string[];
  /** All that is wrong. */
  problemsFound: number;
}

const PROBLEMS_TOLD_MAX = 1000;

/** Called now and then with the events walked so far. */
export type Walked = (events: number, total: number) => void;

/**
 * Walks a file from end to end: that SQLite finds its pages sound, that the log has no gap and every text is an event,
 * that every event is found by its key at its offset, so none is there twice, that no key is without an event, that
 * filters, directories, topics and books agree with the events, that the groups' books hold. Changes nothing but what every start does.
 */
export function verifyFile(path: string, walked: Walked = () => {}, shape?: FileShape): Findings {
  const findings: Findings = { events: 0, blocks: 0, keys: 0, problems: [], problemsFound: 0 };
  let file: OpenFile;
  try {
    file = openFile(path, { shape });
  } catch (error) {
    tell(findings, messageOf(error));
    return findings;
  }
  try {
    settle(file, findings);
    for (const row of file.db.prepare('PRAGMA integrity_check').all()) {
      if (row['integrity_check'] !== 'ok') tell(findings, `SQLite: ${String(row['integrity_check'])}`);
    }
    const topics = walkLog(file, findings, walked);
    checkBooks(file.db, findings, topics);
    for (const problem of groupProblems(file.db)) tell(findings, problem);
    findings.keys = file.index.keys;
    for (const problem of file.index.problems()) tell(findings, problem);
    if (file.index.keys !== findings.events) {
      tell(findings, `the index has ${file.index.keys} keys, the log ${findings.events} events`);
    }
  } finally {
    file.close();
  }
  return findings;
}

/** Writes the rows of the books, as the service does soon after its start, so that those of the topics tell every event. */
function settle({ appender }: OpenFile, findings: Findings): void {
  try {
    appender.settle();
  } catch (error) {
    tell(findings, messageOf(error));
  }
}

/** Makes the key index anew from the blocks. A kill in the middle leaves an index that the next start completes. */
export function rebuildIndex(path: string, walked: Walked = () => {}, shape?: FileShape): void {
  let total = 0;
  const empty = (db: DatabaseSync): void => {
    db.exec('BEGIN IMMEDIATE; DELETE FROM key_run; DELETE FROM key_block; DELETE FROM key_filter; COMMIT');
    total = readLedger(db).accepted;
  };
  openFile(path, { shape, before: empty, revived: (lastOffset) => walked(lastOffset, total) }).close();
}

interface TopicCount {
  events: number;
  lastOffset: number;
}

function walkLog(
  { db, hasher, index }: OpenFile,
  findings: Findings,
  walked: Walked,
): Map<string, TopicCount> {
  const topics = new Map<string, TopicCount>();
  const nameOf = new Map(
    db
      .prepare('SELECT topic_id, name FROM topic')
      .all()
      .map((row) => [Number(row['topic_id']), String(row['name'])]),
  );
  const total = readLedger(db).accepted;
  const isListed = db.prepare('SELECT 1 FROM block_topic WHERE topic_id = ? AND first_offset = ?');
  let listed = 0;
  const rows = db
    .prepare(
      `SELECT first_offset, events, directory, body, 1 AS is_merged FROM merged_block UNION ALL
       SELECT first_offset, events, directory, body, 0 FROM fresh_block ORDER BY first_offset`,
    )
    .iterate();
  let next = 1;
  for (const row of rows as Iterable<unknown> as Iterable<
    BlockRow & { first_offset: number; events: number; is_merged: number }
  >) {
    const where = `block at offset ${row.first_offset}`;
    findings.blocks += 1;
    if (row.first_offset !== next) tell(findings, `${where}: the one before ends at ${next - 1}`);
    try {
      const block = new Block(row.first_offset, row);
      if (block.count !== row.events)
        tell(findings, `${where}: the row says ${row.events} events, the directory ${block.count}`);
      for (const topicId of row.is_merged === 1 ? block.topicIds : []) {
        listed += 1;
        if (isListed.get(topicId, row.first_offset) === undefined)
          tell(findings, `${where}: block_topic does not say that it holds topic ${topicId}`);
      }
      walkBlock(block);
      findings.events += block.count;
    } catch (error) {
      const message = messageOf(error);
      tell(findings, message.startsWith(where) ? message : `${where}: ${message}`);
    }
    next = row.first_offset + row.events;
    walked(next - 1, total);
  }
  const rowsListed = Number(db.prepare('SELECT count(*) AS n FROM block_topic').get()!['n']);
  if (rowsListed !== listed)
    tell(findings, `block_topic has ${rowsListed} rows, the merged blocks hold ${listed} topics`);
  return topics;

  function walkBlock(block: Block): void {
    const events = eventsOf(block);
    for (let i = 0; i < block.count; i++) {
      const offset = block.firstOffset + i;
      const topic = partText(events, i, TOPIC);
      const where = `offset ${offset}, topic ${JSON.stringify(topic)}, event ${JSON.stringify(partText(events, i, EVENT_ID))}`;
      if (nameOf.get(block.topicId(i)) !== topic) {
        tell(findings, `${where}: the directory says topic ${JSON.stringify(nameOf.get(block.topicId(i)))}`);
      }
      hasher.hashKey(events, i);
      if (!index.find(hasher.k0, hasher.k1, hasher.k2, hasher.k3)) {
        tell(findings, `${where}: its key is not in the index`);
      } else if (index.offset !== offset) {
        tell(
          findings,
          `${where}: its key is that of offset ${index.offset}: it is there twice, or the key is wrong`,
        );
      } else if (index.digest !== hasher.digest(events, i)) {
        tell(findings, `${where}: its digest is not that of its content`);
      }
      const count = topics.get(topic) ?? { events: 0, lastOffset: 0 };
      count.events += 1;
      count.lastOffset = offset;
      topics.set(topic, count);
    }
  }
}

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
    tell(findings, `books: received ${received} is not accepted ${accepted} and duplicates ${duplicates}`);
  }
  if (conflicts! > duplicates!)
    tell(findings, `books: ${conflicts} conflicts among ${duplicates} duplicates`);
  if (accepted !== findings.events)
    tell(findings, `books: accepted ${accepted}, but ${findings.events} events are there`);
  if (lastOffset !== accepted)
    tell(findings, `books: last offset ${lastOffset} after ${accepted} accepted events`);
  const begins = epochsOf(db).map(({ afterOffset }) => afterOffset);
  if (begins[0] !== 0 || begins.some((begin, i) => begin < (begins[i - 1] ?? 0) || begin > lastOffset!)) {
    tell(findings, `epochs: they begin behind offsets ${begins.join()} of ${lastOffset}`);
  }
  const rows = db.prepare('SELECT name, events, last_offset FROM topic').all();
  for (const row of rows) {
    const name = String(row['name']);
    const there = topics.get(name) ?? { events: 0, lastOffset: 0 };
    if (there.events !== row['events'] || there.lastOffset !== row['last_offset']) {
      tell(
        findings,
        `topic ${JSON.stringify(name)}: the books say ${String(row['events'])} events up to offset ` +
          `${String(row['last_offset'])}, the log has ${there.events} up to ${there.lastOffset}`,
      );
    }
  }
}

function tell(findings: Findings, problem: string): void {
  findings.problemsFound += 1;
  if (findings.problems.length < PROBLEMS_TOLD_MAX) findings.problems.push(problem);
}
