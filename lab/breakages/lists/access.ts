import type { Area } from '../breakage.ts';

const ACCESS = ['api/request/access.test.ts', 'api/request/key-topics.test.ts'];
const KEYS = ['programs/keys-command.test.ts'];

/** Who may do what. */
export const access: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'access/key-ring.ts',
      breaks: 'Who reads with a key that was revoked reads on.',
      find: 'if (!this.#keys.includes(key)) key.revoke();',
      replace: 'if (!this.#keys.includes(key)) key.take();',
      tests: ACCESS,
    },
    {
      file: 'access/key-ring.ts',
      breaks: 'Reading the file anew gives every key its burst again, and cuts what it reads.',
      find: 'before.find((key) => isDeepStrictEqual(key.record, record))',
      replace: 'before.find((key) => key.record === record)',
      tests: ACCESS,
    },
    {
      file: 'access/key-ring.ts',
      breaks: 'A publish costs one event of the rate, however many it has.',
      find: 'this.#bucket.content -= events;',
      replace: 'this.#bucket.content -= Math.min(events, 0);',
      tests: ACCESS,
    },
    {
      file: 'access/key-ring.ts',
      breaks: 'A key has to earn its burst before it may use it.',
      find: 'this.#bucket.content = bucketSize;',
      replace: '',
      tests: ACCESS,
    },
    {
      file: 'access/key-ring.ts',
      breaks: 'A key for all topics is taken for one that may not use them all.',
      find: "record.topics?.includes('>') ? undefined : record.topics",
      replace: 'record.topics',
      tests: ACCESS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'Of two changes at once one is lost.',
      find: "open(next, 'wx', 0o600)",
      replace: "open(next, 'w', 0o600)",
      tests: KEYS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'Everyone on the machine can read the file of keys.',
      find: "open(next, 'wx', 0o600)",
      replace: "open(next, 'wx', 0o644)",
      tests: KEYS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'A change that fails leaves its file behind, and no other can be made.',
      find: 'await rm(next, { force: true });',
      replace: '',
      tests: KEYS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'Two keys have the same secret, and which of them a request has is chance.',
      find: 'if (digests.has(digest))',
      replace: 'if (digests.has(name))',
      tests: KEYS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'A key for some topics sees the counts of all.',
      find: "if (topics !== undefined && scopes.includes('admin')) {",
      replace: "if (topics?.length === 0 && scopes.includes('admin')) {",
      tests: KEYS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'Any key may do anything.',
      find: 'wanted.length > 0 && !wanted.some((one) => key.scopes.has(one))',
      replace: 'wanted.length < 0 && !wanted.some((one) => key.scopes.has(one))',
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'A stranger is told which addresses there are.',
      find: "request.is404 ? 'any' :",
      replace: "request.is404 ? 'open' :",
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'No key has a rate.',
      find: 'if (waitMs > 0) {',
      replace: 'if (waitMs < 0) {',
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks:
        'A publish is cut off when its key is revoked, and its publisher does not learn what became of it.',
      find: "if (scope !== 'publish') endWithKey(key, response);",
      replace: 'endWithKey(key, response);',
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'A key finds events of topics that are not its own by their names.',
      find: 'if (!principal.mayUse(topic)) {',
      replace: 'if (!principal.mayUse(topic) && topic === principal.name) {',
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'A batch may hold events of any topic behind a first one that is allowed.',
      find: 'isAllowed.set(topicBytes, allowed);',
      replace: 'isAllowed.set(topicBytes, allowed);\n      isAllowed.get = () => allowed;',
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'A key makes a group over topics of which only one is its own.',
      find: 'return [...patterns.keys()].filter((place) => isForeign(patterns[place]!));',
      replace: 'return [...patterns.keys()].every((place) => isForeign(patterns[place]!)) ? [0] : [];',
      tests: ['api/groups/groups.test.ts'],
    },
  ],
};
