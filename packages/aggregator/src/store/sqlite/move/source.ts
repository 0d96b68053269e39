import { existsSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../../event-store.ts';
import type { MoveMark } from '../../move/move-mark.ts';
import type { SourceLog } from '../../move/moved-log.ts';
import { openForCopying, openForWriting } from '../file/database.ts';
import { beginEpoch, epochsOf } from '../file/epochs.ts';
import { writeErrorOf } from '../file/errors.ts';
import { isInUse } from '../file/lock.ts';
import { putMark } from '../file/move-mark.ts';
import { placeOf } from '../file/place.ts';
import { countRepeatsSince, settleRepeats } from '../repeats/repeats.ts';
import { ReadableFile, secretIn } from './readable.ts';

/** The first format with the books as they are now. A service of an older version may be running on such a file. */
export const FORMAT_MIN = 15;

/**
 * A file that is moved away. It is read beside the service that writes it; once that has stopped, it is *held* by the lock
 * that a service would take, until it is marked as moved.
 */
export class SqliteSource implements SourceLog {
  readonly place: string;
  readonly #path: string;
  #db: DatabaseSync;
  content: ReadableFile;
  #held: ReturnType<typeof openForWriting> | null = null;

  private constructor(path: string, db: DatabaseSync) {
    this.#path = path;
    this.#db = db;
    this.content = new ReadableFile(db);
    this.place = `sqlite:${path}`;
  }

  /** Throws a StoreError `unusable` that says what to do. */
  static open(given: string): SqliteSource {
    if (!existsSync(given)) throw new StoreError('unusable', `there is no file ${given}`);
    const path = placeOf(given);
    const db = openForCopying(path);
    const isOld = Number(db.prepare('PRAGMA user_version').get()!['user_version']) < FORMAT_MIN;
    const isPlain = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'event'").get() !== undefined;
    if (isOld || isPlain) {
      db.close();
      throw new StoreError(
        'unusable',
        `${path} is of an older format: start this version of the service on it once, then move it`,
      );
    }
    return new SqliteSource(path, db);
  }

  async log(): Promise<string> {
    return epochsOf(this.#db)[0]!.name;
  }

  async secret(): Promise<Uint8Array> {
    return secretIn(this.#db);
  }

  async hold(): Promise<string | null> {
    try {
      this.#held = openForWriting(this.#path);
    } catch (error) {
      if (isInUse(error)) return 'a service is running on it: stop it';
      throw error;
    }
    this.#db.close();
    this.#db = this.#held.db;
    this.content = new ReadableFile(this.#db);
    // As a service would that starts on it now: a copy is a log of its own.
    this.#write(() => {
      beginEpoch(this.#db);
      countRepeatsSince(this.#db, Date.now());
      settleRepeats(this.#db);
    });
    return null;
  }

  async leave(mark: MoveMark): Promise<void> {
    this.#write(() => putMark(this.#db, mark));
  }

  async close(): Promise<void> {
    this.#db.close();
    this.#held?.lock.release();
  }

  /** A full disk is often why a log is moved. So what fails says which of the two stores it was. */
  #write(work: () => void): void {
    try {
      work();
    } catch (cause) {
      const { code, message } = cause instanceof StoreError ? cause : writeErrorOf(cause);
      throw new StoreError(code, `${this.place}: ${message}`, { cause });
    }
  }
}
