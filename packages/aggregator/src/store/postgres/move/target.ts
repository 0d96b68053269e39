import { type ClientBase, DatabaseError } from 'pg';
import { StoreError } from '../../event-store.ts';
import { KeyHasher } from '../../key-hash.ts';
import { type MoveMark, otherSecret, takenMark } from '../../move/move-mark.ts';
import type { KeyedPart, LogState, MovedLetter, TargetLog } from '../../move/moved-log.ts';
import { type MovedStory, type StoryPart, copiedTopicId } from '../../move/moved-story.ts';
import { identitiesOf } from '../../move/parts.ts';
import type { OffsetSet } from '../../offset-set.ts';
import type { Part } from '../block-reader.ts';
import { textArray, uuidArray } from '../arrays.ts';
import { hashOf } from '../group-keys.ts';
import { callErrorOf, openErrorOf } from '../errors.ts';
import { forgotten } from '../forgetting.ts';
import { putMark } from '../move-mark.ts';
import { Rewriting } from '../rewriting.ts';
import { outdate, writePolicy } from '../policies.ts';
import { writeSource } from '../sources.ts';
import { prepareSchema } from '../schema.ts';
import { unbroken } from '../unbroken.ts';
import { dropFence, lockTables, passFence, raiseFence } from './fence.ts';
import { putGroups } from './groups.ts';
import { type MoveOptions, ReadableSchema } from './readable.ts';
import { Rows } from './rows.ts';
import { placesOf, summarizeKeys } from './stored-keys.ts';
import { STORY_WRITERS } from './story.ts';

/** One place in the space of advisory locks, beside a hash of the schema's name. */
const MOVE_LOCK = 0x43_57_4d_56;
const LOCK = 'SELECT pg_try_advisory_lock($1::int, hashtext($2)) AS is_ours';

const TOPICS = `
  INSERT INTO topic (topic_id, name)
  SELECT (SELECT coalesce(max(topic_id), 0) FROM topic) + nth, name
  FROM unnest($1::text[]) WITH ORDINALITY AS new (name, nth) RETURNING topic_id, name`;

/** Of runs of events with one time. Their ids as appends are below 0, where instances give none. */
const RUNS = `
  INSERT INTO log (append_id, first_offset, events, received_ms, topics, counts, lasts, bytes)
  SELECT -first_offset, first_offset, events, received_ms, topics::int[], counts::int[], lasts::int[], bytes::int[]
  FROM unnest($1::text[]::bigint[], $2::int[], $3::text[]::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS new (first_offset, events, received_ms, topics, counts, lasts, bytes)`;

const BLOCKS = `
  INSERT INTO block (append_id, place, events, directory, body, kept_topics, gone_topics)
  SELECT -first_offset, 0, events, directory, body, kept::int[], gone::int[]
  FROM unnest($1::text[]::bigint[], $2::int[], $3::bytea[], $4::bytea[], $5::text[], $6::text[])
    AS new (first_offset, events, directory, body, kept, gone)`;

const MERGED = `
  INSERT INTO merged_block (first_offset, events, topics, bytes, directory, body, version, kept_topics, gone_topics)
  SELECT first_offset, events, topics::int[], octet_length(body), directory, body, 0, kept::int[], gone::int[]
  FROM unnest($1::text[]::bigint[], $2::int[], $3::bytea[], $4::bytea[], $5::text[], $6::text[], $7::text[])
    AS new (first_offset, events, directory, body, kept, gone, topics)`;

const KEYS = `
  INSERT INTO key (append_id, place, digest, hash)
  SELECT -first_offset, place, digest, hash
  FROM unnest($1::text[]::bigint[], $2::int[], $3::int[], $4::uuid[]) AS new (first_offset, place, digest, hash)
  ORDER BY hash`;

const COUNTS = `
  UPDATE topic SET events = topic.events + added.events, last_offset = added.last_offset, bytes = topic.bytes + added.bytes,
    expired = topic.expired + added.expired, bare = topic.bare + added.bare
  FROM unnest($1::int[], $2::int[], $3::text[]::bigint[], $4::text[]::bigint[], $5::int[], $6::int[])
    AS added (topic_id, events, last_offset, bytes, expired, bare)
  WHERE topic.topic_id = added.topic_id`;

/** The end of the log goes from where it was to where it is: two moves would not fill one log unseen. */
const END = `
  WITH counted AS (UPDATE settled SET last_offset = $2::bigint),
  merged AS (UPDATE merging SET last_offset = $4::bigint),
  forgotten AS (UPDATE retention SET forgotten = forgotten + $5::int WHERE $5::int > 0)
  UPDATE head SET last_offset = $2::bigint, received = $2::bigint, last_ms = $3::bigint WHERE last_offset = $1::bigint`;

const VACUUM = 'VACUUM (SKIP_LOCKED, PARALLEL 0) block, merged_block, key, conflict';

/** Blocks that lose texts in one transaction, and ids that are forgotten in one. */
const BLOCKS_CHANGED = 64;
const FORGOTTEN_AT_ONCE = 8192;

