import type { DatabaseSync } from 'node:sqlite';
import { type Epoch, StoreError } from '../event-store.ts';
import { Appender } from './append.ts';
import { keptEventsOf } from '../blocks/block-events.ts';
import { Block, type BlockRow } from '../blocks/block-format.ts';
import { BlockLog, LOG_SHAPE, type LogShape } from './blocks/block-log.ts';
import { openForWriting } from './file/database.ts';
import { openErrorOf } from './file/errors.ts';
import { damaged } from '../errors.ts';
import { beginEpoch, epochsOf } from './file/epochs.ts';
import type { FileLock } from './file/lock.ts';
import { KeyHasher } from '../key-hash.ts';
import { countTexts } from './count-texts.ts';
import { INDEX_SHAPE, type IndexShape } from './keys/index-shape.ts';
import { KeyIndex } from './keys/key-index.ts';
import { countRepeatsSince } from './repeats/repeats.ts';
import { type Progress, migratePlain } from './migrate-plain.ts';

/** The writer's side of an open file: everything that changes it. */
export interface OpenFile {
  readonly db: DatabaseSync;
  readonly lock: FileLock;
  readonly appender: Appender;
  readonly hasher: KeyHasher;
  readonly index: KeyIndex;
  readonly log: BlockLog;
  close(): void;
}

/** Sizes that tests reduce. */
export interface FileShape {
  readonly index: IndexShape;
  readonly log: LogShape;
  readonly keyBits: 8 | 128;
}

export const FILE_SHAPE: FileShape = { index: INDEX_SHAPE, log: LOG_SHAPE, keyBits: 128 };

export interface OpenOptions {
  /** Called while the events of an older file are migrated. */
  readonly progress?: Progress;
  /** Called while the texts of an older file are counted. */
  readonly counting?: Progress;
  readonly shape?: FileShape | undefined;
  /** The clock of `received_at`, milliseconds since 1970. */
  readonly now?: () => number;
  /** Called if the file was a copy and so begins a new epoch. Without it a copy stays a copy, as `verify` needs. */
  readonly begun?: (epoch: Epoch) => void;
  /** Called when the file is open and nothing has been read from it. */
  readonly before?: (db: DatabaseSync) => void;
  /** Called now and then while the newest keys are reloaded, with the last offset so far. */
  readonly revived?: (lastOffset: number) => void;
  /** Called once, when the writer fails for good. */
  readonly stopped?: (why: StoreError) => void;
}

/**
 * Opens the file for its only writer, reloads the newest keys into memory, and migrates an older file. Throws a
 * StoreError `unusable` that says what to do.
 */
export function openFile(path: string, options: OpenOptions = {}): OpenFile {
  const { progress = () => {}, counting = () => {}, shape = FILE_SHAPE, now = Date.now } = options;
  const { begun, before, revived = () => {}, stopped } = options;
  const { db, lock } = openForWriting(path);
  const close = (): void => {
    db.close();
    lock.release();
  };
  try {
    before?.(db);
    const secret = db.prepare('SELECT secret FROM log').get()!['secret'] as Uint8Array;
    const hasher = new KeyHasher(secret, shape.keyBits);
    const index = new KeyIndex(db, shape.index);
    const log = new BlockLog(db, shape.log);
    let isOpen = false;
    const appender = new Appender(db, hasher, index, log, now, (why) => {
      // Until the file is open, the start itself reports the error.
      if (isOpen) stopped?.(why);
    });
    reviveKeys({ db, appender, hasher, index }, revived);
    migratePlain(db, { appender, hasher, index, log }, progress);
    countTexts(db, appender, counting);
    countRepeatsSince(db, now());
    if (begun !== undefined && beginEpoch(db)) begun(epochsOf(db).at(-1)!);
    isOpen = true;
    return { db, lock, appender, hasher, index, log, close: () => closeSettled(appender, close) };
  } catch (error) {
    close();
    throw openErrorOf(path, error);
  }
}

/** Closes the file even if the disk has no space to update the rows, because the blocks hold whatever the rows lack. */
function closeSettled(appender: Appender, close: () => void): void {
  try {
    appender.settle();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
  } finally {
    close();
  }
}

/**
 * Keys above the last run were only in memory, so they are computed again from the texts in the blocks. Where a text is
 * gone, or never was, the index itself has kept the key; it knows no key of an event that is forgotten. If they exceed a run (after a
 * kill during a seal, or when the index was emptied), runs are sealed on the way.
 */
function reviveKeys(
  { db, appender, hasher, index }: Omit<OpenFile, 'lock' | 'log' | 'close'>,
  revived: (lastOffset: number) => void,
): void {
  const { sealedTo } = index;
  const addBare = index.bareKeysToAdd();
  let next: number | null = null;
  const rows = db.prepare(`
    SELECT first_offset, directory, body FROM block
    WHERE first_offset >= ifnull((SELECT first_offset FROM block WHERE first_offset <= ? ORDER BY first_offset DESC LIMIT 1), 0)
    ORDER BY first_offset`);
  for (const row of rows.iterate(sealedTo + 1) as Iterable<unknown> as Iterable<
    BlockRow & { first_offset: number }
  >) {
    const block = new Block(row.first_offset, row);
    if (next !== null && block.firstOffset !== next) {
      throw damaged(
        `the log has a block at offset ${block.firstOffset}, but the previous one ends at ${next - 1}`,
      );
    }
    next = block.lastOffset + 1;
    const first = Math.max(0, sealedTo + 1 - block.firstOffset);
    addBare(block.lastOffset);
    const { events, places } = keptEventsOf(block, first);
    for (const [i, place] of places.entries()) {
      hasher.hashKey(events, i);
      const { k0, k1, k2, k3 } = hasher;
      index.addStored(k0, k1, k2, k3, block.firstOffset + place, hasher.digest(events, i));
    }
    if (index.mustSeal) appender.transaction(() => index.step(block.count + index.hotKeysMax));
    revived(block.lastOffset);
  }
}
