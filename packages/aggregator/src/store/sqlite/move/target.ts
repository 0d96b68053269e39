import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { BARE, type Block } from '../../blocks/block-format.ts';
import { withoutTexts } from '../../blocks/block-rewrite.ts';
import { damaged } from '../../errors.ts';
import { StoreError } from '../../event-store.ts';
import { GROUP_COLUMNS, HAND_COLUMNS, LETTER_COLUMNS } from '../../move/group-columns.ts';
import { type MoveMark, otherSecret, takenMark } from '../../move/move-mark.ts';
import type { KeyedPart, LogState, MovedLetter, TargetLog } from '../../move/moved-log.ts';
import { type MovedStory, type StoryPart, type StoryWriter, copiedTopicId } from '../../move/moved-story.ts';
import { type Identity, countsOf, forgottenIn, identitiesOf, textsOf } from '../../move/parts.ts';
import type { OffsetSet } from '../../offset-set.ts';
import { BlockReader } from '../block-reader.ts';
import { readLedger } from '../file/ledger.ts';
import { markIn, putMark } from '../file/move-mark.ts';
import { keepKeys } from '../keep-keys.ts';
import { EntryList } from '../keys/bare-keys.ts';
import { ForgetPass } from '../keys/forget-pass.ts';
import { type OpenFile, openFile } from '../open-file.ts';
import { writePolicy } from '../policy-rows.ts';
import { writeSource } from '../source-rows.ts';
import { Scrub } from '../scrub.ts';
import { ReadableFile, secretIn } from './readable.ts';
import { STORY_WRITERS } from './story.ts';

/** Blocks that lose texts in one transaction. */
const BLOCKS_CHANGED = 64;

/** Every id that is meant goes, even where few of a large run's are (forget-pass.ts). */
const FORGET_ALL = { keysMax: 65_536, bucketsMax: 2048, shareMin: 0 };

const COUNT = `
  UPDATE topic SET events = events + ?1, expired = expired + ?2, bare = bare + ?3, bytes = bytes + ?4, last_offset = ?5,
    first_offset = CASE WHEN ?1 > 0 AND events = 0 THEN ?6 ELSE first_offset END
  WHERE topic_id = ?7`;

const COUNT_GONE =
  'UPDATE topic SET events = events - ?1, expired = expired + ?1, bytes = bytes - ?2 WHERE topic_id = ?3';

const END = `
  UPDATE ledger SET received = ?1, accepted = ?1, duplicates = 0, conflicts = 0, last_offset = ?1, last_ms = ?2,
    expired = expired + ?3, bare = bare + ?4`;

/** A file that a move fills, as its only writer. */
export class SqliteTarget implements TargetLog {
  readonly place: string;
  readonly #path: string;
  #file: OpenFile;
  #content: ReadableFile;
  readonly #topicIds = new Map<string, number>();

  private constructor(path: string) {
    this.#path = path;
    this.#file = openFile(path);
    this.#content = new ReadableFile(this.#db);
    this.place = `sqlite:${this.#db.location()}`;
    for (const row of this.#db.prepare('SELECT topic_id, name FROM topic').iterate()) {
      this.#topicIds.set(String(row['name']), Number(row['topic_id']));
    }
  }

  /** Creates the file if there is none. Throws a StoreError `unusable` that says what to do. */
  static open(path: string): SqliteTarget {
    return new SqliteTarget(path);
  }

  get content(): ReadableFile {
    return this.#content;
  }

