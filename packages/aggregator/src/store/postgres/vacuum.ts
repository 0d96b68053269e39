import type { Client } from 'pg';
import { messageOf } from '../errors.ts';
import type { Tell } from '../tell.ts';
import { type Sessions, answered, cut, ended } from './sessions.ts';

/** When it is worth a vacuum. Tests use small numbers. */
export interface VacuumShape {
  /** After so many bytes of texts, or ids, before all is let go of. */
  readonly bytes: number;
  readonly ids: number;
  /** After so many small blocks that became larger ones. */
  readonly mergedBlocks: number;
  /** After so many appends whose repeats were settled, or so many bytes of these. */
  readonly settledAppends: number;
  readonly settledBytes: number;
  /** Between the beginnings of two. */
  readonly pauseMs: number;
}

const VACUUM_SHAPE: VacuumShape = {
  bytes: 256 * 1024 * 1024,
  ids: 1_000_000,
  mergedBlocks: 2048,
  settledAppends: 1024,
  settledBytes: 2 * 1024 * 1024,
  pauseMs: 5000,
};

type Table = 'block' | 'merged_block' | 'key' | 'repeat' | 'conflict' | 'histories';

/** Another one is at work on the table: another instance's, or the server's own. */
const LOCK_NOT_AVAILABLE = '55P03';

/** At the pace of the server's own. */
const SETTINGS = "SET vacuum_cost_delay = '2ms'; SET vacuum_cost_limit = 2000";

/**
 * Gives the room of what was let go of, or replaced, back to the tables, and so overwrites it sooner, where the server's autovacuum would
 * wait until a part of the table is dead, and up to a minute more. In: what was let go of and replaced here. One at a time, in a
 * connection of its own, while everything else goes on. Whatever fails is left to the server.
 *
 * Free pages at the end of a table stay there: to cut them off takes a lock that a standby takes too, where it waits for whoever reads
 * the table there, and everything behind it waits as well; with `remote_apply` that is every commit.
 */
export class Vacuuming {
  readonly #sessions: Sessions;
  readonly #tell: Tell;
  readonly #shape: VacuumShape;
  readonly #tables = new Set<Table>();
  #bytes = 0;
  #ids = 0;
  #mergedBlocks = 0;
  #settledAppends = 0;
  #settledBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #notBefore = 0;
  #working: Promise<void> | null = null;
  #client: Client | null = null;
  #isClosed = false;
  readonly #told = new Set<string>();

  constructor(sessions: Sessions, tell: Tell, shape: Partial<VacuumShape> = {}) {
    this.#sessions = sessions;
    this.#tell = tell;
    this.#shape = { ...VACUUM_SHAPE, ...shape };
  }

  expired(bytes: number, isDone: boolean): void {
    this.#bytes += bytes;
    if (isDone || this.#bytes >= this.#shape.bytes) this.#wants('block', 'merged_block');
  }

  erased(): void {
    this.#wants('block', 'merged_block', 'key', 'repeat', 'conflict', 'histories');
  }

  forgot(ids: number, isDone: boolean): void {
    this.#ids += ids;
    if (isDone || this.#ids >= this.#shape.ids) this.#wants('key');
  }

  merged(blocks: number): void {
    this.#mergedBlocks += blocks;
    if (this.#mergedBlocks < this.#shape.mergedBlocks) return;
    this.#mergedBlocks = 0;
    this.#wants('block');
  }

  settled({ appends, bytes }: { appends: number; bytes: number }): void {
    this.#settledAppends += appends;
    this.#settledBytes += bytes;
    const { settledAppends, settledBytes } = this.#shape;
    if (this.#settledAppends < settledAppends && this.#settledBytes < settledBytes) return;
    this.#settledAppends = 0;
    this.#settledBytes = 0;
    this.#wants('repeat', 'histories');
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    if (this.#client !== null) cut(this.#client);
    await this.#working;
  }

  #wants(...tables: readonly Table[]): void {
    for (const table of tables) this.#tables.add(table);
    if (this.#timer !== undefined || this.#working !== null || this.#isClosed) return;
    const delayMs = Math.max(0, this.#notBefore - performance.now());
    this.#timer = setTimeout(() => this.#begin(), delayMs).unref();
  }

  #begin(): void {
    this.#timer = undefined;
    this.#notBefore = performance.now() + this.#shape.pauseMs;
    this.#working = this.#vacuum()
      .catch((error: unknown) => {
        if (!this.#isClosed) this.#failed(messageOf(error));
      })
      .finally(() => {
        this.#working = null;
        if (this.#tables.size > 0) this.#wants();
      });
  }

  async #vacuum(): Promise<void> {
    const tables = [...this.#tables];
    this.#tables.clear();
    this.#bytes = 0;
    this.#ids = 0;
    const client = await this.#sessions.connect(() => this.#isClosed);
    try {
      this.#client = client;
      if (this.#isClosed) return;
      let isLocked = false;
      client.on('notice', ({ severity, code, message }) => {
        if (severity !== 'WARNING') return;
        if (code === LOCK_NOT_AVAILABLE) isLocked = true;
        // Such as that the role does not own the table.
        else this.#failed(message ?? 'a warning');
      });
      await answered(client, () => client.query(SETTINGS));
      for (const table of tables) {
        isLocked = false;
        await client.query(`VACUUM (SKIP_LOCKED, TRUNCATE OFF, PARALLEL 0) ${table}`);
        // Whoever is at work there may have passed by what is free since.
        if (isLocked) this.#tables.add(table);
      }
    } finally {
      this.#client = null;
      await ended(client);
    }
  }

  #failed(reason: string): void {
    // One for each table, again and again, where the role owns none.
    if (this.#told.has(reason)) return;
    this.#told.add(reason);
    this.#tell(
      { reason },
      'the room of what was let go of, merged or settled could not be made free at once: it is when the database vacuums next',
    );
  }
}
