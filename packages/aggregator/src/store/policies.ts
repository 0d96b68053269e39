import { isDeepStrictEqual } from 'node:util';
import {
  LIMITS,
  compileTopicPatterns,
  topicPatternCovers,
  topicPatternsOverlap,
} from '@chronicleweaver/protocol';
import type { Policy, PutPolicy } from './retention-store.ts';
import { type TopicFilter, compileTopicFilter } from './topic-filter.ts';

/**
 * Which policy governs a topic: the one with the narrowest of the patterns that match it. Where patterns of two policies overlap,
 * one of them must lie within the other, as an exception within a rule; otherwise nobody could say which is meant, and the
 * later policy is refused. So the patterns that match a topic lie within each other like shells, but for those of one policy,
 * and the innermost has one owner.
 */
export function governedBy(policies: readonly Policy[], { name, topics }: Policy): TopicFilter {
  const others = policies.filter((one) => one.name !== name).flatMap((one) => one.topics);
  const governed = topics.map((pattern) => ({
    pattern,
    exceptions: others.filter((other) => topicPatternCovers(pattern, other)),
  }));
  return governed.every(({ exceptions }) => exceptions.length === 0)
    ? { topicPatterns: [topics] }
    : { governed };
}

/** The policies that govern some of this one's topics in its place, by name. */
export function exceptionsTo(policies: readonly Policy[], { name, topics }: Policy): readonly string[] {
  const exceptions = policies.filter(
    (one) =>
      one.name !== name && one.topics.some((other) => topics.some((own) => topicPatternCovers(own, other))),
  );
  return exceptions.map((one) => one.name);
}

/** What putting this policy among those does (retention-store.ts). */
export function outcomeOfPut(policies: readonly Policy[], policy: Policy): PutPolicy {
  for (const { name, topics } of policies) {
    if (name === policy.name) continue;
    for (const pattern of policy.topics) {
      const other = topics.find((one) => contradict(one, pattern));
      if (other !== undefined) return { kind: 'overlaps', name, pattern, other };
    }
  }
  const before = policies.find(({ name }) => name === policy.name);
  if (before === undefined) return { kind: policies.length >= LIMITS.policiesMax ? 'full' : 'created' };
  return { kind: isDeepStrictEqual(before, policy) ? 'same' : 'changed' };
}

/** Whether the patterns match a topic both, and neither lies within the other, or they are the same. */
function contradict(one: string, other: string): boolean {
  return (
    topicPatternsOverlap(one, other) && topicPatternCovers(one, other) === topicPatternCovers(other, one)
  );
}

/** Compiles a test of whether events on a topic are stored bare; null if none is, the common case. */
export function compileBareTopics(policies: readonly Policy[]): ((topic: string) => boolean) | null {
  const filters = policies.filter(({ keep }) => keep === 'ids').map((policy) => governedBy(policies, policy));
  if (filters.length === 0) return null;
  const plain = filters.flatMap(({ topicPatterns = [] }) => topicPatterns.flat());
  const tests = [
    compileTopicPatterns(plain),
    ...filters.filter(({ governed }) => governed !== undefined).map(compileTopicFilter),
  ];
  return tests.length === 1 ? tests[0]! : (topic) => tests.some((isBare) => isBare(topic));
}
