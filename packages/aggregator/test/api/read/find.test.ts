import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import { eventWith } from '../../support/events.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer, problemIn } from '../../support/server.ts';

test('an event is found by its topic and id, whatever characters they contain [READ-8]', async (t) => {
  const server = await TestServer.start(t);
  const NAMES = [
    'plain',
    'a/b',
    '/',
    '//',
    'a?b#c',
    '%',
    '%2F',
    '%zz',
    '100%',
    'a b',
    'a+b',
    '&=;',
    '..',
    '.',
    '../..',
    'größe',
    'e\u0301',
    '漢字',
    '😀',
    '\u{10ffff}',
    '"',
    '\\',
    '\t\r\n',
    '\u0001',
    '\u007f',
    '\u2028',
    ':id',
    '*',
    '__proto__',
    'constructor',
    "'; DROP TABLE event; --",
  ];
  const pairs = NAMES.flatMap((name, i): [string, string][] => [
    [name, NAMES[(i + 1) % NAMES.length]!],
    ['orders', name],
  ]);
  pairs.push(['😀'.repeat(LIMITS.topicCharsMax), '\u{10ffff}'.repeat(LIMITS.eventIdCharsMax)]);
  const events = pairs.map(([topic, id]) => eventWith({ topic, event_id: id }));
  await server.publish(...events);
  const { events: stored } = await server.events();
  for (const [i, [topic, id]] of pairs.entries()) {
    const path = `/events/${encodeURIComponent(topic)}/${encodeURIComponent(id)}`;
    // Sent unchanged: fetch would resolve "..".
    const [response] = await exchange(server.url, requestText(`GET ${path}`, { connection: 'close' }));
    const text = await response!.text();
    assert.equal(response!.status, 200, `${path} ${text}`);
    assert.deepEqual(JSON.parse(text), stored[i], path);
    assert.equal(response!.headers.get('content-type'), 'application/json; charset=utf-8');
  }
});

test('a missing event is 404, even if its topic or its id exists elsewhere [READ-8]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(eventWith({ topic: 'a', event_id: '1' }), eventWith({ topic: 'b', event_id: '2' }));
  for (const [topic, id] of [
    ['a', '2'],
    ['b', '1'],
    ['c', '1'],
    ['A', '1'],
    ['a', '1 '],
    ['a', '%00'],
    ['1', 'a'],
    ['a%2F1', 'x'],
    ['😀', '\u{10ffff}'.repeat(LIMITS.eventIdCharsMax)],
  ] as const) {
    const path = `/events/${encodeURI(topic)}/${encodeURI(id)}`.replaceAll('%25', '%');
    await problemIn(await fetch(server.url + path), 404, 'event_not_found');
  }
  const { detail } = await problemIn(await fetch(`${server.url}/events/a/%22%0A`), 404, 'event_not_found');
  assert.equal(detail, 'topic "a" has no event "\\"\\n"');
  await problemIn(await fetch(`${server.url}/events/a/1/`), 404, 'not_found');
  await problemIn(await fetch(`${server.url}/events/a`), 404, 'not_found');
});

test('topics and ids that no event can have are refused as parameters [READ-8, ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  for (const [path, field] of [
    [`/events/a/${'x'.repeat(LIMITS.eventIdCharsMax + 1)}`, 'event_id'],
    [`/events/${'x'.repeat(LIMITS.topicCharsMax + 1)}/a`, 'topic'],
    ['/events/a/', 'event_id'],
    ['/events//a', 'topic'],
  ] as const) {
    const { errors } = await problemIn(await fetch(server.url + path), 422, 'invalid_parameter');
    assert.deepEqual(
      errors?.map((error) => error.field),
      [field],
      path,
    );
  }
  const tooLong = `${server.url}/events/a/${'x'.repeat(LIMITS.eventIdCharsMax * 12 + 1)}`;
  await problemIn(await fetch(tooLong), 414, 'uri_too_long');
});
