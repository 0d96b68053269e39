import type { Reading } from './sessions.ts';

const END = `
  SELECT last_offset, epoch_id, current_setting('synchronous_standby_names') <> '' AS awaits_standby, expiries
  FROM head, retention`;

/** What reads ask it. */
export type ShownEnd = Pick<LogEnd, 'look' | 'reach'>;

/**
 * How far the log may be shown. In: ends that were seen, and ends that a commit of this instance has confirmed. Out: the end
 * of what no promotion takes back.
 *
 * Where commits wait for a standby, one whose wait is cut short is seen by everybody, though no standby has it. A commit made
 * here that is confirmed stands behind it in the server's log, so then the standby has both. So an end that was seen is shown
 * only when a commit that was begun after it is confirmed; most are the instance's own. Without a standby, a commit that is
 * seen is on the server's disk, and there is nothing to confirm.
 */
export class LogEnd {
  readonly #sessions: Reading;
  readonly #commitNothing: () => Promise<number>;
  readonly #learn: (epochId: number) => Promise<boolean>;
  readonly #expired: (expiries: number, lastOffset: number) => void;
  #confirmed = 0;
  #confirming: Promise<void> | null = null;
  #looking: Promise<unknown> | null = null;

  /**
   * @param commitNothing makes a commit, and resolves with the end that it saw, once it is confirmed
   * @param learn called with the number of the newest epoch, before an end is given that may be of it; says whether a newer one
   *   is known here
   * @param expired called with how often events have expired (expiries.ts), and the end
   */
  constructor(
    sessions: Reading,
    commitNothing: () => Promise<number>,
    learn: (epochId: number) => Promise<boolean>,
    expired: (expiries: number, lastOffset: number) => void,
  ) {
    this.#sessions = sessions;
    this.#learn = learn;
    this.#expired = expired;
    this.#commitNothing = commitNothing;
  }

  /** The end of the log now. */
  async look(isAgain = false): Promise<number> {
    const { rows } = await this.#sessions.read((client) =>
      client.query<EndRow>({
        name: 'end',
        text: END,
      }),
    );
    const lastOffset = Number(rows[0]!.last_offset);
    // The log has gone back while the answer was on its way: neither this end nor its expiries are those of the log now.
    if (await this.#learn(rows[0]!.epoch_id)) return isAgain ? lastOffset : this.look(true);
    this.#expired(Number(rows[0]!.expiries), lastOffset);
    if (!rows[0]!.awaits_standby) this.confirm(lastOffset);
    // Twice, because a commit under way may have been begun before; more would not help where the log falls.
    for (let tries = 0; tries < 2 && lastOffset > this.#confirmed; tries++) {
      this.#confirming ??= this.#commitNothing()
        .then((end) => this.confirm(end))
        .finally(() => (this.#confirming = null));
      await this.#confirming;
    }
    return lastOffset;
  }

  /** Resolves when the log may be shown up to this offset, which was seen. */
  async reach(offset: number): Promise<void> {
    // Twice, as above: the look under way may have been begun before.
    for (let tries = 0; tries < 2 && offset > this.#confirmed; tries++) {
      this.#looking ??= this.look().finally(() => (this.#looking = null));
      await this.#looking;
    }
  }

  /** No promotion takes back what lies up to here. */
  confirm(lastOffset: number): void {
    this.#confirmed = Math.max(this.#confirmed, lastOffset);
  }

  /** The log was taken back to this offset. */
  fall(lastOffset: number): void {
    this.#confirmed = Math.min(this.#confirmed, lastOffset);
  }
}

interface EndRow {
  readonly last_offset: string;
  readonly epoch_id: number;
  readonly awaits_standby: boolean;
  readonly expiries: string;
}
