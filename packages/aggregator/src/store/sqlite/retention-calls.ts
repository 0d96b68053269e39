import { setTimeout as delay } from 'node:timers/promises';
import { StillHeldError } from '../event-store.ts';
import type {
  Due,
  DueQuery,
  Erased,
  ExpireQuery,
  ExpiredSome,
  Expiry,
  ForgetQuery,
  ForgottenSome,
  Policy,
  PutPolicy,
  RetentionStore,
} from '../retention-store.ts';
import { Watchers } from '../watchers.ts';
import type { DueSoFar, DueSome } from './due.ts';
import type { ThreadClient } from './threads/client.ts';
import type { ReaderCalls, WriterCalls } from './threads/thread.ts';

/** How long an erasure waits for those who read from the write-ahead log, and how often it looks, milliseconds. */
const READERS_MS = 5000;
const AGAIN_MS = 20;

const HELD =
  'the event is erased, but a backup or another program that reads the database file keeps its bytes in the write-ahead log: ' +
  'erase it again once that has ended';

/** A look for due events that had to begin again so often is made in one piece. */
const LOOKS_MAX = 5;

/** Letting go, as calls to the threads: the writer's changes the file, the reader's finds what is due. */
export class SqliteRetention implements RetentionStore {
  readonly #writer: ThreadClient<WriterCalls>;
  readonly #reader: ThreadClient<ReaderCalls>;
  readonly #now: () => number;
  readonly #watchers = new Watchers<Expiry>();

  /** @param now the clock that sets the times of commits, milliseconds since 1970 */
  constructor(writer: ThreadClient<WriterCalls>, reader: ThreadClient<ReaderCalls>, now: () => number) {
    this.#writer = writer;
    this.#reader = reader;
    this.#now = now;
  }

  policies(): Promise<readonly Policy[]> {
    return this.#writer.call('policies', []);
  }

  put(policy: Policy, by: string | null = null): Promise<PutPolicy> {
    return this.#writer.call('putPolicy', [policy, by]);
  }

  remove(name: string, by: string | null = null): Promise<boolean> {
    return this.#writer.call('removePolicy', [name, by]);
  }

  /** No other process has the file. */
  async claim(): Promise<boolean> {
    return true;
  }

  async now(): Promise<number> {
    return this.#now();
  }

  async due(query: DueQuery): Promise<Due> {
    let soFar: DueSoFar | null = null;
    for (let begun = 0; ;) {
      const some: DueSome = await this.#reader.call('dueSome', [query, soFar, begun < LOOKS_MAX]);
      if ('due' in some) return some.due;
      if (some.soFar.rewrites !== soFar?.rewrites) begun += 1;
      soFar = some.soFar;
    }
  }

  async expire(query: ExpireQuery): Promise<ExpiredSome> {
    const { told, ...expired } = await this.#writer.call('expire', [query]);
    if (told !== null) this.#watchers.tell(told);
    return expired;
  }

  async erase(topic: string, eventId: string, isForgotten: boolean): Promise<Erased | null> {
    const step = await this.#writer.call('erase', [topic, eventId, false]);
    if (step === null) return null;
    const { told, ...erased } = step;
    if (told !== null) this.#watchers.tell(told);
    while (!(await this.#writer.call('scrubSome', []))) continue;
    await this.#emptyLog();
    // Last: as long as bytes are left, another call must find the event to finish the work. Where one was faster, the id may be
    // that of an event by now that was published again.
    if (isForgotten) await this.#writer.call('erase', [topic, eventId, true, erased.offset]);
    return erased;
  }

  forget(query: ForgetQuery): Promise<ForgottenSome> {
    return this.#writer.call('forget', [query]);
  }

  /** The write-ahead log still holds the text. Whoever reads from the log keeps it from being emptied. */
  async #emptyLog(): Promise<void> {
    const endMs = performance.now() + READERS_MS;
    while (!(await this.#writer.call('foldAll', []))) {
      if (performance.now() > endMs) throw new StillHeldError(HELD);
      await delay(AGAIN_MS);
    }
  }

  watch(listener: (expiry: Expiry) => void): () => void {
    return this.#watchers.add(listener);
  }
}
