import { compileTopicPatterns, topicPatternFault } from '@chronicleweaver/protocol';
import type { Json } from '../json/exact-json.ts';
import { textIn } from '../json/fields.ts';

/** How many kept events of some topics lie beyond an offset, as far as `/topics` tells. */
export interface Beyond {
  readonly least: bigint;
  readonly most: bigint;
  /** The topics of which only reading them would tell how many. */
  readonly unsure: readonly string[];
}

/**
 * Counts by topic: all of its events if the first one lies beyond, none if the last one does not, and else anything between, which
 * only reading them would tell. Patterns that are none match nothing.
 */
export function countBeyond(topics: readonly Json[], patterns: readonly string[], offset: bigint): Beyond {
  const isWanted = compileTopicPatterns(
    patterns.filter((pattern) => topicPatternFault(pattern) === undefined),
  );
  let [least, most] = [0n, 0n];
  const unsure: string[] = [];
  for (const topic of topics) {
    if (!isWanted(textIn(topic, 'topic'))) continue;
    const [events, first, last] = ['events', 'first_offset', 'last_offset'].map((name) =>
      BigInt(textIn(topic, name) || '0'),
    ) as [bigint, bigint, bigint];
    if (events === 0n || last <= offset) continue;
    if (first > offset) {
      least += events;
      most += events;
    } else {
      // The first one is not beyond, and no offset has two events.
      const room = last - offset;
      most += events - 1n < room ? events - 1n : room;
      unsure.push(textIn(topic, 'topic'));
    }
  }
  return { least, most, unsure };
}
