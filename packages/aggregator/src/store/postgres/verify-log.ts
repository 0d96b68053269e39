import type { ClientBase } from 'pg';
import { EVENT_ID, type EventBatch, TOPIC, partText } from '../../event/event-batch.ts';
import { keptEventsOf } from '../blocks/block-events.ts';
import { Block, EXPIRED, bytesOf } from '../blocks/block-format.ts';
import { keptTopicsOf } from '../blocks/block-rewrite.ts';
import { messageOf } from '../errors.ts';
import { type Findings, addProblem } from '../findings.ts';
import { KeyHasher } from '../key-hash.ts';
import { uuidArray } from './arrays.ts';

/** Rows that are in memory at a time; a merged block may have 1 MiB of text. */
const MERGED_ROWS = 8;
const FRESH_ROWS = 64;
const COMMIT_ROWS = 2000;

const MERGED = `
  SELECT first_offset, merged_block.events, merged_block.topics, bytes, log.received_ms,
    coalesce(merged_block.directory, block.directory) AS directory, coalesce(merged_block.body, block.body) AS body,
    0 AS place, merged_block.append_id IS NOT NULL AS is_passed, merged_block.kept_topics
  FROM merged_block LEFT JOIN block USING (append_id, place) LEFT JOIN (SELECT append_id, received_ms FROM log) AS log USING (append_id)
  WHERE first_offset > $1::bigint AND $2::int IS NOT NULL ORDER BY first_offset LIMIT ${MERGED_ROWS}`;

const FRESH = `
  SELECT log.first_offset + block.place AS first_offset, block.events, log.topics, octet_length(body) AS bytes, log.received_ms,
    directory, body, block.place, true AS is_passed, kept_topics
  FROM log JOIN block USING (append_id)
  WHERE log.events > 0 AND (log.first_offset, block.place) > ($1::bigint, $2::int)
  ORDER BY log.first_offset, block.place LIMIT ${FRESH_ROWS}`;

const COMMITS = `
  SELECT append_id, first_offset, events, received_ms, topics, counts, lasts FROM log
  WHERE events > 0 AND first_offset > $1::bigint ORDER BY first_offset LIMIT ${COMMIT_ROWS}`;

const KEYS = `
  SELECT sought.nth::int, key.append_id, key.place, key.digest
  FROM unnest($1::uuid[]) WITH ORDINALITY AS sought (hash, nth) JOIN key USING (hash)`;

/** What the single rows say of the whole. */
export interface Books {
  readonly lastOffset: number;
  readonly received: number;
  readonly conflicts: number;
  readonly lastMs: number;
  readonly epochId: number;
  /** How far the topics' rows and the merged blocks reach. */
  readonly settled: number;
  readonly merged: number;
  readonly keys: number;
  readonly blocks: number;
  /** Ids that were. */
  readonly forgotten: number;
}

/** What a topic holds, as in topic-counts.ts. */
export interface TopicCount {
  events: number;
  bytes: number;
  expired: number;
  bare: number;
  lastOffset: number;
}

export const NO_EVENTS: Readonly<TopicCount> = { events: 0, bytes: 0, expired: 0, bare: 0, lastOffset: 0 };

/** In: the rows of a snapshot, by offset. Out: problems, and what the walk has counted. */
export class LogWalk {
  readonly topics = new Map<number, TopicCount>();
  /** The latest time of a commit. */
  lastMs = 0;
  readonly #client: ClientBase;
  readonly #findings: Findings;
  readonly #books: Books;
  readonly #nameOf = new Map<number, string>();
  readonly #commits: AsyncGenerator<CommitRow>;
  /** The commit of the event that is looked at, and the topics of its events so far. */
  #commit: CommitRow | undefined;
  #commitTopics = new Map<number, { count: number; last: number }>();
  /** Where the next block should begin. */
  #nextOffset = 1;

  constructor(client: ClientBase, findings: Findings, books: Books) {
    this.#client = client;
    this.#findings = findings;
    this.#books = books;
    this.#commits = commitsOf(client);
  }

