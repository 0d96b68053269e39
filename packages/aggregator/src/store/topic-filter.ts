import { compileTopicPatterns } from '@chronicleweaver/protocol';

/** Selects the topics that pass every condition. */
export interface TopicFilter {
  /** Exactly this one. */
  readonly topic?: string | undefined;
  /**
   * In each list at least one pattern must match the topic (protocol's topic-pattern.ts). So what a request asks for
   * and what its key may see stand side by side as two lists. An empty list matches nothing.
   */
  readonly topicPatterns?: readonly (readonly string[])[] | undefined;
  /** At least one of these must match: what a policy governs (policies.ts). */
  readonly governed?: readonly PatternWithExceptions[] | undefined;
}

/** Matches what `pattern` matches and none of `exceptions`. */
interface PatternWithExceptions {
  readonly pattern: string;
  readonly exceptions: readonly string[];
}

/** Compiles the filter to a predicate on a topic's name. */
export function compileTopicFilter({
  topic,
  topicPatterns = [],
  governed,
}: TopicFilter): (name: string) => boolean {
  const lists = topicPatterns.map(compileTopicPatterns);
  if (governed !== undefined) lists.push(compileGoverned(governed));
  return (name) => (topic === undefined || name === topic) && lists.every((matches) => matches(name));
}

function compileGoverned(governed: readonly PatternWithExceptions[]): (name: string) => boolean {
  const parts = governed.map(({ pattern, exceptions }) => ({
    matches: compileTopicPatterns([pattern]),
    isException: compileTopicPatterns(exceptions),
  }));
  return (name) => parts.some(({ matches, isException }) => matches(name) && !isException(name));
}

/** Whether the filter has no condition on topics, and so selects every one. */
export function selectsAll({ topic, topicPatterns = [], governed }: TopicFilter): boolean {
  return topic === undefined && topicPatterns.length === 0 && governed === undefined;
}

/** The conditions of a filter alone, without what else a query says. */
export function topicFilterOf({ topic, topicPatterns, governed }: TopicFilter): TopicFilter {
  return { topic, topicPatterns, governed };
}

/** The same for filters with the same conditions. */
export function topicFilterKey({ topic, topicPatterns, governed }: TopicFilter): string {
  return JSON.stringify([topic, topicPatterns, governed]);
}
