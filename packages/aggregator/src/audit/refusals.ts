import type { Logger } from 'pino';
import type { AuditDetails, AuditNote } from '../store/audit-store.ts';

/** Of so many kinds refusals are gathered at once; further ones are counted as lost. */
const KINDS_MAX = 1000;

/** Publishes that were refused for the same reason. */
export interface Refused {
  readonly code: string;
  /** The name of the key; null if there is none. */
  readonly key: string | null;
  readonly topic?: string | undefined;
  readonly count: number;
}

/**
 * Gathers refusals of publishes. In: each refusal. Out: after a moment one note for those that are alike, with their number.
 *
 * Bounded: beyond KINDS_MAX kinds, and where the store does not take the notes, refusals are only counted, and the next
 * notes that are written say how many are lost.
 */
export class Refusals {
  readonly #write: (notes: readonly AuditNote[], mayBeLost: boolean) => Promise<void>;
  readonly #gatherMs: number;
  readonly #log: Logger;
  #gathered = new Map<string, Refused>();
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();
  /** Of these the trail has not been told yet. */
  #untold = 0;
  #lost = 0;

  constructor(
    write: (notes: readonly AuditNote[], mayBeLost: boolean) => Promise<void>,
    gatherMs: number,
    log: Logger,
  ) {
    this.#write = write;
    this.#gatherMs = gatherMs;
    this.#log = log;
  }

  /** How many are not in the trail, since the start. */
  get lost(): number {
    return this.#lost;
  }

  add(refused: Refused): void {
    const { code, key, topic, count } = refused;
    const kind = JSON.stringify([code, key, topic]);
    const known = this.#gathered.get(kind);
    if (known === undefined && this.#gathered.size === KINDS_MAX) this.#lose(count);
    else this.#gathered.set(kind, { ...refused, count: count + (known?.count ?? 0) });
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#writing = this.#writing.then(() => this.#flush(true));
    }, this.#gatherMs).unref();
  }

  /** Resolves once all are written, durably. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#writing;
    await this.#flush(false);
  }

  async #flush(mayBeLost: boolean): Promise<void> {
    const gathered = [...this.#gathered.values()];
    this.#gathered = new Map();
    const untold = this.#untold;
    if (gathered.length === 0 && untold === 0) return;
    const notes = gathered.map(({ code, key, topic, count }): AuditNote => {
      const details: AuditDetails = topic === undefined ? { code } : { code, topic };
      return { action: 'refused', key, count, details };
    });
    if (untold > 0) notes.push({ action: 'lost', key: null, count: untold, details: {} });
    try {
      await this.#write(notes, mayBeLost);
      this.#untold -= untold;
    } catch (error) {
      if (untold === 0) this.#log.error({ err: error }, 'refusals could not be written into the audit trail');
      this.#lose(gathered.reduce((sum, { count }) => sum + count, 0));
    }
  }

  #lose(count: number): void {
    this.#lost += count;
    this.#untold += count;
  }
}
