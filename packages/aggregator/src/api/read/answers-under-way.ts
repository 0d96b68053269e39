/**
 * Keeps retention from disturbing whole answers. Such an answer has announced how many events it has before it sends them; if
 * one of them expired meanwhile, the answer would have to be cut. In: answers that begin, move and end, and steps of retention.
 * Out: to each step, the offset from which on it must leave events alone.
 *
 * An answer is *holding* from before its snapshot until its last event is read, but for `heldMsMax` at most, and not while
 * its reader has taken nothing for `stalledMsMax`: slow readers delay retention, and none stops it. Invariant: no step that an
 * answer did not hold back is under way when it takes its snapshot. What other processes expire, and what is erased, waits for
 * nobody; then the answer is cut.
 */
export class AnswersUnderWay {
  readonly #heldMsMax: number;
  readonly #stalledMsMax: number;
  readonly #now: () => number;
  readonly #answers = new Set<AnswerUnderWay>();
  readonly #steps = new Set<Promise<unknown>>();

  /** @param now milliseconds of a monotonic clock */
  constructor({
    heldMsMax = HELD_MS_MAX,
    stalledMsMax = STALLED_MS_MAX,
    now = () => performance.now(),
  } = {}) {
    this.#heldMsMax = heldMsMax;
    this.#stalledMsMax = stalledMsMax;
    this.#now = now;
  }

  /** Nothing at or above this offset may expire now; Infinity if nothing is needed. */
  get lowest(): number {
    const nowMs = this.#now();
    const holding = [...this.#answers].filter(
      ({ startMs, movedMs }) => nowMs - startMs < this.#heldMsMax && nowMs - movedMs < this.#stalledMsMax,
    );
    return holding.reduce((lowest, { needed }) => Math.min(lowest, needed), Number.POSITIVE_INFINITY);
  }

  /** Takes a step of retention, short enough for answers to wait for it, which expires only events below the offset it gets. */
  async letGo<T>(step: (below: number) => Promise<T>): Promise<T> {
    const taken = step(this.lowest);
    this.#steps.add(taken);
    try {
      return await taken;
    } finally {
      this.#steps.delete(taken);
    }
  }

  /**
   * Holds events until the answer ends, with regard to later steps. So await `earlierSteps` before its snapshot.
   *
   * @param needed the lowest offset that the answer may need
   */
  begin(needed: number): AnswerUnderWay {
    const answer = new AnswerUnderWay(needed, this.#now, () => this.#answers.delete(answer));
    this.#answers.add(answer);
    return answer;
  }

  /** Resolves once every step that is under way now has ended. */
  async earlierSteps(): Promise<void> {
    await Promise.allSettled(this.#steps);
  }
}

/** Longer than a large answer takes over a slow line; bounds how far readers can set retention back, milliseconds. */
const HELD_MS_MAX = 15 * 60_000;
const STALLED_MS_MAX = 60_000;

/** What one answer still needs. */
class AnswerUnderWay {
  readonly #now: () => number;
  readonly #ended: () => void;
  readonly startMs: number;
  #movedMs: number;
  #needed: number;

  constructor(needed: number, now: () => number, ended: () => void) {
    this.#needed = needed;
    this.#now = now;
    this.#ended = ended;
    this.startMs = now();
    this.#movedMs = this.startMs;
  }

  get needed(): number {
    return this.#needed;
  }

  /** When its reader last took something. */
  get movedMs(): number {
    return this.#movedMs;
  }

  /** Its reader took something, and it needs nothing below this offset any more. */
  moved(needed: number): void {
    this.#needed = needed;
    this.#movedMs = this.#now();
  }

  end(): void {
    this.#ended();
  }
}

export type { AnswerUnderWay };
