import { runTogether } from '../../../../lab/everyday/together.ts';
import { publishThroughFastify } from '../support/publish-way.ts';

// The tests of publishing, which take the short way in files of their own, once more over Fastify's.
publishThroughFastify();
await runTogether(
  [
    'publish',
    'retries',
    'about/unavailable',
    'request/access',
    'request/admission',
    'request/body-limits',
    'request/connections',
    'request/hostile',
    'request/key-topics',
  ].map((name) => `packages/aggregator/test/api/${name}.test.ts`),
);
