import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import { eventWith, manyEvents } from '../../support/events.ts';
import { TestServer, problemIn } from '../../support/server.ts';

test('a parameter that is unknown, repeated or out of range is refused and named [ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(eventWith());
  const rows: [query: string, ...fields: string[]][] = [
    ['limt=10', 'limt'],
    ['Limit=10', 'Limit'],
    ['offset=1', 'offset'],
    ['topic[]=a', 'topic[]'],
    ['__proto__=1', '__proto__'],
    ['constructor=1', 'constructor'],
    ['=1', ''],
    ['limit=1&limit=1', 'limit'],
    ['limit=1&limit=2&limit=3', 'limit'],
    ['after=0&after=1', 'after'],
    ['topic=a&topic=a', 'topic'],
    ['source=a&source=b', 'source'],
    ['order=asc&order=desc', 'order'],
    ['from=2025-10-28&from=2025-10-28', 'from'],
    ['to=2025-10-28&to=2025-10-28', 'to'],
    ['limit=0', 'limit'],
    ['limit=-1', 'limit'],
    ['limit=10001', 'limit'],
    ['limit=99999999999999999999', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=ten', 'limit'],
    ['limit=1,2', 'limit'],
    ['limit=0x10', 'limit'],
    ['limit=1e3', 'limit'],
    ['limit=%201', 'limit'],
    ['limit=+1', 'limit'],
    ['limit=1.0', 'limit'],
    ['limit=NaN', 'limit'],
    ['limit=Infinity', 'limit'],
    ['limit=null', 'limit'],
    ['limit=true', 'limit'],
    ['limit=', 'limit'],
    ['limit', 'limit'],
    ['after=-1', 'after'],
    ['after=9007199254740992', 'after'],
    ['after=9007199254740993', 'after'],
    ['after=1e400', 'after'],
    ['after=0.1', 'after'],
    ['after=x', 'after'],
    ['after=', 'after'],
    ['order=', 'order'],
    ['order=ASC', 'order'],
    ['order=down', 'order'],
    ['topic=', 'topic'],
    ['source=', 'source'],
    [`topic=${'x'.repeat(LIMITS.topicCharsMax + 1)}`, 'topic'],
    [`source=${'x'.repeat(LIMITS.sourceCharsMax + 1)}`, 'source'],
    ['from=', 'from'],
    ['from=yesterday', 'from'],
    ['from=2025-02-30', 'from'],
    ['from=1761645600', 'from'],
    [`from=2025-10-28T10:00:00.${'0'.repeat(45)}`, 'from'],
    // An unescaped plus is a space.
    ['to=2025-10-28T10:00:00+07:00', 'to'],
    ['to=2025-10-28T24:00', 'to'],
    ['limit=0&order=x&to=now&x=1', 'x', 'to', 'limit', 'order'],
  ];
  for (const [query, ...fields] of rows) {
    const { errors, detail } = await problemIn(
      await fetch(`${server.url}/events?${query}`),
      422,
      'invalid_parameter',
    );
    assert.deepEqual(
      errors?.map(({ index, field }) => [index, field ?? '']),
      fields.map((field) => [null, field]),
      query,
    );
    for (const { field, message } of errors) {
      assert.ok(message.length > 0);
      assert.ok(detail.includes(`${field ?? ''}: ${message}`), detail);
    }
  }
  assert.equal((await server.events(`?topic=${'%F0%9F%98%80'.repeat(LIMITS.topicCharsMax)}`)).count, 0);
});

test('a % in the query that does not encode UTF-8 is refused, not taken literally [ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  for (const query of [
    'topic=%',
    'topic=100%&limit=1',
    'topic=%zz',
    'topic=%ff',
    '%c3=1',
    'source=%ed%a0%80',
  ]) {
    const problem = await problemIn(await fetch(`${server.url}/events?${query}`), 400, 'invalid_request');
    assert.match(problem.detail, /contains a %/);
  }
  assert.equal((await server.events('?topic=100%25&source=a%3Fb')).count, 0);
});

test('HEAD is answered like GET, without the body [SYS-5, READ-1]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...manyEvents(3));
  for (const path of [
    '/events',
    '/events?limit=2',
    '/events?limit=0',
    '/events/orders/e-1',
    '/events/orders/none',
  ]) {
    const head = await fetch(server.url + path, { method: 'HEAD' });
    const get = await fetch(server.url + path);
    assert.equal(head.status, get.status, path);
    for (const name of ['content-type', 'content-length', 'link']) {
      assert.equal(head.headers.get(name), get.headers.get(name), `${path} ${name}`);
    }
    assert.equal(await head.text(), '');
  }
});
