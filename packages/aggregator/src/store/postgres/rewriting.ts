import type { ClientBase } from 'pg';
import { type Rewritten, textlessTopicsOf, withoutTexts } from '../blocks/block-rewrite.ts';
import { byteaArray, intArray, textArray } from './arrays.ts';
import { BlockReader, type Part } from './block-reader.ts';
import { KEEPS } from './keeps.ts';
import { expireConflicts } from './repeats/settle-repeats.ts';
import type { Sessions } from './sessions.ts';
import { transaction } from './transaction.ts';

/**
 * As long as the first of these rows is held no block is merged or passed (merge.ts), and nobody else rewrites one. Holding the
 * second one keeps the topics' counts from being settled (settle.ts), which updates the same rows in another order. No append
 * wants either.
 */
const LOCK = `SELECT ${KEEPS} FROM merging, settled FOR UPDATE`;

const REWRITE = `
  UPDATE block SET directory = new.directory, body = new.body, kept_topics = new.kept::int[], gone_topics = new.gone::int[],
    version = version + 1
  FROM unnest($1::text[]::bigint[], $2::int[], $3::bytea[], $4::bytea[], $5::text[], $6::text[])
    AS new (append_id, place, directory, body, kept, gone)
  WHERE block.append_id = new.append_id AND block.place = new.place`;

const REWRITE_MERGED = `
  UPDATE merged_block SET directory = new.directory, body = new.body, bytes = octet_length(new.body),
    kept_topics = new.kept::int[], gone_topics = new.gone::int[],
    version = version + 1
  FROM unnest($1::text[]::bigint[], $2::bytea[], $3::bytea[], $4::text[], $5::text[])
    AS new (first_offset, directory, body, kept, gone)
  WHERE merged_block.first_offset = new.first_offset`;

/** What names a block that was rewritten. */
const REWRITE_PASSED = `
  UPDATE merged_block SET bytes = new.bytes, kept_topics = new.kept::int[], gone_topics = new.gone::int[],
    version = version + 1
  FROM unnest($1::text[]::bigint[], $2::int[], $3::text[], $4::text[]) AS new (first_offset, bytes, kept, gone)
  WHERE merged_block.first_offset = new.first_offset`;

/** A merge that has read the blocks of before brings nothing back. */
const REWRITTEN = 'UPDATE merging SET rewrites = rewrites + 1';

/** Blocks in which there was nothing to do, so that nobody looks into them again. */
const MARK = (left: 'kept' | 'gone') => `
  UPDATE block SET ${left}_topics = new.topics::int[]
  FROM unnest($1::text[]::bigint[], $2::int[], $3::text[]) AS new (append_id, place, topics)
  WHERE block.append_id = new.append_id AND block.place = new.place`;
const MARK_MERGED = (left: 'kept' | 'gone') => `
  UPDATE merged_block SET ${left}_topics = new.topics::int[]
  FROM unnest($1::text[]::bigint[], $2::text[]) AS new (first_offset, topics)
  WHERE merged_block.first_offset = new.first_offset`;

const COUNT = `
  UPDATE topic SET expired = topic.expired + gone.events, bytes = topic.bytes - gone.bytes
  FROM unnest($1::int[], $2::int[], $3::int[]) AS gone (topic_id, events, bytes)
  WHERE topic.topic_id = gone.topic_id`;

/** What has expired in a transaction. */
export interface Gone {
  readonly events: number;
  /** Of their texts, uncompressed. */
  readonly bytes: number;
}

/**
 * A transaction that changes what the blocks hold. In: which events are to go. Out: their blocks without their texts, the counts
 * of topics that tell of it, all in one transaction.
 *
 * Invariants: a block that is read here is not merged, and rewritten by nobody else, until the end; a merge that has read it
 * before changes nothing; every other instance finds another version of it (block-reader.ts). Locks are taken in one order:
 * `merging`, `settled`, blocks, `repeats`, topics, `retention`.
 */
export class Rewriting {
  readonly client: ClientBase;
  /** Reads the blocks as they are; what it has kept is of this transaction. */
  readonly blocks: BlockReader;

  private constructor(client: ClientBase) {
    this.client = client;
    this.blocks = new BlockReader({ read: (work) => work(client) });
  }

  /** Does the work in such a transaction, again where it was undone or may not be done. Rejects with a StoreError. */
  static transaction<T>(sessions: Sessions, work: (rewriting: Rewriting) => Promise<T>): Promise<T> {
    return transaction(sessions, async (client) => work(await Rewriting.within(client)));
  }

  /** The same within a transaction of the caller's. */
  static async within(client: ClientBase): Promise<Rewriting> {
    await client.query(LOCK);
    return new Rewriting(client);
  }