  async all(walked: (events: number) => void): Promise<void> {
    const { rows } = await this.#client.query<{ secret: Buffer }>('SELECT secret FROM about');
    const topics = await this.#client.query<{ topic_id: number; name: string }>(
      'SELECT topic_id, name FROM topic',
    );
    for (const { topic_id: id, name } of topics.rows) this.#nameOf.set(id, name);
    const hasher = new KeyHasher(rows[0]!.secret);
    for await (const row of this.#blocks()) {
      await this.#block(row, hasher);
      walked(this.#nextOffset - 1);
    }
    await this.#endCommit();
    if ((await this.#commits.next()).done !== true) this.#add(`the log has commits above offset ${this.#nextOffset - 1}, but no blocks of them`); // prettier-ignore
  }

  /** The blocks that readers find, in order. */
  async *#blocks(): AsyncGenerator<BlockRow> {
    yield* rowsAfter(this.#client, MERGED, 0);
    if (this.#nextOffset !== this.#books.merged + 1) {
      this.#add(`blocks are merged up to offset ${this.#nextOffset - 1}, merging says ${this.#books.merged}`);
    }
    yield* rowsAfter(this.#client, FRESH, this.#books.merged);
  }

  async #block(row: BlockRow, hasher: KeyHasher): Promise<void> {
    const first = Number(row.first_offset);
    const where = `block at offset ${first}`;
    this.#findings.blocks += 1;
    if (first !== this.#nextOffset) this.#add(`${where}: the one before ends at ${this.#nextOffset - 1}`);
    this.#nextOffset = first + row.events;
    try {
      if (row.directory === null || row.body === null) throw new Error('the block that it names is gone');
      const receivedMs = row.received_ms === null ? undefined : Number(row.received_ms);
      const block = new Block(first, { directory: row.directory, body: row.body }, receivedMs);
      if (block.count !== row.events) {
        this.#add(`${where}: its row says ${row.events} events, its directory ${block.count}`);
      }
      if (row.body.length !== row.bytes) {
        this.#add(`${where}: its row says ${row.bytes} bytes, it has ${row.body.length}`);
      }
      const listed = new Set(row.topics);
      const unlisted = block.topicIds.filter((id) => !listed.has(id));
      if (unlisted.length > 0)
        this.#add(`${where}: its row does not say that it holds topic ${unlisted.join()}`);
      this.#checkLeft(block, row);
      const kept = keptEventsOf(block);
      const keys = await this.#keysOf(kept.events, hasher);
      let at = 0;
      for (let i = 0; i < block.count; i++) {
        if (kept.places[at] === i) await this.#keptEvent(block, i, kept.events, at++, keys);
        else this.#counted(block, i, await this.#commitOf(block.firstOffset + i));
      }
      this.#findings.events += block.count;
    } catch (error) {
      const message = messageOf(error);
      this.#add(message.startsWith(where) ? message : `${where}: ${message}`);
    }
  }

  /** Whoever lets go of texts finds all that are left. */
  #checkLeft(block: Block, { kept_topics: topics }: BlockRow): void {
    if (topics === null) return;
    const listed = new Set(topics);
    const unlisted = keptTopicsOf([block]).filter((id) => !listed.has(id));
    if (unlisted.length === 0) return;
    this.#add(
      `block at offset ${block.firstOffset}: its row says that no texts of topic ${unlisted.join()} are left`,
    );
  }

  /** @param at the event's place among those that are kept */
  async #keptEvent(block: Block, i: number, events: EventBatch, at: number, keys: Keys): Promise<void> {
    const offset = block.firstOffset + i;
    const topic = partText(events, at, TOPIC);
    const where = `offset ${offset}, topic ${JSON.stringify(topic)}, event ${JSON.stringify(partText(events, at, EVENT_ID))}`;
    const listed = this.#nameOf.get(block.topicId(i));
    if (listed !== topic) this.#add(`${where}: the directory says topic ${JSON.stringify(listed)}`);
    const commit = await this.#commitOf(offset);
    this.#counted(block, i, commit);
    if (commit === undefined) {
      this.#add(`${where}: no commit in the log has it`);
      return;
    }
    const fault = keyFault(keys.found.get(at + 1), keys.digests[at]!, commit, offset - commit.firstOffset);
    if (fault !== undefined) this.#add(`${where}: ${fault}`);
    if (block.receivedMs(i) !== commit.receivedMs) {
      this.#add(
        `${where}: its block says that it came at ${block.receivedMs(i)}, the log at ${commit.receivedMs}`,
      );
    }
  }

  #counted(block: Block, i: number, commit: CommitRow | undefined): void {
    const offset = block.firstOffset + i;
    const id = block.topicId(i);
    if (commit !== undefined) {
      const count = (this.#commitTopics.get(id)?.count ?? 0) + 1;
      this.#commitTopics.set(id, { count, last: offset - commit.firstOffset });
    }
    const topic = this.topics.get(id) ?? { ...NO_EVENTS };
    this.topics.set(id, topic);
    const length = block.textLength(i);
    if (block.isKept(i)) topic.events += 1;
    else if (length === EXPIRED) topic.expired += 1;
    else topic.bare += 1;
    topic.bytes += bytesOf(length);
    topic.lastOffset = offset;
  }

  /** The commit that has the offset; those before it are done. */
  async #commitOf(offset: number): Promise<CommitRow | undefined> {
    while (this.#commit === undefined || offset > this.#commit.lastOffset) {
      await this.#endCommit();
      const { value } = (await this.#commits.next()) as { value: CommitRow | undefined };
      if (value === undefined) return undefined;
      const ended = this.#commit?.lastOffset ?? 0;
      if (value.firstOffset !== ended + 1) this.#add(`append ${value.id}: it begins at offset ${value.firstOffset}, the one before ends at ${ended}`); // prettier-ignore
      if (value.receivedMs < this.lastMs) this.#add(`append ${value.id} at offset ${value.firstOffset}: its time ${value.receivedMs} is before that of an earlier one, ${this.lastMs}`); // prettier-ignore
      this.lastMs = Math.max(this.lastMs, value.receivedMs);
      this.#commit = value;
      this.#commitTopics = new Map();
    }
    return offset >= this.#commit.firstOffset ? this.#commit : undefined;
  }

  /** Compares what the commit's row says of topics with its events. */
  async #endCommit(): Promise<void> {
    if (this.#commit === undefined) return;
    const { id, topics, firstOffset } = this.#commit;
    const found = [...this.#commitTopics].map(([topic, { count, last }]) => `${topic}: ${count} to ${last}`);
    if (found.toSorted().join() === topics) return;
    this.#add(`append ${id} at offset ${firstOffset}: its row says topics ${topics}, its events are ${found.toSorted().join()}`); // prettier-ignore
  }

  async #keysOf(events: EventBatch, hasher: KeyHasher): Promise<Keys> {
    const hashes = Buffer.alloc(events.count * 16);
    const digests: number[] = [];
    for (let i = 0; i < events.count; i++) {
      hasher.hashKey(events, i);
      for (const [word, bits] of [hasher.k0, hasher.k1, hasher.k2, hasher.k3].entries()) {
        hashes.writeInt32BE(bits, i * 16 + word * 4);
      }
      digests.push(hasher.digest(events, i));
    }
    const { rows } = await this.#client.query<KeyRow>({
      name: 'verify keys',
      text: KEYS,
      values: [uuidArray(hashes)],
    });
    return { found: new Map(rows.map((row) => [row.nth, row])), digests };
  }

  #add(problem: string): void {
    addProblem(this.#findings, problem);
  }
}

