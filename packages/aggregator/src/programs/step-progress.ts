import { type Progress, createProgress } from '@chronicleweaver/terminal';

/** Shows how far work of several steps is: one bar at a time, a new one for each step once it has made some progress. */
export class StepProgress<Step extends string> {
  readonly #units: Readonly<Record<Step, string>>;
  #step: Step | null = null;
  #shown: Progress | null = null;

  /** @param units of each step what is counted, such as "events" */
  constructor(units: Readonly<Record<Step, string>>) {
    this.#units = units;
  }

  advance(step: Step, done: number, total: number): void {
    if (step !== this.#step) {
      this.stop();
      this.#step = step;
      this.#shown = createProgress({ what: step, total, unit: this.#units[step] });
    }
    this.#shown?.advance(done);
  }

  /** Leaves the terminal free for other output; the next advance begins a new bar. */
  stop(): void {
    this.#shown?.stop();
    this.#shown = null;
    this.#step = null;
  }
}
