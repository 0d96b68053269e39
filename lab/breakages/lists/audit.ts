import type { Area } from '../breakage.ts';

const API = ['api/audit/answers.test.ts'];
const STORES = ['store/audit-store.test.ts'];
const TRAIL = ['audit/audit-trail.test.ts'];

/** What the service adds to the audit trail, and who may read it. */
export const audit: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'audit/refusals.ts',
      breaks: 'A flood of refusals of ever other topics takes ever more memory.',
      find: 'this.#gathered.size === KINDS_MAX',
      replace: 'this.#gathered.size < 0',
      tests: TRAIL,
    },
    {
      file: 'audit/refusals.ts',
      breaks: 'What the store did not take is missing from the trail, and nothing tells of it.',
      find: 'if (untold > 0) notes.push(',
      replace: 'if (untold < 0) notes.push(',
      tests: TRAIL,
    },
    {
      file: 'audit/audit-trail.ts',
      breaks: 'What is too old stays for ever.',
      find: 'const beforeMs = (await store.retention.now()) - retentionMs;',
      replace: 'const beforeMs = retentionMs - retentionMs;',
      tests: TRAIL,
    },
    {
      file: 'api/audit/routes.ts',
      breaks: 'Without a trail an empty one is told.',
      find: 'if (audit.isOn) return;',
      replace: 'return;',
      tests: API,
    },
    {
      file: 'api/retention/erasure-routes.ts',
      breaks: 'An erasure is answered, and the trail knows nothing of it.',
      find: "await noted(audit.done('erased', keyNameIn(request), { offset, forgotten }));",
      replace: '',
      tests: API,
    },
    {
      file: 'store/sqlite/threads/thread.ts',
      breaks: 'In a file, a source is deleted, and the trail knows nothing of it.',
      find: "if (wasThere) trail.note([noteOf('source_deleted', by, { source: name })], now());",
      replace: '',
      tests: STORES,
    },
    {
      file: 'store/sqlite/retention.ts',
      breaks: 'In a file, a policy is set, and the trail knows nothing of it.',
      find: "if (done.kind === 'created' || done.kind === 'changed') changed();",
      replace: '',
      tests: STORES,
    },
    {
      file: 'store/postgres/retention.ts',
      breaks: 'What leaves a policy as it was has an entry.',
      find: "if (outcome.kind === 'created' || outcome.kind === 'changed')",
      replace: '',
      tests: STORES,
    },
  ],
};