const LOOK = `
  SELECT sought.nth::int, key.digest, log.first_offset + key.place AS "offset"
  FROM unnest($1::uuid[]) WITH ORDINALITY AS sought (hash, nth) JOIN key USING (hash) JOIN log USING (append_id)`;

/** A schema that a move fills, behind a fence that lets only the move's own session pass. */
export class PostgresTarget implements TargetLog {
  readonly place: string;
  readonly content: ReadableSchema;
  #hasher: KeyHasher;
  readonly #topicIds = new Map<string, number>();
  #mergedTo = 0;
  #hasLetGo = false;

  private constructor(schema: ReadableSchema, secret: Uint8Array) {
    this.content = schema;
    this.#hasher = new KeyHasher(secret);
    this.place = schema.address.place;
  }

  /** Creates the schema if there is none. Rejects with a StoreError `unusable` that says what to do. */
  static async open(given: string, options: MoveOptions = {}): Promise<PostgresTarget> {
    const schema = await ReadableSchema.open(given, options);
    const { client, address } = schema;
    try {
      const { rows } = await client.query<{ is_ours: boolean }>(LOCK, [MOVE_LOCK, address.schema]);
      if (!rows[0]!.is_ours) throw new StoreError('unusable', `another move is filling ${address.place}`);
      return new PostgresTarget(schema, await prepareSchema(client, address.schema));
    } catch (error) {
      await schema.close();
      throw openErrorOf(address.place, error);
    }
  }

