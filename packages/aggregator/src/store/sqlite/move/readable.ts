import type { DatabaseSync } from 'node:sqlite';
import { eventsIn } from '../../blocks/block-directory.ts';
import { Block, type BlockRow } from '../../blocks/block-format.ts';
import { damaged } from '../../errors.ts';
import type { TopicSummary } from '../../event-store.ts';
import { GROUP_COLUMNS, HAND_COLUMNS, LETTERS_MAX, LETTER_COLUMNS } from '../../move/group-columns.ts';
import type { MoveMark } from '../../move/move-mark.ts';
import type { Lengths, LogPart, LogState, MovedKey, MovedLetter, ReadableLog } from '../../move/moved-log.ts';
import type { AsyncRows, MovedStory, StoryPart } from '../../move/moved-story.ts';
import { partsOf } from '../../move/parts.ts';
import { epochsOf } from '../file/epochs.ts';
import { readLedger } from '../file/ledger.ts';
import { markIn } from '../file/move-mark.ts';
import { policiesIn } from '../policy-rows.ts';
import { sourcesIn } from '../source-rows.ts';
import { Reader } from '../read.ts';
import { StoredKeys } from './stored-keys.ts';
import { STORY_READERS } from './story.ts';

/** Bytes of packed blocks that one statement reads; while it runs, the service cannot reuse its log. */
const READ_BYTES_MAX = 4 * 1024 * 1024;
const DIRECTORIES_READ = 500;

/** The block with this offset, and those above it, up to another. */
const BLOCKS = (columns: string) => `
  SELECT first_offset, ${columns} FROM block
  WHERE first_offset <= ?1 AND first_offset >=
    ifnull((SELECT first_offset FROM block WHERE first_offset <= ?2 ORDER BY first_offset DESC LIMIT 1), 0)
  ORDER BY first_offset`;

/** What a move reads of a file, beside its writer or as its writer. */
export class ReadableFile implements ReadableLog {
  readonly #db: DatabaseSync;
  readonly #keys: StoredKeys;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#keys = new StoredKeys(db);
  }

  async mark(): Promise<MoveMark | null> {
    return markIn(this.#db);
  }

  async lastOffset(): Promise<number> {
    return readLedger(this.#db).lastOffset;
  }

  parts(after: number, upTo: number): AsyncGenerator<LogPart> {
    const name = this.#db.prepare('SELECT name FROM topic WHERE topic_id = ?');
    return partsOf(this.#blocks(after, upTo), { after, upTo }, (id) => {
      const row = name.get(id);
      if (row !== undefined) return String(row['name']);
      throw damaged(`there are events on a topic with the id ${id}, which does not exist`);
    });
  }

  async topics(): Promise<TopicSummary[]> {
    return new Reader(this.#db).topics({});
  }

  async *lengths(after: number, upTo: number): AsyncGenerator<Lengths> {
    const select = this.#db.prepare(`${BLOCKS('directory')} LIMIT ${DIRECTORIES_READ}`);
    for (let next = after + 1; next <= upTo;) {
      const rows = select.all(upTo, next) as unknown as { first_offset: number; directory: Uint8Array }[];
      const before = next;
      for (const { first_offset: first, directory } of rows) {
        if (next > upTo) break;
        const { lengths } = eventsIn(directory);
        yield { firstOffset: next, lengths: lengths.subarray(next - first, upTo + 1 - first) };
        next = first + lengths.length;
      }
      if (next === before) return;
    }
  }

  async keysOf(offsets: readonly number[]): Promise<readonly (MovedKey | null)[]> {
    return this.#keys.of(offsets);
  }

  async changes(): Promise<string> {
    const { rewrites, forgotten } = this.#db.prepare('SELECT rewrites, forgotten FROM log').get()!;
    return `${String(rewrites)} ${String(forgotten)}`;
  }

  async forgotten(): Promise<number> {
    return Number(this.#db.prepare('SELECT forgotten FROM log').get()!['forgotten']);
  }

  async state(): Promise<LogState> {
    const { received, conflicts, lastOffset, lastMs } = readLedger(this.#db);
    const last = this.#db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'event_group'").get();
    return {
      books: { received, conflicts, lastOffset, lastMs },
      epochs: epochsOf(this.#db),
      policies: policiesIn(this.#db),
      sources: sourcesIn(this.#db),
      forgotten: await this.forgotten(),
      repeatsSinceMs: Number(this.#db.prepare('SELECT since_ms FROM repeat_state').get()!['since_ms']),
      groups: this.#rows(`SELECT ${GROUP_COLUMNS.join()} FROM event_group ORDER BY group_id`),
      hands: this.#rows(`SELECT ${HAND_COLUMNS.join()} FROM hand ORDER BY group_id, take, due_ms, is_last`),
      lastGroupId: Number(last?.['seq'] ?? 0),
    };
  }

  async *letters(): AsyncGenerator<readonly MovedLetter[]> {
    const select = `
      SELECT ${LETTER_COLUMNS.join()} FROM dead_letter WHERE (group_id, offset) > (?, ?)
      ORDER BY group_id, offset LIMIT ${LETTERS_MAX}`;
    for (let [id, offset] = [0, 0]; ;) {
      const letters = this.#rows<MovedLetter>(select, id, offset);
      if (letters.length === 0) return;
      yield letters;
      ({ group_id: id, offset } = letters.at(-1)!);
    }
  }

  async *story<P extends StoryPart>(part: P): AsyncRows<MovedStory[P]> {
    yield* STORY_READERS[part](this.#db);
  }

  #rows<T extends object>(sql: string, ...values: number[]): T[] {
    // SQLite's rows have no prototype, and so differ from those of another store.
    return this.#db
      .prepare(sql)
      .all(...values)
      .map((row) => ({ ...row }) as T);
  }

  /** The service may merge blocks meanwhile; what one statement reads is of one state, and offsets stay. */
  *#blocks(after: number, upTo: number): Generator<Block> {
    const select = this.#db.prepare(BLOCKS('directory, body'));
    for (let next = after + 1; next <= upTo;) {
      const blocks: Block[] = [];
      let bytes = 0;
      for (const row of select.iterate(upTo, next)) {
        const {
          first_offset: first,
          directory,
          body,
        } = row as unknown as BlockRow & { first_offset: number };
        blocks.push(new Block(first, { directory, body }));
        bytes += body.length + directory.length;
        if (bytes >= READ_BYTES_MAX) break;
      }
      if (blocks.length === 0 || blocks.at(-1)!.lastOffset < next) return;
      next = blocks.at(-1)!.lastOffset + 1;
      yield* blocks;
    }
  }
}

/** Under which the file's ids and contents are hashed. */
export function secretIn(db: DatabaseSync): Uint8Array {
  return db.prepare('SELECT secret FROM log').get()!['secret'] as Uint8Array;
}
