import type { Client, ClientBase } from 'pg';
import { eventsIn } from '../../blocks/block-directory.ts';
import type { Block } from '../../blocks/block-format.ts';
import { damaged } from '../../errors.ts';
import { type Epoch, StoreError, type TopicSummary } from '../../event-store.ts';
import type { MoveMark } from '../../move/move-mark.ts';
import type {
  Lengths,
  LogPart,
  LogState,
  MovedBooks,
  MovedKey,
  MovedLetter,
  ReadableLog,
} from '../../move/moved-log.ts';
import type { AsyncRows, MovedStory, StoryPart } from '../../move/moved-story.ts';
import { partsOf } from '../../move/parts.ts';
import { type Address, readAddress } from '../address.ts';
import { BlockReader } from '../block-reader.ts';
import { Epochs } from '../epochs.ts';
import { callErrorOf, openErrorOf } from '../errors.ts';
import { markIn } from '../move-mark.ts';
import { listPolicies } from '../policies.ts';
import { listSources } from '../sources.ts';
import { refusePoolerOfTransactions } from '../pooler.ts';
import { Reader } from '../read.ts';
import { Sessions, ended } from '../sessions.ts';
import { Topics } from '../topics.ts';
import { groupsIn, lettersIn } from './groups.ts';
import { keysAt } from './stored-keys.ts';
import { STORY_READERS } from './story.ts';

/** Offsets that are read before blocks that were kept are forgotten. */
const READ_OFFSETS = 65_536;

const BOOKS = 'SELECT received, conflicts, last_offset, last_ms FROM head';
const FORGOTTEN = 'SELECT forgotten, expiries FROM retention';
const NAMES = 'SELECT topic_id, name FROM topic';
const SECRET = 'SELECT secret FROM about';

/** Directories read at once. */
const DIRECTORIES_MAX = 500;

/** The directories of the block with this offset and of those above it, all as of one moment. */
const DIRECTORIES = `
  WITH merged AS MATERIALIZED (
    SELECT merged_block.first_offset, coalesce(merged_block.directory, block.directory) AS directory
    FROM merged_block LEFT JOIN block USING (append_id, place)
    WHERE merged_block.first_offset + merged_block.events > $1::bigint AND merged_block.first_offset >= coalesce(
      (SELECT first_offset FROM merged_block WHERE first_offset <= $1::bigint ORDER BY first_offset DESC LIMIT 1), 1)
    ORDER BY merged_block.first_offset LIMIT ${DIRECTORIES_MAX}
  ), fresh AS MATERIALIZED (
    SELECT log.first_offset + block.place AS first_offset, block.directory
    FROM log JOIN block USING (append_id)
    WHERE log.events > 0 AND log.first_offset > (SELECT last_offset FROM merging)
      AND log.first_offset + block.place + block.events > $1::bigint AND log.first_offset >= coalesce(
        (SELECT first_offset FROM log WHERE events > 0 AND first_offset <= $1::bigint ORDER BY first_offset DESC LIMIT 1), 1)
    ORDER BY log.first_offset, block.place
    LIMIT CASE WHEN (SELECT count(*) FROM merged) = ${DIRECTORIES_MAX} THEN 0 ELSE ${DIRECTORIES_MAX} END
  ) SELECT * FROM merged UNION ALL SELECT * FROM fresh ORDER BY first_offset`;

const SINCE = 'SELECT since_ms FROM repeats';

const EPOCHS = 'SELECT name, after_offset FROM epoch ORDER BY epoch_id';

/** To start other processes takes longer than what a move asks for. */
const SETTINGS = "SET application_name = 'chronicleweaver move'; SET max_parallel_workers_per_gather = 0";

export interface MoveOptions {
  /** Whether to take a server that could lose what it confirmed, as tests do that are about something else. */
  readonly allowsLoss?: boolean | undefined;
}

/** What a move reads of a schema. All of it in one connection, so that a transaction that holds locks can go on reading. */
export class ReadableSchema implements ReadableLog {
  readonly client: Client;
  readonly address: Address;
  readonly #blocks: BlockReader;
  readonly #names = new Map<number, string>();

  private constructor(client: Client, address: Address) {
    this.client = client;
    this.address = address;
    this.#blocks = new BlockReader(this);
  }

  /** Connects. Rejects with a StoreError `unusable` that says what to do. */
  static async open(given: string, { allowsLoss = false }: MoveOptions): Promise<ReadableSchema> {
    const address = readAddress(given);
    const sessions = new Sessions(address, {
      allowsLoss,
      known: () => ({ lastOffset: 0, epochId: 0, append: null }),
      began: async () => {},
    });
    let client: Client | undefined;
    try {
      client = await sessions.connect();
      await refusePoolerOfTransactions(client, () => sessions.connect());
      await client.query(SETTINGS);
      return new ReadableSchema(client, address);
    } catch (error) {
      // Left open, it would keep the program from ending.
      if (client !== undefined) await ended(client);
      throw openErrorOf(address.place, error);
    }
  }

