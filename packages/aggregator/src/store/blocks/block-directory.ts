import { bytesOf } from './block-format.ts';
import { NumberReader } from './numbers.ts';

/** What the directory of a block tells of its events, without the block's texts. Nothing is checked. */
export interface DirectoryEvents {
  /** Ids of topics, ascending. */
  readonly ids: readonly number[];
  /** Of each event its topic's place in `ids`. */
  readonly topics: Int32Array;
  /** Of each event the length of its text, or EXPIRED or BARE. */
  readonly lengths: Int32Array;
}

export function eventsIn(directory: Uint8Array): DirectoryEvents {
  const reader = new NumberReader(directory);
  reader.next();
  let events = 0;
  for (let commits = reader.next(); commits > 0; commits--) {
    events += reader.next();
    reader.next();
  }
  let id = 0;
  const ids = Array.from({ length: reader.next() }, () => (id += reader.next()));
  const found = { ids, topics: new Int32Array(events), lengths: new Int32Array(events) };
  if (ids.length > 1) reader.fill(found.topics);
  reader.fill(found.lengths);
  return found;
}

/** The bytes of text that a block has of each topic, by its id. */
export function textBytesByTopic(directory: Uint8Array): ReadonlyMap<number, number> {
  const { ids, topics, lengths } = eventsIn(directory);
  const bytes = new Map<number, number>();
  for (const [i, topic] of topics.entries()) {
    const topicId = ids[topic]!;
    bytes.set(topicId, (bytes.get(topicId) ?? 0) + bytesOf(lengths[i]!));
  }
  return bytes;
}
