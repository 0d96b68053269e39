import type { KeptSource, PutSource, SourceStore } from '../store/source-store.ts';
import { SOURCE_NAME, type Source } from './source.ts';

/**
 * The sources, as the API asks for them. They are remembered nowhere but in the store: a definition that some process has been
 * answered is in force for whatever comes after it, to any process.
 *
 * Anybody may ask for any name, so one look at the store is under way at a time, and whoever asks meanwhile shares the next one.
 */
export class Sources {
  readonly #store: SourceStore;
  /** The look that comes after the one under way. */
  #next: { readonly names: Set<string>; readonly found: Promise<ReadonlyMap<string, Source>> } | null = null;
  /** Ends with the look that was begun last. */
  #looking: Promise<unknown> = Promise.resolve();

  constructor(store: SourceStore) {
    this.#store = store;
  }

  /** In order of their names. */
  async list(): Promise<readonly Source[]> {
    return (await this.#store.list()).map(sourceOf);
  }

  /** As of a moment after the call. */
  async find(name: string): Promise<Source | undefined> {
    if (!SOURCE_NAME.test(name)) return undefined;
    this.#next ??= this.#look();
    this.#next.names.add(name);
    return (await this.#next.found).get(name);
  }

  /** @param by the key that asks for it; null without keys */
  put(source: Source, by: string | null): Promise<PutSource> {
    return this.#store.put({ name: source.name, definition: JSON.stringify(source) }, by);
  }

  /**
   * Returns false if there is none.
   *
   * @param by as of `put`
   */
  async remove(name: string, by: string | null): Promise<boolean> {
    return SOURCE_NAME.test(name) && (await this.#store.remove(name, by));
  }

  #look() {
    const names = new Set<string>();
    const found = this.#looking.then(async () => {
      this.#next = null;
      const kept = await this.#store.find([...names]);
      return new Map(kept.map((one) => [one.name, sourceOf(one)]));
    });
    this.#looking = found.catch(() => undefined);
    return { names, found };
  }
}

function sourceOf({ definition }: KeptSource): Source {
  return JSON.parse(definition) as Source;
}