  /** Rejects with a StoreError, as every read here does. */
  async read<T>(work: (client: ClientBase) => Promise<T>): Promise<T> {
    try {
      return await work(this.client);
    } catch (error) {
      throw callErrorOf(error);
    }
  }

  mark(): Promise<MoveMark | null> {
    return this.read(markIn);
  }

  async lastOffset(): Promise<number> {
    return (await this.#books()).lastOffset;
  }

  parts(after: number, upTo: number): AsyncGenerator<LogPart> {
    return partsOf(this.#blocksOf(after, upTo), { after, upTo }, (id) => this.#nameOf(id));
  }

  topics(): Promise<TopicSummary[]> {
    // The log stands still, so there is nothing to wait for.
    const end = { look: () => this.lastOffset(), reach: () => Promise.resolve() };
    return new Reader(this, new Topics(this, new Epochs(() => {})), end).topics();
  }

  async *lengths(after: number, upTo: number): AsyncGenerator<Lengths> {
    for (let next = after + 1; next <= upTo;) {
      const values = [next];
      const { rows } = await this.read((client) =>
        client.query<{ first_offset: string; directory: Buffer }>({
          name: 'move directories',
          text: DIRECTORIES,
          values,
        }),
      );
      const before = next;
      for (const { first_offset: firstOffset, directory } of rows) {
        const first = Number(firstOffset);
        if (next > upTo) break;
        const { lengths } = eventsIn(directory);
        yield { firstOffset: next, lengths: lengths.subarray(next - first, upTo + 1 - first) };
        next = first + lengths.length;
      }
      if (next === before) return;
    }
  }

  keysOf(offsets: readonly number[]): Promise<readonly (MovedKey | null)[]> {
    return this.read((client) => keysAt(client, offsets));
  }

  async changes(): Promise<string> {
    const { forgotten, expiries } = await this.#retention();
    return `${expiries} ${forgotten}`;
  }

  async secret(): Promise<Uint8Array> {
    const { rows } = await this.read((client) => client.query<{ secret: Buffer }>(SECRET));
    return rows[0]!.secret;
  }

  async forgotten(): Promise<number> {
    return Number((await this.#retention()).forgotten);
  }

  async state(): Promise<LogState> {
    return {
      books: await this.#books(),
      epochs: await this.epochs(),
      policies: await this.read(listPolicies),
      sources: await this.read(listSources),
      forgotten: await this.forgotten(),
      repeatsSinceMs: await this.#sinceMs(),
      ...(await this.read(groupsIn)),
    };
  }

  letters(): AsyncGenerator<readonly MovedLetter[]> {
    return lettersIn(this);
  }

  async *story<P extends StoryPart>(part: P): AsyncRows<MovedStory[P]> {
    yield* STORY_READERS[part](this);
  }

  /** Oldest first. */
  async epochs(): Promise<Epoch[]> {
    const { rows } = await this.read((client) =>
      client.query<{ name: string; after_offset: string }>(EPOCHS),
    );
    return rows.map((row) => ({ name: row.name, afterOffset: Number(row.after_offset) }));
  }

  async close(): Promise<void> {
    await this.client.end();
  }

  async #nameOf(topicId: number): Promise<string> {
    if (!this.#names.has(topicId)) {
      const { rows } = await this.read((client) => client.query<{ topic_id: number; name: string }>(NAMES));
      for (const { topic_id: id, name } of rows) this.#names.set(id, name);
    }
    const name = this.#names.get(topicId);
    if (name === undefined)
      throw damaged(`there are events on a topic with the id ${topicId}, which does not exist`);
    return name;
  }

  async #retention(): Promise<{ forgotten: string; expiries: string }> {
    const { rows } = await this.read((client) =>
      client.query<{ forgotten: string; expiries: string }>(FORGOTTEN),
    );
    return rows[0]!;
  }

  async #sinceMs(): Promise<number> {
    const { rows } = await this.read((client) => client.query<{ since_ms: string }>(SINCE));
    return Number(rows[0]!.since_ms);
  }

  async #books(): Promise<MovedBooks> {
    const { rows } = await this.read((client) =>
      client.query<Record<'received' | 'conflicts' | 'last_offset' | 'last_ms', string>>(BOOKS),
    );
    const [row] = rows;
    if (row === undefined) throw new StoreError('damaged', `${this.address.place} has no books`);
    return {
      received: Number(row.received),
      conflicts: Number(row.conflicts),
      lastOffset: Number(row.last_offset),
      lastMs: Number(row.last_ms),
    };
  }

  async *#blocksOf(after: number, upTo: number): AsyncGenerator<Block> {
    for (let from = after; from < upTo; from += READ_OFFSETS) {
      const range = { order: 'asc', after: from, upTo: Math.min(upTo, from + READ_OFFSETS) } as const;
      for await (const { block } of this.#blocks.of(range, undefined)) yield block;
      this.#blocks.trim();
    }
  }
}
