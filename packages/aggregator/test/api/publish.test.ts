import assert from 'node:assert/strict';
import { test } from 'node:test';
import { booksOf } from '../support/books.ts';
import { eventWith, manyEvents } from '../support/events.ts';
import { TestServer, problemIn, sharedServer } from '../support/server.ts';
import { answerIn, verdictsIn } from '../support/publishing.ts';

const service = sharedServer();

test('a batch is stored in the order sent and answered with its counts [PUB-1, PUB-2]', async (t) => {
  const server = await TestServer.start(t);
  const events = manyEvents(5);
  const response = await server.post({ events });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
  assert.equal(
    await response.text(),
    '{"status":"success","message":"Published 5 events","events_count":5,"accepted":5,"duplicates":0,"conflicts":0}',
  );
  const { events: stored } = await server.events();
  assert.deepEqual(
    stored.map(({ offset, received_at: _at, ...event }) => ({ offset, event })),
    events.map((event, i) => ({ offset: i + 1, event })),
  );
});

test('one bare event is a batch of one [PUB-1]', async (t) => {
  const server = await TestServer.start(t);
  const { message, events_count: count } = await answerIn(await server.post(eventWith()));
  assert.deepEqual([message, count], ['Published 1 events', 1]);
  assert.equal((await server.events()).events[0]?.event_id, 'e-1');
});

test('the name "events" may be written with escapes and have whitespace around it [PUB-1]', async (t) => {
  const server = await TestServer.start(t);
  const body = ` {\r\n\t"\\u0065vent\\u0073" : [ ${JSON.stringify(eventWith())} ] } \n`;
  assert.equal((await answerIn(await server.post(body))).accepted, 1);
});

test("with results, each event's verdict and offset is returned, in the order sent [PUB-2, PUB-3]", async (t) => {
  const server = await TestServer.start(t);
  await server.publish(eventWith({ event_id: 'old' }), eventWith({ event_id: 'other' }));
  const answer = await server.publish(
    eventWith({ event_id: 'new "1"' }),
    eventWith({ event_id: 'other' }),
    eventWith({ event_id: 'old', source: 'elsewhere' }),
    eventWith({ event_id: 'new "1"' }),
    eventWith({ event_id: 'old', topic: 'é/😀' }),
  );
  assert.deepEqual(answer, {
    status: 'success',
    message: 'Published 5 events',
    events_count: 5,
    accepted: 2,
    duplicates: 3,
    conflicts: 1,
    results: [
      { event_id: 'new "1"', topic: 'orders', verdict: 'accepted', offset: 3 },
      { event_id: 'other', topic: 'orders', verdict: 'duplicate', offset: 2 },
      { event_id: 'old', topic: 'orders', verdict: 'conflict', offset: 1 },
      { event_id: 'new "1"', topic: 'orders', verdict: 'duplicate', offset: 3 },
      { event_id: 'old', topic: 'é/😀', verdict: 'accepted', offset: 4 },
    ],
  });
});

test('results are returned only on request [PUB-3]', async () => {
  const server = service();
  for (const [query, told] of [
    ['', false],
    ['?results=false', false],
    ['?results=true', true],
  ] as const) {
    const answer = await answerIn(await server.post(eventWith(), {}, `/publish${query}`));
    assert.equal('results' in answer, told, query);
  }
});

test('an invalid parameter of a publish is refused before anything is stored [ERR-4, P-6]', async () => {
  const server = service();
  const before = await booksOf(server);
  for (const [query, field] of [
    ['results=', 'results'],
    ['results=yes', 'results'],
    ['results=1', 'results'],
    ['results=true&results=true', 'results'],
    ['result=true', 'result'],
    ['__proto__=true', '__proto__'],
  ] as const) {
    const response = await server.post(eventWith(), {}, `/publish?${query}`);
    const { errors } = await problemIn(response, 422, 'invalid_parameter');
    assert.deepEqual(
      errors?.map((error) => [error.index, error.field]),
      [[null, field]],
      query,
    );
  }
  assert.deepEqual(await booksOf(server), before);
});

test('the first event under an id is kept, in a batch, across batches and across a restart [P-2, PUB-5]', async (t) => {
  const server = await TestServer.start(t);
  const first = eventWith({ payload: { n: 1 } });
  const second = eventWith({ payload: { n: 2 } });
  assert.deepEqual(verdictsIn(await server.publish(first, second)), ['accepted 1', 'conflict 1']);
  assert.deepEqual(verdictsIn(await server.publish(second)), ['conflict 1']);
  await server.restart();
  assert.deepEqual(verdictsIn(await server.publish(second, first)), ['conflict 1', 'duplicate 1']);
  const { events } = await server.events();
  assert.deepEqual(
    events.map(({ payload }) => payload),
    [{ n: 1 }],
  );
});

