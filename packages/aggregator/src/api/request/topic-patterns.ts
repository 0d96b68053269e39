import { hasWildcard, topicPatternFault } from '@chronicleweaver/protocol';
import type { FastifyRequest } from 'fastify';
import type { TopicFilter } from '../../store/event-store.ts';
import { requireTopic, visiblePatterns } from './access.ts';
import { ProblemError } from './problems.ts';

/**
 * The topics that match one of these patterns, or all, as far as the request's key may see them. Throws a ProblemError for
 * what is no pattern. Sorted, so that followers of the same topics share a channel whatever their order.
 */
export function topicFilterIn(request: FastifyRequest, topics: readonly string[] | undefined): TopicFilter {
  const visible = visiblePatterns(request) ?? [];
  if (topics === undefined) return { topicPatterns: visible };
  const errors = topics.flatMap((topic) => {
    const fault = topicPatternFault(topic);
    return fault === undefined
      ? []
      : [{ index: null, field: 'topic', message: `${JSON.stringify(topic)}: ${fault}` }];
  });
  if (errors.length > 0) {
    throw new ProblemError(
      'invalid_parameter',
      errors.map(({ message }) => `topic ${message}`).join('; '),
      errors,
    );
  }
  // A pattern is narrowed to the topics that the key may see. A single topic that it may not see would never deliver
  // anything, so it is refused.
  for (const topic of topics) if (!hasWildcard(topic)) requireTopic(request, topic);
  return { topicPatterns: [[...new Set(topics)].toSorted(), ...visible] };
}
