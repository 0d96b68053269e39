import { runTogether } from '../../../../lab/everyday/together.ts';
import { publishThroughFastify } from '../support/publish-way.ts';

// Runs the tests of publishing, which take the short way in their own files, through Fastify as well.
publishThroughFastify();
await runTogether(
  [
    'publish',
    'retries',
    'about/metrics',
    'about/unavailable',
    'request/access',
    'request/admission',
    'request/body-limits',
    'request/connections',
    'request/hostile',
    'request/key-topics',
  ].map((name) => `packages/aggregator/test/api/${name}.test.ts`),
);
