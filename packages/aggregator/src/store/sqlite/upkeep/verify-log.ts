import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { EVENT_ID, type EventBatch, TOPIC, partText } from '../../../event/event-batch.ts';
import { keptEventsOf } from '../../blocks/block-events.ts';
import { Block, type BlockRow } from '../../blocks/block-format.ts';
import { messageOf } from '../../errors.ts';
import { readLedger } from '../file/ledger.ts';
import type { OpenFile } from '../open-file.ts';
import { type TopicCount, countEvent, countIn } from '../topic-rows.ts';
import { type Findings, addProblem } from '../../findings.ts';

/** Called now and then with the number of events walked so far. */
export type Walked = (events: number, total: number) => void;

/** Compares every block with its row and every event with its key. Returns what the log holds of each topic. */
export function walkLog(file: OpenFile, findings: Findings, walked: Walked): Map<string, TopicCount> {
  const total = readLedger(file.db).accepted;
  const walk = new LogWalk(file, findings);
  for (const row of blockRows(file.db)) {
    walk.block(row);
    walked(row.first_offset + row.events - 1, total);
  }
  walk.end();
  return walk.topics;
}

type WalkedRow = BlockRow & {
  readonly first_offset: number;
  readonly events: number;
  readonly is_merged: number;
};

function blockRows(db: DatabaseSync): Iterable<WalkedRow> {
  const rows = db.prepare(
    `SELECT first_offset, events, directory, ifnull(body, lead) AS body, 1 AS is_merged FROM merged_block UNION ALL
     SELECT first_offset, events, directory, body, 0 FROM fresh_block ORDER BY first_offset`,
  );
  return rows.iterate() as Iterable<unknown> as Iterable<WalkedRow>;
}

/** In: the rows of all blocks, by offset. Out: problems, and the counts of the topics. */
class LogWalk {
  readonly topics = new Map<string, TopicCount>();
  readonly #file: OpenFile;
  readonly #findings: Findings;
  readonly #nameOf: ReadonlyMap<number, string>;
  readonly #isListed: StatementSync;
  /** Topics of merged blocks, which are the rows that `block_topic` should have. */
  #topicsOfBlocks = 0;
  /** Where the next block should begin. */
  #nextOffset = 1;

  constructor(file: OpenFile, findings: Findings) {
    this.#file = file;
    this.#findings = findings;
    const topics = file.db.prepare('SELECT topic_id, name FROM topic').all();
    this.#nameOf = new Map(topics.map((row) => [Number(row['topic_id']), String(row['name'])]));
    this.#isListed = file.db.prepare('SELECT 1 FROM block_topic WHERE topic_id = ? AND first_offset = ?');
  }

  block(row: WalkedRow): void {
    const where = `block at offset ${row.first_offset}`;
    this.#findings.blocks += 1;
    if (row.first_offset !== this.#nextOffset)
      this.#add(`${where}: the one before ends at ${this.#nextOffset - 1}`);
    this.#nextOffset = row.first_offset + row.events;
    try {
      const block = new Block(row.first_offset, row);
      if (block.count !== row.events)
        this.#add(`${where}: its row says ${row.events} events, its directory ${block.count}`);
      if (row.is_merged === 1) this.#checkListing(block, where);
      if (block.bodyBytes !== block.textBytes) {
        this.#add(
          `${where}: it holds ${block.bodyBytes} bytes of text, its directory says ${block.textBytes}`,
        );
      }
      this.#count(block);
      const { events, places } = keptEventsOf(block);
      for (const [i, place] of places.entries()) this.#event(block, events, i, place);
      this.#findings.events += block.count;
    } catch (error) {
      const message = messageOf(error);
      this.#add(message.startsWith(where) ? message : `${where}: ${message}`);
    }
  }

  end(): void {
    const rows = Number(this.#file.db.prepare('SELECT count(*) AS n FROM block_topic').get()!['n']);
    if (rows !== this.#topicsOfBlocks)
      this.#add(`block_topic has ${rows} rows, the merged blocks hold ${this.#topicsOfBlocks} topics`);
  }

  #checkListing(block: Block, where: string): void {
    for (const topicId of block.topicIds) {
      this.#topicsOfBlocks += 1;
      if (this.#isListed.get(topicId, block.firstOffset) === undefined)
        this.#add(`${where}: block_topic does not say that it holds topic ${topicId}`);
    }
  }

  #count(block: Block): void {
    for (let i = 0; i < block.count; i++) {
      const offset = block.firstOffset + i;
      const name = this.#nameOf.get(block.topicId(i));
      if (name === undefined) {
        this.#add(`offset ${offset}: there is no topic with the id ${block.topicId(i)}`);
        continue;
      }
      const count = this.topics.get(name) ?? countIn(undefined);
      countEvent(count, offset, block.textLength(i));
      this.topics.set(name, count);
    }
  }

  #event(block: Block, events: EventBatch, i: number, place: number): void {
    const offset = block.firstOffset + place;
    const topic = partText(events, i, TOPIC);
    const where = `offset ${offset}, topic ${JSON.stringify(topic)}, event ${JSON.stringify(partText(events, i, EVENT_ID))}`;
    const listedTopic = this.#nameOf.get(block.topicId(place));
    if (listedTopic !== topic) {
      this.#add(`${where}: the directory says topic ${JSON.stringify(listedTopic)}`);
    }
    const fault = this.#keyFault(events, i, offset);
    if (fault !== undefined) this.#add(`${where}: ${fault}`);
  }

  /** What is wrong with the event's entry in the key index. */
  #keyFault(events: EventBatch, i: number, offset: number): string | undefined {
    const { hasher, index } = this.#file;
    hasher.hashKey(events, i);
    if (!index.find(hasher.k0, hasher.k1, hasher.k2, hasher.k3)) return 'its key is not in the index';
    if (index.offset !== offset)
      return `its key belongs to offset ${index.offset}: the event is stored twice, or the key is wrong`;
    if (index.digest !== hasher.digest(events, i)) return 'its digest does not match its content';
    return undefined;
  }

  #add(problem: string): void {
    addProblem(this.#findings, problem);
  }
}
