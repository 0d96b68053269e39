import { type PipedEvent, Refused, type Target } from './target.ts';

interface Waiting {
  readonly event: PipedEvent;
  /** Fires if its lease is lost: it is delivered again then, to us or to another worker. */
  readonly lost: AbortSignal;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Gathers events that come one by one into batches, and hands these to a target.
 *
 * In: events, each under a lease. Out: batches, one at a time, in the order in which the events came. An event *waits*
 * until the batch before is done, is *under way* with its own, and is then done or failed with all of it. Whoever added it
 * learns which, and acknowledges it or gives it back. An error that is no `Refused` is about the target, not about the
 * events: it is told to `fail`, which stops the pipe.
 */
export class Batches {
  readonly #target: Target;
  readonly #eventsMax: number;
  readonly #stop: AbortSignal;
  readonly #fail: (error: unknown) => void;
  readonly #waiting: Waiting[] = [];
  #isWorking = false;

  /** @param stop once it fires, nothing that failed is tried again */
  constructor(target: Target, eventsMax: number, stop: AbortSignal, fail: (error: unknown) => void) {
    this.#target = target;
    this.#eventsMax = eventsMax;
    this.#stop = stop;
    this.#fail = fail;
  }

  /** Resolves when the target has taken the event; otherwise it rejects, and the event must be given back. */
  add(event: PipedEvent, lost: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ event, lost, done: resolve, failed: reject });
      if (this.#isWorking) return;
      this.#isWorking = true;
      // Not at once: the other events of the same pull are added in this turn.
      queueMicrotask(() => void this.#work());
    });
  }

  /** Never rejects. */
  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#nextBatch();
      try {
        const held = batch.filter(({ lost }) => !lost.aborted);
        const ended = AbortSignal.any([this.#stop, ...held.map(({ lost }) => lost)]);
        const events = held.map(({ event }) => event);
        if (events.length > 0) await this.#target.take(events, ended);
        // A lease that was lost before is another worker's by now, perhaps.
        for (const one of batch) {
          if (held.includes(one)) one.done();
          else one.failed(one.lost.reason);
        }
      } catch (error) {
        if (!(error instanceof Refused)) this.#fail(error);
        for (const { failed } of batch) failed(error);
      }
    }
    this.#isWorking = false;
  }

  #nextBatch(): Waiting[] {
    const isAlone = ({ event }: Waiting): boolean => this.#target.takesRepeatsAlone && event.delivery > 1;
    if (isAlone(this.#waiting[0]!)) return this.#waiting.splice(0, 1);
    const end = this.#waiting.findIndex(isAlone);
    return this.#waiting.splice(0, Math.min(this.#eventsMax, end < 0 ? Infinity : end));
  }
}