  begin(mark: MoveMark, secret: Uint8Array): Promise<MoveMark> {
    return this.#transaction(async (client) => {
      // An instance may be running on an empty schema.
      await lockTables(client);
      const { books, groups, policies, sources } = await this.content.state();
      const others = [...groups, ...policies, ...sources];
      const isEmpty = books.received === 0 && others.length === 0;
      const taken = takenMark({ place: this.place, found: await this.content.mark(), isEmpty }, mark);
      if (Buffer.compare(await this.content.secret(), secret) !== 0) {
        if (books.received > 0) throw otherSecret(this.place);
        await client.query('UPDATE about SET secret = $1', [secret]);
        await outdate(client);
        this.#hasher = new KeyHasher(secret);
      }
      await putMark(client, taken);
      await raiseFence(client, taken);
      await passFence(client, taken);
      const { rows } = await client.query<TopicRow>('SELECT topic_id, name FROM topic');
      for (const { topic_id: id, name } of rows) this.#topicIds.set(name, id);
      const merging = await client.query<{ last_offset: string }>('SELECT last_offset FROM merging');
      this.#mergedTo = Number(merging.rows[0]!.last_offset);
      return taken;
    });
  }

  async write(parts: readonly KeyedPart[]): Promise<boolean> {
    try {
      await this.#write(parts);
      return true;
    } catch (error) {
      if (error instanceof StoreError && isOfKey(error.cause)) return false;
      throw error;
    }
  }

  async #write(parts: readonly KeyedPart[]): Promise<void> {
    const { newIds, mergedTo } = await this.#transaction(async (client) => {
      const names = new Set(parts.flatMap(({ topics }) => topics));
      const missing = [...names].filter((name) => !this.#topicIds.has(name));
      const made = await client.query<TopicRow>({
        name: 'move topics',
        text: TOPICS,
        values: [textArray(missing)],
      });
      const newIds = new Map(made.rows.map(({ topic_id: id, name }) => [name, id]));
      const idOf = (name: string): number => (this.#topicIds.get(name) ?? newIds.get(name))!;
      const rows = new Rows(this.#hasher, idOf, this.#mergedTo);
      for (const part of parts) rows.add(part);
      await client.query({ name: 'move runs', text: RUNS, values: rows.runs() });
      await client.query({ name: 'move blocks', text: BLOCKS, values: rows.blocks() });
      await client.query({ name: 'move merged', text: MERGED, values: rows.merged() });
      await client.query({ name: 'move keys', text: KEYS, values: rows.keys() });
      await client.query({ name: 'move counts', text: COUNTS, values: rows.counts() });
      const { firstOffset, count, commits } = parts.at(-1)!;
      const ended = await client.query(END, [
        parts[0]!.firstOffset - 1,
        firstOffset + count - 1,
        commits.at(-1)!.receivedMs,
        rows.mergedTo,
        rows.forgotten,
      ]);
      if (ended.rowCount !== 1) throw new StoreError('failed', `${this.place} was written by somebody else`);
      return { newIds, mergedTo: rows.mergedTo };
    });
    // Not before: where the transaction is undone, there are no such topics.
    for (const [name, id] of newIds) this.#topicIds.set(name, id);
    this.#mergedTo = mergedTo;
  }

  async keyFault(part: KeyedPart): Promise<string | null> {
    const keys = identitiesOf(part, this.#hasher);
    const { rows } = await this.content.read((client) =>
      client.query<{ nth: number; digest: number; offset: string }>({
        name: 'move look',
        text: LOOK,
        values: [uuidArray(Buffer.concat(keys.map(hashOf)))],
      }),
    );
    const found = new Map(rows.map((row) => [row.nth, row]));
    for (const [i, { offset, digest }] of keys.entries()) {
      const row = found.get(i + 1);
      if (row === undefined) return `offset ${offset} has no id`;
      if (Number(row.offset) !== offset) return `the id of offset ${offset} leads to offset ${row.offset}`;
      if (row.digest !== digest) return `offset ${offset} has another digest`;
    }
    return null;
  }

  async expire(offsets: readonly number[]): Promise<void> {
    const going = new Set(offsets);
    const last = offsets.at(-1)!;
    for (let after: number | null = offsets[0]! - 1; after !== null;) {
      const from: number = after;
      after = await this.#transaction(async (client) => {
        const rewriting = await Rewriting.within(client);
        const parts: Part[] = [];
        for await (const part of rewriting.blocks.of({ order: 'asc', after: from, upTo: last }, undefined)) {
          if (parts.push(part) === BLOCKS_CHANGED) break;
        }
        await rewriting.expire(parts, ({ block }, i) => going.has(block.firstOffset + i));
        const end = parts.at(-1)?.block.lastOffset ?? last;
        return end < last ? end : null;
      });
    }
    this.#hasLetGo = true;
  }

  async forget(offsets: OffsetSet): Promise<void> {
    await summarizeKeys(this.content.client);
    let some: number[] = [];
    for (const offset of offsets.values()) {
      if (some.push(offset) < FORGOTTEN_AT_ONCE) continue;
      await this.#forget(some);
      some = [];
    }
    if (some.length > 0) await this.#forget(some);
    this.#hasLetGo = true;
  }

  #forget(offsets: readonly number[]): Promise<void> {
    return this.#transaction(async (client) => {
      let ids = 0;
      for (const places of await placesOf(client, offsets)) ids += await forgotten(client, places);
      await client.query('UPDATE retention SET forgotten = forgotten + $1', [ids]);
    });
  }

  writeState(state: LogState, letters: AsyncIterable<readonly MovedLetter[]>): Promise<void> {
    const { books, epochs, policies, sources, repeatsSinceMs } = state;
    return this.#transaction(async (client) => {
      const { received, conflicts, lastMs } = books;
      await client.query('UPDATE head SET received = $1, conflicts = $2, last_ms = $3', [
        received,
        conflicts,
        lastMs,
      ]);
      await client.query('UPDATE repeats SET since_ms = $1', [repeatsSinceMs]);
      // Their numbers go on, so that an instance that runs learns of them.
      const gone = await client.query<{ last_id: number }>('SELECT max(epoch_id) AS last_id FROM epoch');
      const lastId = gone.rows[0]!.last_id;
      await client.query('DELETE FROM epoch');
      for (const [i, { name, afterOffset }] of epochs.entries()) {
        await client.query('INSERT INTO epoch VALUES ($1, $2, $3)', [lastId + i + 1, name, afterOffset]);
      }
      await client.query('UPDATE head SET epoch_id = $1, epoch = $2', [
        lastId + epochs.length,
        epochs.at(-1)!.name,
      ]);
      // As they are: a log may have more of them than may be put today.
      await client.query('DELETE FROM policy');
      for (const policy of policies) await writePolicy(client, policy);
      await client.query('DELETE FROM source');
      for (const source of sources) await writeSource(client, source);
      await outdate(client);
      await putGroups(client, state, letters);
    });
  }

  writeStory<P extends StoryPart>(part: P, rows: AsyncIterable<readonly MovedStory[P][]>): Promise<void> {
    return this.#transaction(async (client) => {
      const writer = STORY_WRITERS[part](client, (topic) => copiedTopicId(this.#topicIds, topic));
      await writer.empty();
      for await (const some of rows) await writer.put(some);
      await writer.end();
    });
  }

  async complete(): Promise<void> {
    await this.#transaction(async (client) => {
      const mark = await this.content.mark();
      if (mark === null) throw new StoreError('failed', `${this.place} has lost the mark of its move`);
      await putMark(client, { ...mark, role: 'complete' });
      await dropFence(client);
    });
    // What was let go of after it was copied leaves no bytes here. Where that may not be done, the server does it in its time.
    if (this.#hasLetGo) await this.content.client.query(VACUUM).catch(() => {});
  }

  close(): Promise<void> {
    return this.content.close();
  }

  /** Where the answer to the commit does not come, the move ends, and another run finds out how far it came. */
  async #transaction<T>(work: (client: ClientBase) => Promise<T>): Promise<T> {
    const { client } = this.content;
    try {
      await client.query('BEGIN');
      const result = await work(client);
      await unbroken(client, () => client.query('COMMIT'));
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {});
      throw error instanceof StoreError ? error : callErrorOf(error);
    }
  }
}

/** Whether there is another row with such a key (SQLSTATE, ERRCODE_UNIQUE_VIOLATION). */
function isOfKey(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '23505' && error.table === 'key';
}

interface TopicRow {
  readonly topic_id: number;
  readonly name: string;
}