interface Keys {
  readonly found: ReadonlyMap<number, KeyRow>;
  readonly digests: readonly number[];
}

interface KeyRow {
  readonly nth: number;
  readonly append_id: string;
  readonly place: number;
  readonly digest: number;
}

interface BlockRow {
  readonly first_offset: string;
  readonly events: number;
  readonly topics: readonly number[];
  readonly bytes: number;
  readonly received_ms: string | null;
  readonly directory: Buffer | null;
  readonly body: Buffer | null;
  readonly place: number;
  readonly kept_topics: readonly number[] | null;
}

interface CommitRow {
  readonly id: string;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly receivedMs: number;
  /** Of each topic its id, its events and the place of the last one. */
  readonly topics: string;
}

/** What is wrong with an event's key. */
function keyFault(
  key: KeyRow | undefined,
  digest: number,
  { id }: CommitRow,
  place: number,
): string | undefined {
  if (key === undefined) return 'its key is missing';
  if (key.append_id !== id || key.place !== place) {
    return `its key names append ${key.append_id}, place ${key.place}: the event is stored twice, or the key is wrong`;
  }
  return key.digest === digest ? undefined : 'its digest does not match its content';
}

async function* rowsAfter(client: ClientBase, text: string, from: number): AsyncGenerator<BlockRow> {
  // Behind all blocks of the commit that ends there.
  let after = [from, 2 ** 31 - 1];
  for (;;) {
    const { rows } = await client.query<BlockRow>({ text, values: after });
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined) return;
    after = [Number(last.first_offset) - last.place, last.place];
  }
}

async function* commitsOf(client: ClientBase): AsyncGenerator<CommitRow> {
  let after = 0;
  for (;;) {
    const { rows } = await client.query<LogRow>({ text: COMMITS, values: [after] });
    for (const row of rows) {
      const firstOffset = Number(row.first_offset);
      yield {
        id: row.append_id,
        firstOffset,
        lastOffset: firstOffset + row.events - 1,
        receivedMs: Number(row.received_ms),
        topics: row.topics.map((id, i) => `${id}: ${row.counts[i]} to ${row.lasts[i]}`).toSorted().join(), // prettier-ignore
      };
    }
    const last = rows.at(-1);
    if (last === undefined) return;
    after = Number(last.first_offset);
  }
}

interface LogRow {
  readonly append_id: string;
  readonly first_offset: string;
  readonly events: number;
  readonly received_ms: string;
  readonly topics: readonly number[];
  readonly counts: readonly number[];
  readonly lasts: readonly number[];
}
