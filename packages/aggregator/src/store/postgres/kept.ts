import type { ClientBase } from 'pg';
import { BlockReader } from './block-reader.ts';
import type { Reading } from './sessions.ts';
import { type TopicCounts, topicCounts, totalOf } from './topic-counts.ts';

/** Above all offsets. */
const END = Number.MAX_SAFE_INTEGER;

interface KeptEvent {
  readonly offset: number;
  readonly receivedMs: number;
  /** Bytes of its text. */
  readonly length: number;
}

/** How many events of these topics are kept, and the events themselves, the oldest first; as of the client's snapshot. */
export async function keptIn(
  client: ClientBase,
  topicIds: ReadonlySet<number> | undefined,
): Promise<{ counted: { events: number; bytes: number }; walk: AsyncGenerator<KeptEvent> }> {
  const counted = totalOf(await topicCounts(client, topicIds));
  return { counted, walk: keptEvents(new BlockReader({ read: (work) => work(client) }), topicIds) };
}

async function* keptEvents(
  blocks: BlockReader,
  topicIds: ReadonlySet<number> | undefined,
): AsyncGenerator<KeptEvent> {
  for await (const { block } of blocks.of({ order: 'asc', after: 0, upTo: END }, topicIds, 'kept')) {
    for (let i = 0; i < block.count; i++) {
      if (!block.isKept(i) || topicIds?.has(block.topicId(i)) === false) continue;
      yield {
        offset: block.firstOffset + i,
        receivedMs: block.receivedMs(i),
        length: block.textLength(i),
      };
    }
    blocks.trim();
  }
}

/**
 * Knows the first event of each topic that is kept. In: counts of topics. Out: those offsets, found once and remembered until
 * more events of the topic expire: nothing else moves them.
 */
export class FirstKept {
  readonly #sessions: Reading;
  readonly #known = new Map<number, { readonly expired: number; readonly offset: number }>();
  #log: { readonly expired: number; readonly offset: number } | null = null;
  /** How often all was forgotten: what was looked for before that is not remembered. */
  #forgotten = 0;

  constructor(sessions: Reading) {
    this.#sessions = sessions;
  }

  /** The offsets by the topics' ids. Topics are left out whose events have all expired, if only since they were counted. */
  async of(counts: readonly TopicCounts[]): Promise<ReadonlyMap<number, number>> {
    const firsts = new Map<number, number>();
    const unknown = new Map<number, number>();
    for (const { topicId, events, expired } of counts) {
      if (events === 0) continue;
      const known = this.#known.get(topicId);
      if (known?.expired === expired) firsts.set(topicId, known.offset);
      else unknown.set(topicId, expired);
    }
    const forgotten = this.#forgotten;
    for (const [topicId, offset] of await this.#found([...unknown.keys()])) {
      firsts.set(topicId, offset);
      if (forgotten === this.#forgotten) this.#known.set(topicId, { expired: unknown.get(topicId)!, offset });
    }
    return firsts;
  }

  /** That of the whole log, as long as so many events have expired; 0 if none is kept. */
  async ofLog(expired: number): Promise<number> {
    if (this.#log?.expired === expired) return this.#log.offset;
    const forgotten = this.#forgotten;
    for await (const { offset } of keptEvents(new BlockReader(this.#sessions), undefined)) {
      if (forgotten === this.#forgotten) this.#log = { expired, offset };
      return offset;
    }
    return 0;
  }

  /** The log may have gone back. */
  forget(): void {
    this.#forgotten += 1;
    this.#log = null;
    this.#known.clear();
  }

  async #found(topicIds: readonly number[]): Promise<Map<number, number>> {
    const found = new Map<number, number>();
    const sought = new Set(topicIds);
    for (let after: number | null = 0; after !== null && sought.size > 0;) {
      after = await this.#foundNext(after, sought, found);
    }
    return found;
  }

  /** Goes on to the next block that has some of them; from there only the others are sought. Null at the end of the log. */
  async #foundNext(after: number, sought: Set<number>, found: Map<number, number>): Promise<number | null> {
    const blocks = new BlockReader(this.#sessions);
    const before = sought.size;
    for await (const { block, first } of blocks.of(
      { order: 'asc', after, upTo: END },
      new Set(sought),
      'kept',
    )) {
      for (let i = first - block.firstOffset; i < block.count; i++) {
        const id = block.topicId(i);
        if (!block.isKept(i) || !sought.delete(id)) continue;
        found.set(id, block.firstOffset + i);
      }
      if (sought.size < before) return block.lastOffset;
      blocks.trim();
    }
    return null;
  }
}
