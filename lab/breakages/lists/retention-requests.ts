import type { Area } from '../breakage.ts';

const POLICIES = ['policies.test.ts'];
const ERASURE = ['erasure.test.ts'];

/** What is asked about retention, and by whom. */
export const retentionRequests: Area = {
  sources: 'packages/aggregator/src/api/retention',
  tests: 'packages/aggregator/test/api/retention',
  breakages: [
    {
      file: 'requests.ts',
      breaks: 'A policy forgets ids of events whose texts are kept.',
      find: 'idsMs < maxAgeMs',
      replace: 'idsMs < 0',
      tests: POLICIES,
    },
    {
      file: 'routes.ts',
      breaks: 'A dry run sets the policy.',
      find: 'isDry\n        ? await retention.outcomeOf(policy)\n        : await retention.put(policy, keyNameIn(request))',
      replace: 'await retention.put(policy, keyNameIn(request))',
      tests: POLICIES,
    },
    {
      file: 'erasure-routes.ts',
      breaks: 'The log keeps ids that were to be forgotten.',
      find: '...(!forgotten && { event_id: eventId })',
      replace: 'event_id: eventId',
      tests: ERASURE,
    },
    {
      file: 'erasure-routes.ts',
      breaks: 'Any key that may read may erase.',
      find: "    '/events/:topic/:event_id',\n    {\n      config: { scope: 'admin' },",
      replace: "    '/events/:topic/:event_id',\n    {\n      config: { scope: 'read' },",
      tests: ERASURE,
    },
  ],
};
