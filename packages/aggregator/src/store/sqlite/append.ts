import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { SPANS_PER_EVENT, TEXT, TOPIC } from '../../event/event-batch.ts';
import { releasedYoung } from '../../released-memory.ts';
import type { GroupResult } from '../commit-group.ts';
import { ACCEPTED, CONFLICT, DUPLICATE, StoreError } from '../event-store.ts';
import { Trail } from './audit/trail.ts';
import { Books } from './books.ts';
import type { BlockLog } from './blocks/block-log.ts';
import { freeBytes, noSpaceLeft, writeErrorOf } from './file/errors.ts';
import { BARE } from '../blocks/block-format.ts';
import type { KeyHasher } from '../key-hash.ts';
import { EntryList } from './keys/bare-keys.ts';
import type { KeyIndex } from './keys/key-index.ts';
import { type AppendedGroup, Repeats } from './repeats/repeats.ts';

/** What a transaction writes beside its events, such as a merge or part of a seal, with room to spare. */
const LACKING_BYTES_MIN = 1024 * 1024;

/**
 * The only writer. In: the events of many publishes as one flat group. Out: a verdict and an offset for each, after
 * the commit. One transaction holds the block of accepted events, the books (books.ts), and the small share of background
 * work that the group owes.
 *
 * States: *working* until a transaction fails in a way that casts doubt on the file or the disk, then *failed* for
 * good. A full disk is not such a failure: file and memory are as before, and the next transaction may succeed.
 */
export class Appender {
  readonly #db: DatabaseSync;
  readonly #hasher: KeyHasher;
  readonly #index: KeyIndex;
  readonly #log: BlockLog;
  readonly #now: () => number;
  readonly #books: Books;
  readonly #repeats: Repeats;
  readonly #trail: Trail;
  #failure: StoreError | null = null;
  /** How long the last COMMIT took, which writes the log and syncs it, milliseconds. */
  #syncMs = 0;
  #committed: () => void = () => {};
  /** Bytes that must be free before the disk counts as having space again; 0 if space never ran out. */
  #lackingBytes = 0;
  readonly #stopped: (why: StoreError) => void;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;

  /**
   * @param now the clock, milliseconds since 1970
   * @param stopped called once, when the writer fails for good
   */
  constructor(
    db: DatabaseSync,
    hasher: KeyHasher,
    index: KeyIndex,
    log: BlockLog,
    now: () => number,
    stopped: (why: StoreError) => void = () => {},
  ) {
    this.#db = db;
    this.#hasher = hasher;
    this.#index = index;
    this.#log = log;
    this.#now = now;
    this.#stopped = stopped;
    this.#books = new Books(db);
    this.#repeats = new Repeats(db, this.#books);
    this.#trail = new Trail(db);
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
  }

  /** The offset of the newest committed event. */
  get lastOffset(): number {
    return this.#books.ledger.lastOffset;
  }

