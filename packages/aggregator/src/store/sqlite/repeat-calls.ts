import type {
  AgeCounts,
  ConflictPage,
  ConflictQuery,
  EventHistory,
  RepeatFilter,
  RepeatStore,
  Repeaters,
  RepeatersQuery,
} from '../repeat-store.ts';
import type { ThreadClient } from './threads/client.ts';
import type { ReaderCalls, WriterCalls } from './threads/thread.ts';

/** What is remembered of repeats, as calls to the threads. */
export class SqliteRepeats implements RepeatStore {
  readonly #writer: ThreadClient<WriterCalls>;
  readonly #reader: ThreadClient<ReaderCalls>;

  constructor(writer: ThreadClient<WriterCalls>, reader: ThreadClient<ReaderCalls>) {
    this.#writer = writer;
    this.#reader = reader;
  }

  sinceMs(): Promise<number> {
    return this.#reader.call('repeatsSinceMs', []);
  }

  ages({ topic, topicPatterns, source }: RepeatFilter): Promise<AgeCounts> {
    return this.#reader.call('repeatAges', [{ topic, topicPatterns, source }]);
  }

  async history(topic: string, eventId: string): Promise<EventHistory | undefined> {
    const offset = await this.#writer.call('locate', [topic, eventId]);
    return offset === null ? undefined : this.#reader.call('repeatHistory', [offset]);
  }

  repeaters({ topic, topicPatterns, by, sinceMs, limit }: RepeatersQuery): Promise<Repeaters> {
    return this.#reader.call('repeaters', [{ topic, topicPatterns, by, sinceMs, limit }]);
  }

  conflicts({ topic, topicPatterns, source, before, limit }: ConflictQuery): Promise<ConflictPage> {
    return this.#reader.call('conflicts', [{ topic, topicPatterns, source, before, limit }]);
  }
}
