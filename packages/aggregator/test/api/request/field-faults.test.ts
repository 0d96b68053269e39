import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problemIn, sharedServer } from '../../support/server.ts';

const service = sharedServer();

const POLICY = 'PUT /retention/p';
const GROUP = 'PUT /subscriptions/g';
const topics = ['a'];
const TAKES = 'topics, keep, max_age, max_bytes, max_events, ids, past_groups, held_max';
const NAME = 'expected 1 to 128 letters, digits and ._-, not beginning with a dot or a hyphen, got';

/** What is asked, and the whole `detail` of the refusal. */
const ROWS: readonly (readonly [target: string, body: object | null, detail: string])[] = [
  [POLICY, [], 'the body: expected an object, got an array'],
  [POLICY, {}, 'topics: is missing'],
  [POLICY, { topics, keep: 'keys' }, 'keep: expected "events" or "ids", got "keys"'],
  [POLICY, { topics, max_age: 90 }, 'max_age: expected a string or null, got 90'],
  [POLICY, { topics, max_events: 'x' }, 'max_events: expected a whole number from 1 to 9007199254740991 or null, got a string'], // prettier-ignore
  [POLICY, { topics, max_events: 0 }, 'max_events: expected a whole number from 1 to 9007199254740991 or null, got 0'], // prettier-ignore
  [POLICY, { topics, past_groups: 'yes' }, 'past_groups: expected true or false, got a string'],
  [POLICY, { topics: [] }, 'topics: expected an array of 1 to 64 entries, got 0'],
  [POLICY, { topics: ['a', null] }, 'topics 1: expected a string, got null'],
  [POLICY, { topics, maxage: '1d' }, `maxage: unknown field: this takes ${TAKES}`],
  [`${POLICY}?dry_run=1`, { topics }, 'dry_run: expected true or false, got "1"'],
  [`${POLICY}?dry_run=true&dry_run=true`, { topics }, 'dry_run: was given 2 times: send it once'],
  ['PUT /retention/.p', { topics }, `name: ${NAME} ".p"`],
  [GROUP, { topics, push: { url: 1 } }, 'push.url: expected a string, got 1'],
  [GROUP, { topics, push: {} }, 'push.url: is missing'],
  [GROUP, { topics, push: { url: 'x', secrets: [{}] } }, 'push.secrets 0: expected a string, got an object'],
  [
    GROUP,
    { topics, push: { url: 'x', key: 1 } },
    'push.key: unknown field: this takes url, secrets, format, secret',
  ],
  [GROUP, { topics, lease_ms: 1 }, 'lease_ms: expected a whole number from 100 to 43200000, got 1'],
  ['GET /events?order=up', null, 'order: expected "asc" or "desc", got "up"'],
  ['GET /events?limit=ten', null, 'limit: expected a whole number from 1 to 10000, got "ten"'],
  ['GET /events?topic=', null, 'topic: expected a string of 1 to 256 characters, got 0'],
  ['GET /events?from=now', null, 'from: expected an ISO 8601 time such as 2025-10-28T10:00:00Z, got "now"'],
  ['GET /events?after=1&after=2&after=3', null, 'after: was given 3 times: send it once'],
  [`GET /events/stream?${'topic=a&'.repeat(65)}`, null, 'topic: was given 65 times: at most 64 are taken'],
  ['DELETE /topics/a', null, 'before: is missing'],
];

test('a refusal says the field, what was expected and what came, in plain words [ERR-4, P-6]', async () => {
  const { url } = service();
  for (const [target, body, detail] of ROWS) {
    const [method = '', address = ''] = target.split(' ');
    const answer = await fetch(url + address, {
      method,
      ...(body !== null && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const problem = await problemIn(answer, 422, 'invalid_parameter').catch((cause: unknown) => {
      throw new Error(`${target} ${JSON.stringify(body)}`, { cause });
    });
    assert.equal(problem.detail, detail);
    assert.equal(problem.errors?.length, 1);
  }
});

test('a seek takes one place, and says so [ERR-4, GRP-14]', async () => {
  const { url } = service();
  const headers = { 'content-type': 'application/json' };
  await fetch(`${url}/subscriptions/seeker`, { method: 'PUT', headers, body: '{"topics":["a"]}' });
  for (const body of ['{}', '{"offset":1,"time":"2025-10-28"}']) {
    const answer = await fetch(`${url}/subscriptions/seeker/seek`, { method: 'POST', headers, body });
    const { detail } = await problemIn(answer, 422, 'invalid_parameter');
    assert.equal(detail, 'the body: expected exactly one of offset and time');
  }
});
