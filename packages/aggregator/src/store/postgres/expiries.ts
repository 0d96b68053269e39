import type { ClientBase } from 'pg';
import type { Expiry } from '../retention-store.ts';
import { Watchers } from '../watchers.ts';
import type { Hearing } from './hearing.ts';

const NUMBERED = 'UPDATE retention SET expiries = expiries + 1 RETURNING expiries';

/**
 * Tells that events have expired. In: what was done here, notifications of what was done elsewhere, and how often it has been
 * done, which each look at the end of the log brings. Out: where; and where a notification got lost, that it may be anywhere.
 *
 * Every expiry has a number, given in its transaction, so that none is missed and few are told twice. They are notified after
 * the commit: within it, the notification would hold a lock of the whole server over the sync, for which appends wait.
 */
export class Expiries {
  readonly #hearing: Hearing;
  readonly #channel: string;
  readonly #watchers = new Watchers<Expiry>();
  /** All up to this number were told; null until the first look. */
  #known: number | null = null;
  /** Told ones above it. */
  readonly #told = new Set<number>();
  /** As of the look before. */
  #seen = 0;

  constructor(hearing: Hearing, channel: string) {
    this.#hearing = hearing;
    this.#channel = channel;
    hearing.on(channel, (payload) => {
      const [number, from, upTo] = payload.split(' ').map(Number);
      this.#heard(number!, { from: from!, upTo: upTo! });
    });
  }

  watch(listener: (expiry: Expiry) => void): () => void {
    return this.#watchers.add(listener);
  }

  /** The number of what expires in the client's transaction. */
  async numbered(client: ClientBase): Promise<number> {
    const { rows } = await client.query<{ expiries: string }>(NUMBERED);
    return Number(rows[0]!.expiries);
  }

  /** It was committed here. */
  async made(number: number, expiry: Expiry): Promise<void> {
    this.#heard(number, expiry);
    await this.#hearing.notify(this.#channel, [`${number} ${expiry.from} ${expiry.upTo}`]);
  }

  /** A look has found this number, and the end of the log. */
  looked(number: number, lastOffset: number): void {
    if (this.#known === null) {
      // What expired before it, and what was notified since the log went back, may be anywhere.
      this.#known = number;
      this.#seen = number;
      this.#watchers.tell({ from: 1, upTo: lastOffset });
    }
    // What the look before had found already, and nobody has notified since.
    if (this.#seen > this.#known) {
      this.#known = this.#seen;
      this.#watchers.tell({ from: 1, upTo: lastOffset });
    }
    this.#seen = number;
    this.#catchUp();
  }

  /** The log has gone back, and with it what had expired, and the numbers. */
  forget(): void {
    this.#known = null;
    this.#seen = 0;
    this.#told.clear();
  }

  #heard(number: number, expiry: Expiry): void {
    if (number <= (this.#known ?? 0) || this.#told.has(number)) return;
    this.#told.add(number);
    this.#catchUp();
    this.#watchers.tell(expiry);
  }

  #catchUp(): void {
    if (this.#known === null) return;
    for (const number of this.#told) if (number <= this.#known) this.#told.delete(number);
    while (this.#told.delete(this.#known + 1)) this.#known += 1;
  }
}
