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
      breaks: 'A reader keeps reading after its key was revoked.',
      find: 'if (!this.#keys.includes(key)) key.revoke();',
      replace: 'if (!this.#keys.includes(key)) key.take();',
      tests: ACCESS,
    },
    {
      file: 'access/key-ring.ts',
      breaks: "Reloading the file restores every key's burst and cuts the answers it is reading.",
      find: 'before.find((key) => isDeepStrictEqual(key.record, record))',
      replace: 'before.find((key) => key.record === record)',
      tests: ACCESS,
    },
    {
      file: 'access/key-ring.ts',
      breaks: 'A publish counts as one event of the rate, however many it holds.',
      find: 'this.#bucket.content -= events;',
      replace: 'this.#bucket.content -= Math.min(events, 0);',
      tests: ACCESS,
    },
    {
      file: 'access/key-ring.ts',
      breaks: 'A new key must earn its burst before it can use it.',
      find: 'this.#bucket.content = bucketSize;',
      replace: '',
      tests: ACCESS,
    },
    {
      file: 'access/key-ring.ts',
      breaks: 'A key for all topics is treated as one for some topics.',
      find: "record.topics?.includes('>') ? undefined : record.topics",
      replace: 'record.topics',
      tests: ACCESS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'One of two simultaneous changes is lost.',
      find: "open(next, 'wx', 0o600)",
      replace: "open(next, 'w', 0o600)",
      tests: KEYS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'Everyone on the machine can read the key file.',
      find: "open(next, 'wx', 0o600)",
      replace: "open(next, 'wx', 0o644)",
      tests: KEYS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'A failed change leaves its file behind and blocks all later changes.',
      find: 'await rm(next, { force: true });',
      replace: '',
      tests: KEYS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'Two keys may have the same secret, so it is undefined which one a request uses.',
      find: 'if (digests.has(digest))',
      replace: 'if (digests.has(name))',
      tests: KEYS,
    },
    {
      file: 'access/key-file.ts',
      breaks: 'A key for some topics sees the counts of all topics.',
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
      breaks: 'A request without a key learns which addresses exist.',
      find: "request.is404 ? 'any' :",
      replace: "request.is404 ? 'open' :",
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'No rate limit applies.',
      find: 'if (waitMs > 0) {',
      replace: 'if (waitMs < 0) {',
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'A publish is cut off when its key is revoked, and its publisher never learns the outcome.',
      find: "if (scope !== 'publish') endWithKey(key, response);",
      replace: 'endWithKey(key, response);',
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'A key can look up single events of topics outside its own.',
      find: 'if (!principal.mayUse(topic)) {',
      replace: 'if (!principal.mayUse(topic) && topic === principal.name) {',
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'If the first event of a batch is allowed, events of any topic may follow.',
      find: 'isAllowed.set(topicBytes, allowed);',
      replace: 'isAllowed.set(topicBytes, allowed);\n      isAllowed.get = () => allowed;',
      tests: ACCESS,
    },
    {
      file: 'api/request/access.ts',
      breaks: 'A key can create a group if only one of its topics is allowed.',
      find: 'return [...patterns.keys()].filter((place) => isForeign(patterns[place]!));',
      replace: 'return [...patterns.keys()].every((place) => isForeign(patterns[place]!)) ? [0] : [];',
      tests: ['api/groups/groups.test.ts'],
    },
  ],
};