  get #db(): DatabaseSync {
    return this.#file.db;
  }

  async begin(mark: MoveMark, secret: Uint8Array): Promise<MoveMark> {
    const { received } = readLedger(this.#db);
    const isEmpty =
      received === 0 &&
      this.#db
        .prepare('SELECT 1 FROM event_group UNION ALL SELECT 1 FROM retention UNION ALL SELECT 1 FROM source')
        .get() === undefined;
    const taken = takenMark({ place: this.place, found: markIn(this.#db), isEmpty }, mark);
    const isOther = Buffer.compare(secretIn(this.#db), secret) !== 0;
    if (isOther && received > 0) throw otherSecret(this.place);
    putMark(this.#db, taken);
    if (isOther) this.#takeSecret(secret);
    return taken;
  }

  /** Opens the file anew: whatever hashes in it does so under the new secret. The mark keeps others from opening it meanwhile. */
  #takeSecret(secret: Uint8Array): void {
    this.#db.prepare('UPDATE log SET secret = ?').run(secret);
    this.#file.close();
    this.#file = openFile(this.#path);
    this.#content = new ReadableFile(this.#db);
  }

  async write(parts: readonly KeyedPart[]): Promise<boolean> {
    const { appender, hasher, index, log } = this.#file;
    const identities = parts.map((part) => identitiesOf(part, hasher));
    // Before the transaction, which could only fail for good.
    if (this.#isAnyKnown(identities.flat())) return false;
    appender.transaction(() => {
      let [events, expired, bare, forgotten] = [0, 0, 0, 0];
      for (const [i, part] of parts.entries()) {
        const added = this.#put(part, identities[i]!);
        events += part.count;
        expired += added.expired;
        bare += added.bare;
        forgotten += forgottenIn(part);
      }
      const { count, firstOffset, commits } = parts.at(-1)!;
      this.#db.prepare(END).run(firstOffset + count - 1, commits.at(-1)!.receivedMs, expired, bare);
      if (forgotten > 0) this.#db.prepare('UPDATE log SET forgotten = forgotten + ?').run(forgotten);
      index.step(events);
      log.step();
    });
    return true;
  }

  /** Whether one of these ids is known, or among them twice. */
  #isAnyKnown(identities: readonly Identity[]): boolean {
    const { index } = this.#file;
    const seen = new Set(identities.map(({ k0, k1, k2, k3 }) => `${k0} ${k1} ${k2} ${k3}`));
    return (
      seen.size < identities.length || identities.some(({ k0, k1, k2, k3 }) => index.find(k0, k1, k2, k3))
    );
  }

  async keyFault(part: KeyedPart): Promise<string | null> {
    const { hasher, index } = this.#file;
    for (const { offset, k0, k1, k2, k3, digest } of identitiesOf(part, hasher)) {
      if (!index.find(k0, k1, k2, k3)) return `offset ${offset} has no id`;
      if (index.offset !== offset) return `the id of offset ${offset} leads to offset ${index.offset}`;
      if (index.digest !== digest) return `offset ${offset} has another digest`;
    }
    return null;
  }

  async expire(offsets: readonly number[]): Promise<void> {
    const { appender } = this.#file;
    const going = new Set(offsets);
    const last = offsets.at(-1)!;
    for (let after: number | null = offsets[0]! - 1; after !== null;) {
      const from: number = after;
      after = appender.transaction(() => this.#expireSome(from, last, going));
    }
  }

  async forget(offsets: OffsetSet): Promise<void> {
    const { appender, index } = this.#file;
    for (const pass = new ForgetPass(index, offsets, FORGET_ALL); !pass.isDone;)
      appender.transaction(() => pass.some()).durable();
  }

  async writeState(state: LogState, letters: AsyncIterable<readonly MovedLetter[]>): Promise<void> {
    const { books, epochs, policies, sources, repeatsSinceMs, groups, hands, lastGroupId } = state;
    this.#file.appender.transaction(() => {
      const { received, conflicts, lastMs } = books;
      this.#db
        .prepare('UPDATE ledger SET received = ?1, duplicates = ?1 - accepted, conflicts = ?2, last_ms = ?3')
        .run(received, conflicts, lastMs);
      this.#db.prepare('UPDATE repeat_state SET since_ms = ?').run(repeatsSinceMs);
      this.#db.exec('DELETE FROM epoch');
      const insert = this.#db.prepare('INSERT INTO epoch (name, after_offset) VALUES (?, ?)');
      for (const { name, afterOffset } of epochs) insert.run(name, afterOffset);
      // As they are: a log may have more of them than may be put today.
      this.#db.exec('DELETE FROM retention');
      for (const policy of policies) writePolicy(this.#db, policy);
      this.#db.exec('DELETE FROM source');
      for (const source of sources) writeSource(this.#db, source);
      this.#db.exec('DELETE FROM event_group; DELETE FROM hand; DELETE FROM dead_letter');
      this.#insert('event_group', GROUP_COLUMNS, groups);
      this.#insert('hand', HAND_COLUMNS, hands);
      this.#db.exec("DELETE FROM sqlite_sequence WHERE name = 'event_group'");
      this.#db.prepare("INSERT INTO sqlite_sequence (name, seq) VALUES ('event_group', ?)").run(lastGroupId);
    });
    for await (const some of letters) {
      this.#file.appender.transaction(() => this.#insert('dead_letter', LETTER_COLUMNS, some));
    }
  }

  /** In many transactions: a run that is killed in between is followed by another one, which begins with this part anew. */
  async writeStory<P extends StoryPart>(
    part: P,
    rows: AsyncIterable<readonly MovedStory[P][]>,
  ): Promise<void> {
    const { appender } = this.#file;
    const writer: StoryWriter<MovedStory[P], void> = STORY_WRITERS[part](this.#db, (topic) =>
      copiedTopicId(this.#topicIds, topic),
    );
    appender.transaction(() => writer.empty());
    for await (const some of rows) appender.transaction(() => writer.put(some));
    appender.transaction(() => writer.end());
  }

  async complete(): Promise<void> {
    const mark = markIn(this.#db);
    if (mark === null) throw new StoreError('failed', `${this.place} has lost the mark of its move`);
    this.#overwriteGone();
    putMark(this.#db, { ...mark, role: 'complete' });
    this.#file.lock.raise(readLedger(this.#db).lastOffset);
  }

  async close(): Promise<void> {
    this.#file.close();
  }

  #insert<C extends string>(
    table: string,
    columns: readonly C[],
    rows: readonly Readonly<Record<C, SQLInputValue>>[],
  ): void {
    const places = columns.map(() => '?').join();
    const insert = this.#db.prepare(`INSERT INTO ${table} (${columns.join()}) VALUES (${places})`);
    for (const row of rows) insert.run(...columns.map((column) => row[column]));
  }

  /** Returns what it has put. */
  #put(part: KeyedPart, identities: readonly Identity[]): { expired: number; bare: number } {
    const { index, log } = this.#file;
    const { firstOffset, topics, commits, lengths } = part;
    const topicIds = Int32Array.from(topics, (name) => this.#topicId(name));
    const bareKeys = new EntryList();
    for (const { offset, isKept, k0, k1, k2, k3, digest } of identities) {
      // The place where it is added is where the look for it ends.
      index.find(k0, k1, k2, k3);
      index.add(k0, k1, k2, k3, offset, digest);
      if (!isKept) bareKeys.push(k0, k1, k2, k3, offset, digest);
    }
    if (bareKeys.words.length > 0) index.keepBare(bareKeys);
    log.insert(firstOffset, { topicIds, ...textsOf(part), commits });
    const firstKept = new Map<number, number>();
    for (const [i, id] of topicIds.entries())
      if (lengths[i]! > BARE && !firstKept.has(id)) firstKept.set(id, firstOffset + i);
    const sum = { expired: 0, bare: 0 };
    const count = this.#db.prepare(COUNT);
    for (const [id, { events, expired, bare, bytes, last }] of countsOf(topicIds, lengths)) {
      count.run(
        events - expired - bare,
        expired,
        bare,
        bytes,
        firstOffset + last,
        firstKept.get(id) ?? 0,
        id,
      );
      sum.expired += expired;
      sum.bare += bare;
    }
    return sum;
  }

  /** Takes the texts of some blocks. Returns the offset after which to go on, or null at the end. */
  #expireSome(after: number, last: number, going: ReadonlySet<number>): number | null {
    const count = this.#db.prepare(COUNT_GONE);
    let sum = 0;
    let from: number | null = after;
    for (let changed = 0; from !== null && changed < BLOCKS_CHANGED; changed++) {
      const block = this.#blockAbove(from, last);
      const goes = (i: number): boolean => going.has(block.firstOffset + i);
      keepKeys(this.#file, block, goes);
      const { row, expired } = withoutTexts(block, goes);
      if (row !== null) this.#file.log.rewrite(block.firstOffset, row);
      for (const [id, { events, bytes }] of expired) {
        count.run(events, bytes, id);
        sum += events;
      }
      from = block.lastOffset < last ? block.lastOffset : null;
    }
    this.#db.prepare('UPDATE ledger SET expired = expired + ?').run(sum);
    return from;
  }

  /** A reader of its own each time: the next block changes what it would walk through. */
  #blockAbove(after: number, upTo: number): Block {
    for (const block of new BlockReader(this.#db).of({ order: 'asc', after, upTo }, undefined)) return block;
    throw damaged(`the log lacks offset ${after + 1}`);
  }

  /** What was let go of after it was copied leaves no bytes here, as an erasure promises. */
  #overwriteGone(): void {
    const { rewrites } = this.#db.prepare('SELECT rewrites FROM log').get()!;
    if (Number(rewrites) === 0) return;
    for (const scrub = new Scrub(this.#file); !scrub.some();) continue;
    const { busy } = this.#db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()!;
    if (busy !== 0) {
      const text = `another program reads ${this.place}, whose write-ahead log keeps bytes of what was let go of until that has ended`;
      throw new StoreError('blocked', text);
    }
  }

  #topicId(name: string): number {
    let id = this.#topicIds.get(name);
    if (id !== undefined) return id;
    const insert = this.#db.prepare('INSERT INTO topic (name, events, last_offset) VALUES (?, 0, 0)');
    id = Number(insert.run(name).lastInsertRowid);
    this.#topicIds.set(name, id);
    return id;
  }
}
