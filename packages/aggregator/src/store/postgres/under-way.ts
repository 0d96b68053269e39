import type { GroupKeys } from './group-keys.ts';

/**
 * The keys that appends of this instance are about to store. While one group commits the next one is judged, and no look can
 * see the keys of the first. In: the fresh events of each attempt. Out: for a key that another attempt is about to store, that
 * attempt, and the key's place among its fresh events.
 *
 * An attempt that was judged with such keys waits for the other before its own statement is sent. It only ever waits for one
 * that was judged before, so no two wait for each other. Where the other one fails, it is judged again. Nor for one that was judged by
 * policies and ids of another version (policies.ts): it may be committed since, with its answer on the way, and its ids forgotten.
 *
 * This spares repeats, as the turns do (turns.ts): what is stored once rests on the unique index.
 */
export class UnderWay {
  readonly #attempts = new Set<Attempt>();

  /** The key that begins at word `at`, if an attempt of the same version is about to store it. */
  find(words: Int32Array, at: number, version: number): KeyUnderWay | undefined {
    for (const attempt of this.#attempts) {
      if (attempt.version !== version) continue;
      const key = attempt.find(words, at);
      if (key !== undefined) return key;
    }
    return undefined;
  }

  /**
   * Begins an attempt to store some events of a group.
   *
   * @param freshPlaces of each event of the group its place among those, or -1
   * @param version of what the group was judged by
   */
  begin(keys: GroupKeys, freshPlaces: Int32Array, version: number): Attempt {
    return new Attempt(this.#attempts, keys, freshPlaces, version);
  }
}

/** One attempt to store the fresh events of a group. States: under way, then ended, by `committed` or by `failed`. */
export class Attempt {
  /** Resolves when the attempt has ended, with whether it was committed. */
  readonly ended: Promise<boolean>;
  /** Of its first event; 0 until it was committed. */
  firstOffset = 0;
  /** When it was committed; 0 until then. */
  receivedMs = 0;
  readonly #end: (isCommitted: boolean) => void;
  readonly #attempts: Set<Attempt>;
  readonly #keys: GroupKeys;
  readonly #freshPlaces: Int32Array;
  readonly version: number;

  constructor(attempts: Set<Attempt>, keys: GroupKeys, freshPlaces: Int32Array, version: number) {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.ended = promise;
    this.#end = resolve;
    this.#attempts = attempts;
    this.#keys = keys;
    this.#freshPlaces = freshPlaces;
    this.version = version;
    attempts.add(this);
  }

  /** The key that begins at word `at`, if this attempt is about to store it. */
  find(words: Int32Array, at: number): KeyUnderWay | undefined {
    const event = this.#keys.firstWith(words, at);
    if (event < 0 || this.#freshPlaces[event]! < 0) return undefined;
    return { attempt: this, freshPlace: this.#freshPlaces[event]!, digest: this.#keys.digests[event]! };
  }

  committed(firstOffset: number, receivedMs: number): void {
    this.firstOffset = firstOffset;
    this.receivedMs = receivedMs;
    this.#close(true);
  }

  /** Without effect where it was committed. */
  failed(): void {
    this.#close(false);
  }

  #close(isCommitted: boolean): void {
    this.#attempts.delete(this);
    this.#end(isCommitted);
  }
}

export interface KeyUnderWay {
  readonly attempt: Attempt;
  /** Its place among the events that the attempt stores. */
  readonly freshPlace: number;
  readonly digest: number;
}
