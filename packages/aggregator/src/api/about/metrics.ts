import { CONTENT_TYPES, formatFor } from '../../metrics/exposition.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { ProblemError } from '../request/problems.ts';
import { metricsAnswer } from '../schemas.ts';
import type { Api } from '../api.ts';

/** `GET /metrics`: what the service counts and knows, for Prometheus. */
export async function metricsRoute(api: Api, { metrics }: { readonly metrics: Metrics }): Promise<void> {
  api.get(
    '/metrics',
    {
      config: { scope: ['read', 'admin', 'inspect'] },
      schema: {
        summary: 'Metrics for Prometheus',
        description: 'As OpenMetrics if `Accept` prefers it. A key with topics gets no metrics.',
        tags: ['system'],
        response: { 200: metricsAnswer },
      },
    },
    async ({ principal, headers }, reply) => {
      if (principal.topicPatterns !== undefined) {
        throw new ProblemError(
          'forbidden',
          `the key ${principal.name} has topics, and metrics tell of all topics together; use a key without`,
        );
      }
      const format = formatFor(headers.accept);
      return reply.type(CONTENT_TYPES[format]).send(await metrics.page(format));
    },
  );
}
