import type { ClientBase } from 'pg';
import { messageOf } from '../errors.ts';
import { StoreError } from '../event-store.ts';
import { type Findings, addProblem, noFindings } from '../findings.ts';
import { readAddress } from './address.ts';
import { openErrorOf } from './errors.ts';
import { repeatProblems } from './repeats/verify-repeats.ts';
import { refuseOlderFormat } from './schema.ts';
import { Sessions } from './sessions.ts';
import { topicCounts } from './topic-counts.ts';
import { groupProblems } from './verify-groups.ts';
import { type Books, LogWalk, NO_EVENTS, type TopicCount } from './verify-log.ts';

/** Called now and then with the number of events walked so far. */
type Walked = (events: number, total: number) => void;

/** Whole tables are compared, which the settings of a session would make a lookup for each row. */
const BEGIN = `
  SET enable_seqscan = on; SET enable_hashjoin = on; SET enable_mergejoin = on;
  BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`;

const BOOKS = `
  SELECT head.last_offset, received, conflicts, last_ms, epoch_id, settled.last_offset AS settled, merging.last_offset AS merged,
    (SELECT count(*) FROM key) AS keys, (SELECT count(*) FROM block) AS blocks, forgotten
  FROM head, settled, merging, retention`;

/** Keys that no event stands behind. */
const STRAY_KEYS = `
  SELECT key.append_id, key.place FROM key LEFT JOIN log USING (append_id)
  WHERE log.append_id IS NULL OR key.place < 0 OR key.place >= log.events LIMIT 1000`;

/** Blocks that no reader finds. */
const STRAY_BLOCKS = `
  SELECT block.append_id, block.place FROM block LEFT JOIN log USING (append_id)
  LEFT JOIN merged_block ON merged_block.append_id = block.append_id AND merged_block.place = block.place
  WHERE log.append_id IS NULL
    OR (log.first_offset <= (SELECT last_offset FROM merging) AND merged_block.append_id IS NULL) LIMIT 1000`;

/** Commits that stored nothing. */
const EMPTY_COMMITS = `
  SELECT append_id FROM log WHERE events < 0 OR (events = 0 AND cardinality(topics) > 0) LIMIT 1000`;

const EPOCHS = 'SELECT epoch_id, after_offset FROM epoch ORDER BY epoch_id';

/**
 * Walks the log in a database from end to end and checks that it has no gap and every text is an event; that the key of each
 * event that is kept names its append and its place there, so that none is stored twice, and no key lacks an event; that as many
 * keys are missing as were forgotten; that times do not go back; and that topics, books, epochs, groups and repeats agree with the events. It reads one snapshot, so instances may run, and changes
 * nothing.
 *
 * Rejects with a StoreError `unusable` where there is no log to read.
 */
export async function verifyDatabase(given: string, walked: Walked = () => {}): Promise<Findings> {
  const address = readAddress(given);
  const known = { lastOffset: 0, epochId: 0, append: null };
  const sessions = new Sessions(address, { allowsLoss: true, known: () => known, began: async () => {} });
  let client: ClientBase & { end: () => Promise<void> };
  try {
    client = await sessions.connect(() => true);
  } catch (error) {
    throw openErrorOf(address.place, error);
  }
  try {
    await client.query(BEGIN);
    const { rows } = await client.query<{ is_there: boolean }>(
      "SELECT to_regclass('merging') IS NOT NULL AS is_there",
    );
    if (!rows[0]!.is_there) throw new StoreError('unusable', `${address.place} holds no log of this program`);
    await refuseOlderFormat(client, address.place);
    return await verified(client, walked);
  } finally {
    await client.end();
  }
}

