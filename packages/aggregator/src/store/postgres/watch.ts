import type { Hearing } from './hearing.ts';
import type { ShownEnd } from './log-end.ts';

/**
 * How often the end of the log is looked at, milliseconds: where notifications come, where they fail, and where the database
 * does not answer.
 */
const LOOK_MS = { hearing: 1000, deaf: 25, failing: 200 } as const;

/** A notification of one's own commit comes at about the same time as its answer, which brings the events with it. */
const OWN_MS = 5;

/**
 * Learns how far the log reaches. In: notifications of commits, and looks at the head row. Out: each new end, once. While
 * notifications are heard a look now and then is enough; else it looks all the time, and tries to hear again.
 *
 * Invariant: an end that is told was committed, and so was everything below it: the head row gives commits one order.
 */
export class Watch {
  readonly #hearing: HeardFrom;
  readonly #end: ShownEnd;
  readonly #epochId: () => number;
  readonly #told: (lastOffset: number) => void;
  #timer: NodeJS.Timeout | undefined;
  #isFailing = false;
  #isClosed = false;
  #isLooking: Promise<void> = Promise.resolve();
  /** It tries to hear again, which may take long; looks go on meanwhile. */
  #isListening = false;
  /** Appends made here that are not answered. */
  #own = 0;

  constructor(parts: {
    hearing: HeardFrom;
    channel: string;
    end: ShownEnd;
    epochId: () => number;
    told: (lastOffset: number) => void;
  }) {
    this.#hearing = parts.hearing;
    this.#end = parts.end;
    this.#epochId = parts.epochId;
    this.#told = parts.told;
    this.#hearing.on(parts.channel, (payload) => this.#heard(Number(payload), this.#epochId()));
  }

  async open(): Promise<void> {
    await this.#listen();
    this.#again();
  }

  ownBegins(): void {
    this.#own += 1;
  }

  ownEnds(): void {
    this.#own -= 1;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#isLooking;
  }

  /** An end that was seen in an epoch. */
  #heard(lastOffset: number, epochId: number): void {
    if (this.#own === 0) void this.#shown(lastOffset, epochId);
    else setTimeout(() => void this.#shown(lastOffset, epochId), OWN_MS);
  }

  async #shown(lastOffset: number, epochId: number): Promise<void> {
    try {
      await this.#end.reach(lastOffset);
    } catch {
      // The next look tries again.
      return;
    }
    // Once another epoch has begun, the end of the one before means nothing.
    if (epochId === this.#epochId()) this.#told(lastOffset);
  }

  async #lookedNow(): Promise<void> {
    const epochId = this.#epochId();
    this.#heard(await this.#end.look(), epochId);
  }

  #again(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(
      () => {
        this.#isLooking = this.#lookOnce().finally(() => this.#again());
      },
      LOOK_MS[this.#isFailing ? 'failing' : this.#hearing.isHearing ? 'hearing' : 'deaf'],
    );
  }

  async #lookOnce(): Promise<void> {
    try {
      await this.#lookedNow();
      this.#isFailing = false;
      if (this.#isListening) return;
      this.#isListening = true;
      void this.#listen()
        // The next look meets it, too.
        .catch(() => {})
        .finally(() => (this.#isListening = false));
    } catch {
      this.#isFailing = true;
      // Whoever reads or appends reports that the database does not answer; here it is only asked again.
    }
  }

  async #listen(): Promise<void> {
    // What was committed before it listened.
    if ((await this.#hearing.listen()) && !this.#isClosed) await this.#lookedNow();
  }
}

type HeardFrom = Pick<Hearing, 'on' | 'listen' | 'isHearing'>;