test('the same id in a different topic is a different event, and so is an id that only looks the same [PUB-5]', async () => {
  const server = service();
  const ids = ['id', 'ID', 'id ', ' id', 'i\u0307d', 'íd', 'i\u0301d', '1', '01', '1.0', '__proto__'];
  const events = ['orders', 'Orders', 'toString'].flatMap((topic) =>
    ids.map((id) => eventWith({ event_id: id, topic })),
  );
  assert.equal((await server.publish(...events)).accepted, events.length);
  assert.equal((await server.publish(...events)).duplicates, events.length);
});

test('a dropped event is a conflict if source, timestamp or payload differ, otherwise a duplicate [PUB-6]', async (t) => {
  const server = await TestServer.start(t);
  const FIRST =
    '{"event_id":"e","topic":"t","source":"s/1","payload":{"a":1.0,"b":["x",{}]},"timestamp":"2025-10-28T10:00:00Z"}';
  assert.equal((await answerIn(await server.post(FIRST))).accepted, 1);
  const rows: [what: string, from: string, to: string, verdict: string][] = [
    ['the same event again', '', '', 'duplicate'],
    [
      'whitespace in the payload',
      '{"a":1.0,"b":["x",{}]}',
      ' {\n"a" :\t1.0 , "b": [ "x" , { } ] } ',
      'duplicate',
    ],
    ['whitespace in the event', ',"', ' , \r\n"', 'duplicate'],
    [
      'the order of the event’s members',
      '{"event_id":"e","topic":"t"',
      '{"topic":"t","event_id":"e"',
      'duplicate',
    ],
    ['a field’s name with an escape', '"source"', '"sour\\u0063e"', 'duplicate'],
    ['the id with an escape', '"e"', '"\\u0065"', 'duplicate'],
    ['the topic with an escape', '"t"', '"\\u0074"', 'duplicate'],
    ['the source with an escape', '"s/1"', '"\\u0073\\/1"', 'duplicate'],
    ['the timestamp with an escape', '2025-10', '2025\\u002d10', 'duplicate'],
    ['a different source', '"s/1"', '"S/1"', 'conflict'],
    ['the same instant in another form', '10:00:00Z', '10:00:00.000Z', 'conflict'],
    ['the same instant in another zone', '10:00:00Z', '17:00:00+07:00', 'conflict'],
    ['a different number', '1.0', '1.01', 'conflict'],
    ['the same number in another spelling', '1.0', '1', 'conflict'],
    ['the order of the payload’s members', '"a":1.0,"b":["x",{}]', '"b":["x",{}],"a":1.0', 'conflict'],
    ['a string of the payload with an escape', '"x"', '"\\u0078"', 'conflict'],
    ['whitespace inside a string', '"x"', '"x "', 'conflict'],
    ['an additional member', '{"a"', '{"c":null,"a"', 'conflict'],
    ['an empty payload', '{"a":1.0,"b":["x",{}]}', '{}', 'conflict'],
    ['a nested change', '{}]', '{"x":0}]', 'conflict'],
    ['the border between source and timestamp', '"s/1"', '"s/12"', 'conflict'],
  ];
  for (const [what, from, to, verdict] of rows) {
    const body = FIRST.replace(from, to);
    if (from !== '') assert.notEqual(body, FIRST, what);
    const answer = await answerIn(await server.post(body, {}, '/publish?results=true'));
    assert.deepEqual(verdictsIn(answer), [`${verdict} 1`], what);
    assert.deepEqual([answer.accepted, answer.duplicates], [0, 1], what);
    assert.equal(answer.conflicts, verdict === 'conflict' ? 1 : 0, what);
  }
  const stats = await server.stats();
  const conflicts = rows.filter(([, , , verdict]) => verdict === 'conflict').length;
  assert.deepEqual(
    [stats.received, stats.unique_processed, stats.duplicated_dropped, stats.conflicts],
    [rows.length + 1, 1, rows.length, conflicts],
  );
});

test('an empty batch is answered with zeros and changes nothing [PUB-4]', async () => {
  const server = service();
  await server.publish(eventWith());
  const before = await booksOf(server);
  assert.deepEqual(await server.publish(), {
    status: 'success',
    message: 'Published 0 events',
    events_count: 0,
    accepted: 0,
    duplicates: 0,
    conflicts: 0,
    results: [],
  });
  assert.deepEqual(await answerIn(await server.post(' { "events" : [ ] } ')), {
    status: 'success',
    message: 'Published 0 events',
    events_count: 0,
    accepted: 0,
    duplicates: 0,
    conflicts: 0,
  });
  assert.deepEqual(await booksOf(server), before);
});
