import type { OutcomeOf, Step, GroupStore } from '../store/group-store.ts';

/** Steps per transaction: bounds how long later steps wait. */
const STEPS_MAX = 256;

interface WaitingStep {
  readonly step: Step;
  readonly resolve: (outcome: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Lets steps share transactions. In: steps, from pulls, acknowledgements and the rest. Out: each one's outcome, after
 * its commit.
 *
 * While one transaction is under way the next steps gather, so the more workers there are, the more of them share a
 * sync. Steps are done in the order of their arrival.
 */
export class SharedSteps {
  readonly #store: GroupStore;
  #waiting: WaitingStep[] = [];
  #running: Promise<void> | null = null;

  constructor(store: GroupStore) {
    this.#store = store;
  }

  /** Rejects with the StoreError of the step's transaction; then the step has not happened. */
  do<const S extends Step>(...step: S): Promise<OutcomeOf<S>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ step, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when no step is waiting. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      // Lets requests that have already arrived add their steps first.
      await new Promise(setImmediate);
      const group = this.#waiting.splice(0, STEPS_MAX);
      try {
        const outcomes = await this.#store.apply(group.map(({ step }) => step));
        for (const [i, { resolve }] of group.entries()) resolve(outcomes[i] as never);
      } catch (error) {
        for (const { reject } of group) reject(error as Error);
      }
    }
    this.#running = null;
  }
}
