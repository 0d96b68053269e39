import { isDeepStrictEqual } from 'node:util';
import { EXPIRED, bytesOf } from '../blocks/block-format.ts';
import type { TopicSummary } from '../event-store.ts';
import type { LogPart, LogState, SourceLog, TargetLog } from './moved-log.ts';
import { STORY_NAMES, type StoryPart } from './moved-story.ts';
import { isKept, textsOf, timesOf, withKeys } from './parts.ts';

/** What differs, for whoever reads it. */
const NAMES: Readonly<Record<keyof LogState, string>> = {
  books: 'the books',
  epochs: 'the epochs',
  policies: 'the retention policies',
  sources: 'the sources',
  forgotten: 'the numbers of ids that are forgotten',
  repeatsSinceMs: 'the times since which repeats are counted',
  groups: 'the groups',
  hands: 'the leased or returned events of groups',
  lastGroupId: 'the ids of groups',
};

/** The target holds something else than the source. Nothing was given up: the source is still the log. */
export class DifferenceError extends Error {
  constructor({ source, target }: { source: SourceLog; target: TargetLog }, what: string) {
    super(`${target.place} differs from ${source.place}: ${what}`);
  }
}

/**
 * Compares what was moved by reading both stores again: every text byte for byte, every time, where every id leads, the
 * counts of topics, and at the end everything beside the events. In: how far to compare. Out: a DifferenceError at the
 * first difference.
 *
 * While the source is in use, a text can go there that the target still has; the counts at the end tell whether it
 * has followed (let-go.ts).
 */
export class Comparison {
  readonly #source: SourceLog;
  readonly #target: TargetLog;
  /** Of each topic all events, kept or not. */
  readonly #topics = new Map<string, { events: number; lastOffset: number }>();
  /** All events up to here are the same in both. */
  comparedTo = 0;

  constructor(source: SourceLog, target: TargetLog) {
    this.#source = source;
    this.#target = target;
  }

