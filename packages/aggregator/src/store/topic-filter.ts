import { compileTopicPatterns } from '@chronicleweaver/protocol';
import type { TopicFilter } from './event-store.ts';

/** Compiles the filter to a predicate on a topic's name. */
export function compileTopicFilter({ topic, topicPatterns = [] }: TopicFilter): (name: string) => boolean {
  const lists = topicPatterns.map(compileTopicPatterns);
  return (name) => (topic === undefined || name === topic) && lists.every((matches) => matches(name));
}