async function verified(client: ClientBase, walked: Walked): Promise<Findings> {
  const findings = noFindings();
  const add = (problem: string): void => addProblem(findings, problem);
  const books = await booksOf(client);
  if (books === undefined) {
    add('books: head, settled, merging or retention has no row');
    findings.isWalked = false;
    return findings;
  }
  const walk = new LogWalk(client, findings, books);
  try {
    await walk.all((events) => walked(events, books.lastOffset));
  } catch (error) {
    add(`the walk through the log ended: ${messageOf(error)}`);
  }
  findings.keys = books.keys;
  checkBooks(books, findings.events, walk.lastMs, add);
  if (books.keys !== findings.events - books.forgotten) {
    add(
      `key has ${books.keys} keys, the log ${findings.events} events, of which ${books.forgotten} are forgotten`,
    );
  }
  for (const { append_id: id, place } of await rowsOf(client, STRAY_KEYS)) {
    add(`the key of append ${id}, place ${place} stands for no event`);
  }
  for (const { append_id: id, place } of await rowsOf(client, STRAY_BLOCKS)) {
    add(`the block of append ${id}, place ${place} is not in the log`);
  }
  for (const { append_id: id } of await rowsOf(client, EMPTY_COMMITS)) {
    add(`append ${id}: its row says no events, but topics`);
  }
  await checkTopics(client, walk.topics, add);
  await checkEpochs(client, books, add);
  for await (const problem of groupProblems(client)) add(problem);
  const duplicates = books.received - books.lastOffset;
  for (const problem of await repeatProblems(client, { ...books, duplicates })) add(problem);
  return findings;
}

async function booksOf(client: ClientBase): Promise<Books | undefined> {
  const { rows } = await client.query<Record<string, string>>(BOOKS);
  const [row] = rows;
  if (row === undefined) return undefined;
  const number = (name: string): number => Number(row[name]);
  return {
    lastOffset: number('last_offset'),
    received: number('received'),
    conflicts: number('conflicts'),
    lastMs: number('last_ms'),
    epochId: number('epoch_id'),
    settled: number('settled'),
    merged: number('merged'),
    keys: number('keys'),
    blocks: number('blocks'),
    forgotten: number('forgotten'),
  };
}

function checkBooks(books: Books, events: number, lastMs: number, add: (problem: string) => void): void {
  const { lastOffset, received, conflicts, settled, merged } = books;
  const duplicates = received - lastOffset;
  if (duplicates < 0) add(`books: received ${received} is less than accepted ${lastOffset}`);
  if (conflicts > Math.max(0, duplicates))
    add(`books: ${conflicts} conflicts among ${duplicates} duplicates`);
  if (lastOffset !== events) add(`books: last offset ${lastOffset}, but the log has ${events} events`);
  if (lastMs > books.lastMs) add(`books: the last commit was at ${books.lastMs}, but one was at ${lastMs}`);
  if (settled > lastOffset)
    add(`topics are counted up to offset ${settled}, beyond the last one ${lastOffset}`);
  if (merged > lastOffset) add(`blocks are merged up to offset ${merged}, beyond the last one ${lastOffset}`);
}

async function checkTopics(
  client: ClientBase,
  found: ReadonlyMap<number, TopicCount>,
  add: (problem: string) => void,
): Promise<void> {
  const uncounted = new Map(found);
  for (const { topicId, topic, ...counts } of await topicCounts(client, undefined)) {
    const { events, bytes, expired, bare, lastOffset } = found.get(topicId) ?? NO_EVENTS;
    uncounted.delete(topicId);
    const [told, held] = [counts, { events, bytes, expired, bare, lastOffset }].map(countsText);
    if (told !== held) add(`topic ${JSON.stringify(topic)}: the books say ${told}, the log has ${held}`);
  }
  for (const [id, count] of uncounted)
    add(`topic ${id}: the books lack it, the log has ${countsText(count)}`);
}

function countsText({ events, bytes, expired, bare, lastOffset }: TopicCount): string {
  return `${events} events of ${bytes} bytes, ${expired} expired and ${bare} bare ones, up to offset ${lastOffset}`;
}

async function checkEpochs(
  client: ClientBase,
  { lastOffset, epochId }: Books,
  add: (problem: string) => void,
): Promise<void> {
  const rows = await rowsOf(client, EPOCHS);
  const begins = rows.map(({ after_offset: afterOffset }) => Number(afterOffset));
  if (begins[0] !== 0 || begins.some((begin) => begin < 0 || begin > lastOffset)) {
    add(`epochs: they begin after offsets ${begins.join()}, the last offset is ${lastOffset}`);
  }
  const newest = Number(rows.at(-1)?.['epoch_id'] ?? 0);
  if (newest !== epochId) add(`epochs: the newest one is ${newest}, head says ${epochId}`);
}

async function rowsOf(client: ClientBase, sql: string): Promise<Record<string, string>[]> {
  return (await client.query<Record<string, string>>(sql)).rows;
}