  /** Compares the events from where it stands up to this offset. */
  async events(upTo: number, compared: (offset: number) => void): Promise<void> {
    const copies = new Copies(this.#target.content.parts(this.comparedTo, upTo));
    for await (const part of this.#source.content.parts(this.comparedTo, upTo)) {
      const keyed = await withKeys(this.#source.content, part);
      const fault = (await copies.differenceFrom(part)) ?? (await this.#target.keyFault(keyed));
      if (fault !== null) throw this.#difference(`from offset ${part.firstOffset} on: ${fault}`);
      this.#count(part);
      this.comparedTo = part.firstOffset + part.count - 1;
      compared(this.comparedTo);
    }
  }

  /** Compares everything beside the events; all of them must be compared, and the source held. */
  async state(state: LogState): Promise<void> {
    const copy = await this.#target.content.state();
    for (const part of Object.keys(state) as (keyof LogState)[]) {
      if (!isDeepStrictEqual(copy[part], state[part])) throw this.#difference(`${NAMES[part]} differ`);
    }
    await this.#letters();
    const [topics, copies] = [await topicsOf(this.#source), await topicsOf(this.#target)];
    const wrong = topics.find((topic) => !this.#isAsCounted(topic));
    if (wrong !== undefined || topics.length !== this.#topics.size) {
      throw new DifferenceError(
        { source: this.#source, target: this.#target },
        `the old store counts ${topics.length} topics, its events have ${this.#topics.size}` +
          (wrong === undefined ? '' : `; its counts of ${JSON.stringify(wrong.topic)} are wrong`),
      );
    }
    const other = topics.find((topic, i) => !isDeepStrictEqual(topic, copies[i]));
    if (other !== undefined || copies.length !== topics.length) {
      throw this.#difference(
        other === undefined ? 'its topics differ' : `its counts of ${JSON.stringify(other.topic)} differ`,
      );
    }
  }

  /** Compares a part of the story row by row; the source must be held. */
  async story(part: StoryPart): Promise<void> {
    const copies = oneByOne<unknown>(this.#target.content.story(part));
    for await (const row of oneByOne<unknown>(this.#source.content.story(part))) {
      const { value: copy } = await copies.next();
      if (!isDeepStrictEqual(copy, row)) throw this.#difference(`${STORY_NAMES[part]} differ`);
    }
    if ((await copies.next()).done !== true) throw this.#difference(`${STORY_NAMES[part]}: it has more`);
  }

  async #letters(): Promise<void> {
    const there = this.#target.content.letters();
    for await (const letters of this.#source.content.letters()) {
      const { value: copies } = await there.next();
      if (!isDeepStrictEqual(copies, letters)) throw this.#difference('the dead letters differ');
    }
    if ((await there.next()).done !== true) throw this.#difference('there are more dead letters');
  }

  #count({ firstOffset, topics }: LogPart): void {
    for (const [i, topic] of topics.entries()) {
      const count = this.#topics.get(topic);
      if (count === undefined) this.#topics.set(topic, { events: 1, lastOffset: firstOffset + i });
      else {
        count.events += 1;
        count.lastOffset = firstOffset + i;
      }
    }
  }

  #isAsCounted({ topic, events, expired, bare, lastOffset }: TopicSummary): boolean {
    return isDeepStrictEqual(this.#topics.get(topic), { events: events + expired + bare, lastOffset });
  }

  #difference(what: string): DifferenceError {
    return new DifferenceError({ source: this.#source, target: this.#target }, what);
  }
}

async function* oneByOne<T>(chunks: AsyncIterable<readonly T[]>): AsyncGenerator<T, undefined> {
  for await (const rows of chunks) yield* rows;
}

async function topicsOf({ content }: SourceLog | TargetLog): Promise<TopicSummary[]> {
  return (await content.topics()).filter(({ events, expired, bare }) => events + expired + bare > 0);
}

/** The events of the target, from one offset on. Its parts end elsewhere than the source's, where texts have gone meanwhile. */
class Copies {
  readonly #parts: AsyncGenerator<LogPart>;
  #part: Compared | null = null;

  constructor(parts: AsyncGenerator<LogPart>) {
    this.#parts = parts;
  }

  /** What is different in the events that come next, those of the part; null if nothing is. */
  async differenceFrom(part: LogPart): Promise<string | null> {
    const own = comparedOf(part);
    for (let i = 0; i < part.count;) {
      const copy = await this.#reached(part.firstOffset + i);
      if (copy === null) return 'it ends';
      const shift = part.firstOffset - copy.part.firstOffset;
      for (; i < part.count && i + shift < copy.part.count; i++) {
        const fault = differenceOf(own, i, copy, i + shift);
        if (fault !== null) return fault;
      }
    }
    return null;
  }

  async #reached(offset: number): Promise<Compared | null> {
    const part = this.#part?.part;
    if (part === undefined || offset >= part.firstOffset + part.count) {
      const { value } = (await this.#parts.next()) as { value: LogPart | undefined };
      this.#part = value === undefined ? null : comparedOf(value);
    }
    return this.#part;
  }
}

interface Compared {
  readonly part: LogPart;
  readonly texts: Buffer;
  readonly starts: Int32Array;
  readonly times: Float64Array;
}

function comparedOf(part: LogPart): Compared {
  const { starts, texts } = textsOf(part);
  return {
    part,
    texts: Buffer.from(texts.buffer, texts.byteOffset, texts.byteLength),
    starts,
    times: timesOf(part.commits, part.count),
  };
}

function differenceOf(own: Compared, i: number, copy: Compared, at: number): string | null {
  if (own.times[i] !== copy.times[at]) return 'its times differ';
  if (own.part.topics[i] !== copy.part.topics[at]) return 'its events differ';
  const [length, copied] = [own.part.lengths[i]!, copy.part.lengths[at]!];
  if (length === EXPIRED && isKept(copy.part, at)) return null;
  if (length !== copied) return 'its events differ';
  const [start, from] = [own.starts[i]!, copy.starts[at]!];
  const bytes = bytesOf(length);
  const order = own.texts.compare(copy.texts, from, from + bytes, start, start + bytes);
  return order === 0 ? null : 'its events differ';
}