  append(group: AppendedGroup): GroupResult {
    // Counts the memory of the compressed group; its own and zstd's are freed without a garbage collection.
    releasedYoung(group.bytes.length / 2);
    try {
      const before = this.lastOffset;
      const result = this.transaction(() => this.#appendAll(group));
      if (this.lastOffset > before) this.#repeats.committed(before + 1, this.lastOffset, result.receivedMs);
      this.#lackingBytes = 0;
      return { ...result, syncMs: this.#syncMs };
    } catch (error) {
      this.#lackingBytes = 2 * group.bytes.length + LACKING_BYTES_MIN;
      throw error;
    }
  }

  /**
   * Writes the books with a newer time, so it commits or fails as an append would. The books are so small that they
   * fit where an append did not, so after a failed append this checks the disk's free space, too.
   */
  probe(): void {
    if (this.#lackingBytes > 0 && freeBytes(this.#db.location()!) < this.#lackingBytes) throw noSpaceLeft();
    this.transaction(() => this.#books.touch(this.#now()));
    this.#lackingBytes = 0;
  }

  /** Folds (checkpoints) the log into the file, as far as nobody reads from it. Stops the writer if the disk fails. */
  foldLog(): void {
    if (this.#failure !== null) return;
    try {
      this.#db.exec('PRAGMA wal_checkpoint(PASSIVE)');
    } catch (cause) {
      const error = writeErrorOf(cause);
      // Lack of space is retried; the appends report it once the log itself finds none.
      if (error.code === 'failed') this.stop(error);
    }
  }

  /** Calls the listener after each commit. */
  whenCommitted(listener: () => void): void {
    this.#committed = listener;
  }

  /** Whether the writer has stopped for good. */
  get hasStopped(): boolean {
    return this.#failure !== null;
  }

  /** Stops the writer for good. */
  stop(why: StoreError): void {
    if (this.#failure !== null) return;
    this.#failure = why;
    this.#stopped(why);
  }

  /** The counts, for transactions that change them. */
  get books(): Books {
    return this.#books;
  }

  /** The repeats, for transactions that settle them, or let go of what is known of them. */
  get repeats(): Repeats {
    return this.#repeats;
  }

  /** The audit trail, for transactions that write to it. */
  get trail(): Trail {
    return this.#trail;
  }

  /** Whether the rows of the books tell everything, as far as is known (books.ts). */
  get isSettled(): boolean {
    return this.#books.isSettled;
  }

  /** Brings the rows of the books up to date. */
  settle(): void {
    this.transaction(() => {
      if (!this.isSettled) this.#books.settle();
    });
  }

  /** Runs the work in one transaction that makes all unsynced ones before it durable, too, whether or not it changes anything. */
  synced<T>(work: () => T): T {
    return this.transaction(() => {
      const result = work();
      // SQLite neither writes nor syncs a transaction that has changed no page.
      this.#books.touch(this.#now());
      return result;
    });
  }

  /**
   * Runs the work in one transaction without waiting for the disk: a power loss may undo it, unless something is committed after it, which makes it durable
   * as well. For work that is done again then.
   */
  unsynced<T>(work: () => T): T {
    // In a log, this never leaves the file between two transactions: https://sqlite.org/pragma.html#pragma_synchronous
    this.#db.exec('PRAGMA synchronous = NORMAL');
    try {
      return this.transaction(work);
    } finally {
      this.#db.exec('PRAGMA synchronous = FULL');
    }
  }

  /** Runs the work in one transaction. If it throws, file and memory are as before, and a StoreError says why. */
  transaction<T>(work: () => T): T {
    if (this.#failure !== null) throw this.#failure;
    let result: T;
    try {
      // This comes first: a rollback undoes what came after it.
      this.#index.begin();
      this.#begin.run();
      this.#books.begin();
      this.#repeats.begin();
      this.#trail.begin();
      result = work();
      // The deleted blocks may have held the only copy of the books.
      if (this.#log.isExchanged && !this.#books.isSettled) this.#books.settle();
      const startMs = performance.now();
      this.#commit.run();
      this.#syncMs = performance.now() - startMs;
      this.#index.committed();
      this.#log.committed();
      this.#books.committed();
    } catch (cause) {
      this.#index.rolledBack();
      this.#log.rolledBack();
      this.#books.rolledBack();
      this.#repeats.rolledBack();
      this.#trail.rolledBack();
      const error = writeErrorOf(cause);
      const isAsBefore = this.#rolledBack();
      if (error.code === 'failed' || !isAsBefore) this.stop(error);
      throw error;
    }
    this.#committed();
    return result;
  }

  #appendAll(group: AppendedGroup): GroupResult {
    const { count, spans, bytes } = group;
    const hasher = this.#hasher;
    const index = this.#index;
    const books = this.#books;
    // A single piece of memory, which is transferred to the other thread as a whole.
    const offsets = new Float64Array(new ArrayBuffer(count * (Float64Array.BYTES_PER_ELEMENT + 1)), 0, count);
    const verdicts = new Uint8Array(offsets.buffer, offsets.byteLength);
    const topicIds = new Int32Array(count);
    const starts = new Int32Array(count);
    const lengths = new Int32Array(count);
    const firstOffset = books.ledger.lastOffset + 1;
    let accepted = 0;
    let conflicts = 0;
    let bare: { readonly places: Uint8Array<ArrayBuffer>; readonly entries: EntryList } | null = null;
    for (let i = 0; i < count; i++) {
      hasher.hashKey(group, i);
      const { k0, k1, k2, k3 } = hasher;
      const digest = hasher.digest(group, i);
      if (index.find(k0, k1, k2, k3)) {
        const isConflict = index.digest !== digest;
        verdicts[i] = isConflict ? CONFLICT : DUPLICATE;
        offsets[i] = index.offset;
        if (isConflict) conflicts += 1;
        continue;
      }
      const offset = firstOffset + accepted;
      index.add(k0, k1, k2, k3, offset, digest);
      verdicts[i] = ACCEPTED;
      offsets[i] = offset;

      const at = i * SPANS_PER_EVENT;
      const topic = books.topicNamed(bytes, spans[at + TOPIC]!, spans[at + TOPIC + 1]!);
      topicIds[accepted] = topic.id;
      starts[accepted] = spans[at + TEXT]!;
      lengths[accepted] = topic.isBare ? BARE : spans[at + TEXT + 1]! - spans[at + TEXT]!;
      if (topic.isBare) {
        bare ??= { places: new Uint8Array(count), entries: new EntryList() };
        bare.places[i] = 1;
        bare.entries.push(k0, k1, k2, k3, offset, digest);
      }
      books.count(topic, offset, lengths[accepted]!);
      accepted += 1;
    }
    books.keep(count, accepted, conflicts, this.#now());
    const judged = { group, verdicts, offsets, firstOffset };
    const repeats = accepted === count ? [] : this.#repeats.pack(judged);
    this.#trail.judged(judged, books.ledger.lastMs);
    let hasBooksInBlock = false;
    if (accepted > 0) {
      const events = {
        topicIds: topicIds.subarray(0, accepted),
        starts: starts.subarray(0, accepted),
        lengths: lengths.subarray(0, accepted),
        texts: bytes,
        commits: [],
      };
      hasBooksInBlock = this.#log.append(
        firstOffset,
        events,
        books.ledger,
        repeats.length === 1 ? repeats[0]! : null,
      );
    }
    if (hasBooksInBlock) books.leaveUnsettled(accepted);
    else books.settle();
    if (repeats.length > (hasBooksInBlock ? 1 : 0)) this.#repeats.leave(repeats);
    if (bare !== null) index.keepBare(bare.entries);
    if (repeats.length > 0) this.#repeats.step();
    index.step(accepted);
    this.#log.step();
    return { receivedMs: books.ledger.lastMs, verdicts, offsets, bare: bare?.places ?? null };
  }

  #rolledBack(): boolean {
    try {
      // After some errors SQLite has already rolled back.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      return true;
    } catch {
      // The error that led here is the one to report; that the rollback failed too stops the writer.
      return false;
    }
  }
}
