import { LIMITS } from '@chronicleweaver/protocol';

/**
 * Keeps the definitions of sources, from which deliveries come. All stores behave the same, and one suite proves it for each of
 * them (test/store/source-store.test.ts). What a definition says is for sources/ to know.
 *
 * Where the process writes the audit trail, a change and its note are one transaction. `by` is the key that asked for it, for the
 * note; null without keys.
 */
export interface SourceStore {
  /** In order of their names' bytes. */
  list(): Promise<readonly KeptSource[]>;

  /**
   * Those of these sources that there are, in no order, as of a moment after the call: whatever any process was answered before has
   * happened.
   */
  find(names: readonly string[]): Promise<readonly KeptSource[]>;

  /** Creates the source, or replaces the one with its name, durably. Changes nothing if there may be no more. */
  put(source: KeptSource, by: string | null): Promise<PutSource>;

  /** Removes the source, durably; false if there is none. */
  remove(name: string, by: string | null): Promise<boolean>;
}

export interface KeptSource {
  /** Of the characters that names of sources have (sources/source.ts). */
  readonly name: string;
  /** JSON. It holds secrets, so nobody logs it. */
  readonly definition: string;
}

export type PutSource = 'created' | 'same' | 'changed' | 'full';

/**
 * What putting a definition in the place of the one before does.
 *
 * @param count how many sources there are
 */
export function outcomeOfPut(before: string | undefined, definition: string, count: number): PutSource {
  if (before === undefined) return count >= LIMITS.sourcesMax ? 'full' : 'created';
  return before === definition ? 'same' : 'changed';
}
