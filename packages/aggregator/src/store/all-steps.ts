/** Does work at once that could be done in steps. */
export function allSteps<T>(steps: Generator<undefined, T, undefined>): T {
  for (;;) {
    const { value, done } = steps.next();
    if (done === true) return value;
  }
}
