import { useEffect, useState } from 'preact/hooks';

/** A value that the page shows, and that changes. */
export class Watched<T> {
  #value: T;
  readonly #watchers = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const watcher of this.#watchers) watcher();
  }

  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }
}

/** The value, in a component that is drawn again when it changes. */
export function useWatched<T>(watched: Watched<T>): T {
  const [, draw] = useState({});
  const { value } = watched;
  useEffect(() => {
    const stop = watched.watch(() => draw({}));
    // It may have changed since it was drawn.
    if (!Object.is(watched.value, value)) draw({});
    return stop;
  }, [watched]);
  return value;
}