  /** Makes those of the kept events expired that are to go, in these blocks. */
  async expire(parts: readonly Part[], goes: (part: Part, index: number) => boolean): Promise<Gone> {
    const all = parts.map((part) => ({ part, ...withoutTexts(part.block, (i) => goes(part, i)) }));
    const gone = all.filter(({ row }) => row !== null);
    await this.#rewrite(gone.filter(({ part }) => part.place.append_id !== null));
    await this.#rewriteMerged(gone.filter(({ part }) => part.place.append_id === null));
    await this.mark(
      'kept',
      all.filter(({ row }) => row === null).map(({ part, keptTopics }) => ({ part, topics: keptTopics })),
    );
    if (gone.length > 0) await expireConflicts(this.client, parts, goes);
    return await this.#counted(all);
  }

  /** Says of which topics these blocks may have texts, or ids without one. */
  async mark(left: 'kept' | 'gone', marks: readonly Mark[]): Promise<void> {
    const merged = marks.filter(({ part }) => part.place.is_merged);
    const fresh = marks.filter(({ part }) => !part.place.is_merged);
    if (merged.length > 0) {
      const values = [textArray(merged.map(({ part }) => part.place.first_offset)), listsOf(merged)];
      await this.client.query({ name: `mark merged ${left}`, text: MARK_MERGED(left), values });
    }
    if (fresh.length > 0) {
      const values = [...namesOf(fresh), listsOf(fresh)];
      await this.client.query({ name: `mark ${left}`, text: MARK(left), values });
    }
  }

  /** Blocks of appends, be they passed by the merging or not. */
  async #rewrite(rewritten: readonly RewrittenPart[]): Promise<void> {
    if (rewritten.length === 0) return;
    await this.client.query({
      name: 'rewrite',
      text: REWRITE,
      values: [...namesOf(rewritten), ...bytesOf(rewritten), ...leftOf(rewritten)],
    });
    await this.client.query(REWRITTEN);
    const passed = rewritten.filter(({ part }) => part.place.is_merged);
    if (passed.length === 0) return;
    await this.client.query({
      name: 'rewrite passed',
      text: REWRITE_PASSED,
      values: [
        textArray(passed.map(({ part }) => part.place.first_offset)),
        intArray(passed.map(({ row }) => row!.body.length)),
        ...leftOf(passed),
      ],
    });
  }

  async #rewriteMerged(rewritten: readonly RewrittenPart[]): Promise<void> {
    if (rewritten.length === 0) return;
    const names = textArray(rewritten.map(({ part }) => part.place.first_offset));
    await this.client.query({
      name: 'rewrite merged',
      text: REWRITE_MERGED,
      values: [names, ...bytesOf(rewritten), ...leftOf(rewritten)],
    });
  }

  async #counted(all: readonly Rewritten[]): Promise<Gone> {
    const counts = new Map<number, { events: number; bytes: number }>();
    for (const { expired } of all) {
      for (const [id, { events, bytes }] of expired) {
        const sum = counts.get(id) ?? { events: 0, bytes: 0 };
        counts.set(id, { events: sum.events + events, bytes: sum.bytes + bytes });
      }
    }
    const sums = [...counts.values()];
    if (sums.length > 0) {
      const values = [
        intArray([...counts.keys()]),
        intArray(sums.map(({ events }) => events)),
        intArray(sums.map(({ bytes }) => bytes)),
      ];
      await this.client.query({ name: 'count expired', text: COUNT, values });
    }
    return {
      events: sums.reduce((sum, { events }) => sum + events, 0),
      bytes: sums.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }
}

type RewrittenPart = Rewritten & { readonly part: Part };

interface Mark {
  readonly part: Part;
  readonly topics: readonly number[];
}

/** The ids and places of blocks of appends. */
function namesOf(blocks: readonly { readonly part: Part }[]): Buffer[] {
  return [
    textArray(blocks.map(({ part }) => part.place.append_id!)),
    intArray(blocks.map(({ part }) => part.place.place!)),
  ];
}

function bytesOf(rewritten: readonly RewrittenPart[]): Buffer[] {
  return [
    byteaArray(rewritten.map(({ row }) => row!.directory)),
    byteaArray(rewritten.map(({ row }) => row!.body)),
  ];
}

/** The topics of which the blocks have texts, and those of which they may have ids without one. */
function leftOf(rewritten: readonly RewrittenPart[]): Buffer[] {
  return [
    listsOf(rewritten.map(({ keptTopics }) => ({ topics: keptTopics }))),
    listsOf(
      rewritten.map(({ part: { block, place }, expired }) => {
        const before = place.gone_topics ?? textlessTopicsOf(block);
        return { topics: [...new Set([...before, ...expired.keys()])].toSorted((a, b) => a - b) };
      }),
    ),
  ];
}

function listsOf(lists: readonly { readonly topics: readonly number[] }[]): Buffer {
  return textArray(lists.map(({ topics }) => `{${topics.join()}}`));
}
