/** Requests up to this size are worked on at once: there are never enough records in one to matter. Bytes. */
const SMALL_BYTES = 64 * 1024;

/** How long a large request is worked on until others get a turn of the event loop, milliseconds. */
const SLICE_MS = 5;

/** Ends when the large requests so far are done. */
let largeOnes = Promise.resolve();

/**
 * Does the work on a request of that size, which yields after each record. Large requests are worked on one after the other, in slices:
 * one of 16 MiB takes most of a second, and several at once would take the thread for as long as they all do.
 */
export function inTurns<T>(work: Generator<undefined, T>, bytes: number): T | Promise<T> {
  return bytes > SMALL_BYTES ? inSlices(work) : atOnce(work);
}

function atOnce<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

async function inSlices<T>(work: Generator<undefined, T>): Promise<T> {
  const before = largeOnes;
  const { promise, resolve } = Promise.withResolvers<void>();
  largeOnes = promise;
  await before;
  try {
    for (let untilMs = performance.now() + SLICE_MS; ;) {
      const step = work.next();
      if (step.done === true) return step.value;
      if (performance.now() < untilMs) continue;
      await new Promise(setImmediate);
      untilMs = performance.now() + SLICE_MS;
    }
  } finally {
    resolve();
  }
}
