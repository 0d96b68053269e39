import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestContext, test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { eventWith, manyEvents } from '../../support/events.ts';
import { Group, leasesOf } from '../../support/group.ts';
import { TestKeys, withKey } from '../../support/keys.ts';
import { TestServer, problemIn } from '../../support/server.ts';

/** A server with some events, and a group from the first of them on. */
async function groupWith(
  t: TestContext,
  { events = 5, ...definition }: { events?: number; [field: string]: unknown } = {},
): Promise<{ server: TestServer; group: Group }> {
  const server = await TestServer.start(t);
  if (events > 0) await server.publish(...manyEvents(events));
  const group = new Group(server.url);
  await group.make(definition);
  return { server, group };
}

function offsetsOf(events: readonly { offset: number }[]): number[] {
  return events.map(({ offset }) => offset);
}

/** Waits until the server has noted what the test caused. */
async function until(what: string, probe: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 10_000;
  while (!(await probe())) {
    if (Date.now() > giveUpAt) throw new Error(`not within 10 s: ${what}`);
    await sleep(5);
  }
}

test('a group is made once, is found by its name and in the list, and differs by the field that is named [GRP-1]', async (t) => {
  const server = await TestServer.start(t);
  const group = new Group(server.url, 'billing.eu-1');
  const definition = { topics: ['orders.>', 'a'], start: 'earliest', lease_ms: 5000, max_deliveries: 3 };
  const made = await group.make(definition);
  assert.deepEqual(
    { ...made, created_at: '' },
    {
      name: 'billing.eu-1',
      ...definition,
      created_at: '',
      cursor: 0,
      lag: 0,
      in_flight: 0,
      returned: 0,
      dead: 0,
      deliveries: 0,
      redeliveries: 0,
      acknowledged: 0,
    },
  );
  const again = await group.put({ ...definition, topics: ['a', 'orders.>', 'a'] });
  assert.equal(again.status, 200);
  assert.deepEqual(await again.json(), made);
  assert.deepEqual(await group.view(), made);
  assert.deepEqual(await server.get('/subscriptions'), { count: 1, subscriptions: [made] });
  for (const change of [{ topics: ['a'] }, { start: 1 }, { lease_ms: 6000 }, { max_deliveries: 4 }]) {
    const problem = await problemIn(
      await group.put({ ...definition, ...change }),
      409,
      'subscription_differs',
    );
    assert.equal(problem.errors?.[0]?.field, Object.keys(change)[0]);
  }
  assert.deepEqual(await group.view(), made, 'a refusal changes nothing');
});

test('a group without more than topics gets the defaults [GRP-1]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(...manyEvents(3));
  const group = new Group(server.url);
  const response = await group.put({ topics: ['>'] });
  assert.equal(response.status, 201);
  const { start, lease_ms, max_deliveries, cursor } = await group.view();
  assert.deepEqual(
    { start, lease_ms, max_deliveries, cursor },
    { start: 'latest', lease_ms: 30_000, max_deliveries: 5, cursor: 3 },
  );
});

test('a definition that cannot be is refused by its field, and makes nothing [GRP-2, ERR-4]', async (t) => {
  const server = await TestServer.start(t);
  const group = new Group(server.url);
  const bad: [unknown, string | null, number | null][] = [
    [{}, null, null],
    ['[]', null, null],
    ['"x"', null, null],
    [{ topics: [] }, 'topics', null],
    [{ topics: 'orders' }, 'topics', null],
    [{ topics: ['a', 5] }, 'topics', 1],
    [{ topics: ['a', 'b.>.c'] }, 'topics', 1],
    [{ topics: ['a', ''] }, 'topics', 1],
    [{ topics: Array.from({ length: 65 }, (_, i) => `t${i}`) }, 'topics', null],
    [{ topics: ['a'], start: 'soon' }, 'start', null],
    [{ topics: ['a'], start: -1 }, 'start', null],
    [{ topics: ['a'], start: 1.5 }, 'start', null],
    [{ topics: ['a'], start: null }, 'start', null],
    [{ topics: ['a'], start: '2025-02-30' }, 'start', null],
    [{ topics: ['a'], lease_ms: 99 }, 'lease_ms', null],
    [{ topics: ['a'], lease_ms: '5000' }, 'lease_ms', null],
    [{ topics: ['a'], max_deliveries: 0 }, 'max_deliveries', null],
    [{ topics: ['a'], leases: 5 }, 'leases', null],
    [{ topics: ['a'], ['__proto__x']: 5 }, '__proto__x', null],
  ];
  for (const [definition, field, index] of bad) {
    const problem = await problemIn(await group.put(definition), 422, 'invalid_parameter');
    const [error] = problem.errors!;
    assert.deepEqual([error!.field, error!.index], [field, index], JSON.stringify(definition));
  }
  await problemIn(await group.put('{'), 400, 'invalid_json');
  await problemIn(await group.put(`{"topics":["${'x'.repeat(1024 * 1024)}"]}`), 413, 'body_too_large');
  for (const name of ['a b', '.a', '-a', 'ü', 'a/b', 'x'.repeat(129)]) {
    const problem = await problemIn(
      await new Group(server.url, name).put({ topics: ['a'] }),
      422,
      'invalid_parameter',
    );
    assert.equal(problem.errors?.[0]?.field, 'name', name);
  }
  const plain = await fetch(`${server.url}/subscriptions/x`, { method: 'PUT', body: '{"topics":["a"]}' });
  await problemIn(plain, 415, 'unsupported_media_type');
  assert.deepEqual(await server.get('/subscriptions'), { count: 0, subscriptions: [] });
});

test('what is not there is 404, and a method that is not taken 405 [GRP-1, SYS-5]', async (t) => {
  const server = await TestServer.start(t);
  const group = new Group(server.url, 'nobody');
  await problemIn(await fetch(`${server.url}/subscriptions/nobody`), 404, 'subscription_not_found');
  await problemIn(await fetch(`${server.url}/subscriptions/nobody/dead`), 404, 'subscription_not_found');
  await problemIn(await group.delete(), 404, 'subscription_not_found');
  for (const [resource, body] of [
    ['pull', {}],
    ['ack', { lease_ids: ['1.1.aaaaaaaaaaaaaaaa'] }],
    ['nack', { lease_ids: ['1.1.aaaaaaaaaaaaaaaa'] }],
    ['extend', { lease_ids: ['1.1.aaaaaaaaaaaaaaaa'] }],
    ['seek', { offset: 1 }],
    ['dead/replay', {}],
  ] as const) {
    await problemIn(await group.post(resource, body), 404, 'subscription_not_found');
  }
  const response = await fetch(`${server.url}/subscriptions/nobody/pull`);
  await problemIn(response, 405, 'method_not_allowed');
});

test('a group begins where it is asked to, and not beyond the end [GRP-3]', async (t) => {
  const { server } = await groupWith(t, { events: 10 });
  const { events } = await server.events();
  const cases: [string | number, number][] = [
    ['earliest', 1],
    [0, 1],
    [4, 4],
    ['1999-01-01', 1],
    [events[6]!.received_at, 1],
  ];
  for (const [start, first] of cases) {
    const group = new Group(server.url, `from-${start}`.replaceAll(/[^\w-]/g, '_'));
    await group.make({ start });
    assert.equal((await group.pull({ max: 1 }))[0]!.offset, first, `${start}`);
  }
  for (const start of ['latest', 11, events[6]!.received_at.replace('Z', '0001Z')]) {
    const group = new Group(server.url, `end-${start}`.replaceAll(/[^\w-]/g, '_'));
    await group.make({ start });
    assert.equal((await group.view()).cursor, 10);
  }
  for (const start of [12, '2999-01-01']) {
    const put = await new Group(server.url, 'beyond').put({ topics: ['>'], start });
    await problemIn(put, 409, 'cursor_beyond_end');
  }
});

test('the books of a group tell what became of its events [GRP-15]', async (t) => {
  const { server, group } = await groupWith(t, { events: 8, max_deliveries: 1 });
  const events = await group.pull({ max: 6 });
  await group.giveBack(events.slice(0, 1));
  await group.acknowledge(events.slice(1, 3));
  const view = await group.view();
  assert.deepEqual(
    { ...view, created_at: '' },
    {
      name: 'workers',
      topics: ['>'],
      start: 'earliest',
      lease_ms: 30_000,
      max_deliveries: 1,
      created_at: '',
      cursor: 3,
      lag: 5,
      in_flight: 3,
      returned: 0,
      dead: 1,
      deliveries: 6,
      redeliveries: 0,
      acknowledged: 2,
    },
  );
  assert.ok(Math.abs(Date.parse(view.created_at) - Date.now()) < 60_000);
  await server.restart();
  group.url = server.url;
  assert.deepEqual(await group.view(), view);
});

test('a pull leases events as GET /events gives them, each to one, in order [GRP-4, GRP-5, GRP-6]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0 });
  const payload = { message: 'é 😀 "', n: 1.5, deep: [{ lease_id: 'mine', delivery: 9 }] };
  await server.publish(
    ...manyEvents(50, (i) => ({ payload: { ...payload, i }, topic: i % 2 === 0 ? 'orders.eu' : 'ü' })),
  );
  const [one, two, three] = await Promise.all([
    group.pull({ max: 20 }),
    group.pull({ max: 20 }),
    group.pull({ max: 20 }),
  ]);
  const delivered = [one, two, three].toSorted((a, b) => a[0]!.offset - b[0]!.offset).flat();
  const { events } = await server.events();
  assert.deepEqual(
    delivered.map(({ delivery: _delivery, lease_id: _leaseId, ...event }) => event),
    events,
  );
  assert.deepEqual(new Set(delivered.map(({ delivery }) => delivery)), new Set([1]));
  assert.equal(new Set(delivered.map(({ lease_id }) => lease_id)).size, 50);
  assert.deepEqual(Object.keys(delivered[0]!).slice(-2), ['delivery', 'lease_id']);
  assert.deepEqual(await group.pull(), []);
  const { in_flight, lag, cursor, deliveries } = await group.view();
  assert.deepEqual(
    { in_flight, lag, cursor, deliveries },
    { in_flight: 50, lag: 50, cursor: 0, deliveries: 50 },
  );
});

test('a group gets the events of its topics alone, however few they are among the others [GRP-4]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0, topics: ['rare.*', 'one'] });
  const topicOf = (i: number): string => (i % 400 === 7 ? 'rare.x' : i === 900 ? 'one' : 'rare.x.y');
  for (let batch = 0; batch < 3; batch++) {
    await server.publish(
      ...manyEvents(1000, (i) => ({ event_id: `${batch}-${i}`, topic: topicOf(batch * 1000 + i) })),
    );
  }
  const meant = Array.from({ length: 3000 }, (_, i) => i).filter((i) => topicOf(i) !== 'rare.x.y');
  assert.equal((await group.view()).lag, meant.length);
  const first = await group.pull({ max: 3 });
  const rest = await group.pull();
  assert.deepEqual(offsetsOf([...first, ...rest]), meant.map((i) => i + 1)); // prettier-ignore
  await group.acknowledge([...first, ...rest]);
  const { lag, cursor } = await group.view();
  assert.deepEqual({ lag, cursor }, { lag: 0, cursor: 3000 });
});

test('a pull that waits is answered by the commit of an event of its topics, and not by another [GRP-4]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0, topics: ['orders'] });
  const waiting = Array.from({ length: 3 }, () => group.pull({ max: 1, wait_ms: 50_000 }));
  for (let i = 0; i < 5; i++) await server.publish(eventWith({ event_id: `${i}`, topic: 'other' }));
  await server.publish(
    eventWith({ event_id: 'a' }),
    eventWith({ event_id: 'b' }),
    eventWith({ event_id: 'c' }),
  );
  const events = (await Promise.all(waiting)).flat();
  assert.deepEqual(new Set(offsetsOf(events)), new Set([6, 7, 8]));
  const { cursor } = await group.view();
  assert.equal(cursor, 5);
});

test('a pull is answered with nothing when its time is up, and without a wait at once [GRP-4]', async (t) => {
  const { group } = await groupWith(t, { events: 0 });
  const startMs = performance.now();
  assert.deepEqual(await group.pull(), []);
  assert.deepEqual(await group.pull({ wait_ms: 150 }), []);
  assert.ok(performance.now() - startMs >= 145);
  for (const [body, field] of [
    [{ max: 0 }, 'max'],
    [{ max: 1001 }, 'max'],
    [{ wait_ms: -1 }, 'wait_ms'],
    [{ wait_ms: 55_001 }, 'wait_ms'],
    [{ wait: 1 }, 'wait'],
  ] as const) {
    const problem = await problemIn(await group.post('pull', body), 422, 'invalid_parameter');
    assert.equal(problem.errors?.[0]?.field, field);
  }
});

test('what is acknowledged is not delivered again, whatever happens to the server [GRP-7, GRP-8]', async (t) => {
  const { server, group } = await groupWith(t, { events: 6, lease_ms: 200 });
  const events = await group.pull();
  await group.acknowledge(events.filter(({ offset }) => offset !== 3 && offset !== 5));
  await server.restart();
  group.url = server.url;
  const again = await group.pull({ wait_ms: 20_000 });
  assert.deepEqual(
    again.map(({ offset, delivery }) => [offset, delivery]),
    [[3, 2], [5, 2]], // prettier-ignore
  );
  const { cursor, acknowledged, redeliveries, in_flight } = await group.view();
  assert.deepEqual({ cursor, acknowledged, redeliveries, in_flight }, { cursor: 2, acknowledged: 4, redeliveries: 2, in_flight: 2 }); // prettier-ignore
});

test('a lease outlives a restart of the server, and can be acknowledged after it [GRP-5]', async (t) => {
  const { server, group } = await groupWith(t);
  const events = await group.pull();
  await server.restart();
  group.url = server.url;
  assert.deepEqual(await group.pull(), []);
  await group.acknowledge(events);
  assert.equal((await group.view()).cursor, 5);
});

test('an acknowledgement may be sent again [GRP-7]', async (t) => {
  const { group } = await groupWith(t);
  const events = await group.pull();
  await group.acknowledge(events);
  await group.acknowledge(events);
  assert.equal((await group.view()).acknowledged, 5);
});

test('what is given back comes again at once or after its delay, before fresh events [GRP-6, GRP-9]', async (t) => {
  const { group } = await groupWith(t, { events: 6 });
  const events = await group.pull({ max: 4 });
  await group.giveBack(events.slice(0, 2));
  await group.giveBack(events.slice(2, 3), 300);
  assert.deepEqual(
    (await group.pull()).map(({ offset, delivery }) => [offset, delivery]),
    [[1, 2], [2, 2], [5, 1], [6, 1]], // prettier-ignore
  );
  assert.equal((await group.view()).returned, 1);
  const startMs = performance.now();
  const [delayed] = await group.pull({ wait_ms: 20_000 });
  assert.deepEqual([delayed?.offset, delayed?.delivery], [3, 2]);
  assert.ok(performance.now() - startMs > 50, 'it waited for the delay');
});

test('a lease that is extended is held for longer [GRP-10]', async (t) => {
  const { group } = await groupWith(t, { events: 2, lease_ms: 400 });
  const [one, two] = await group.pull();
  assert.equal((await group.post('extend', { ...leasesOf([one!]), lease_ms: 60_000 })).status, 200);
  const [again] = await group.pull({ wait_ms: 20_000 });
  assert.equal(again!.offset, 2);
  assert.equal(again!.delivery, 2);
  await group.acknowledge([one!, again!]);
  await problemIn(await group.post('extend', leasesOf([two!])), 409, 'lease_expired');
});

test('leases that are not held are told, each with its place and code, and the others are done [GRP-11]', async (t) => {
  const { server, group } = await groupWith(t, { events: 4, lease_ms: 300 });
  const events = await group.pull();
  const [one, two, three] = events;
  const other = new Group(server.url, 'others');
  await other.make();
  const [theirs] = await other.pull({ max: 1 });
  const forged = { lease_id: three!.lease_id.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')) };
  await group.giveBack([two!], 60_000);

  const answer = await group.post('ack', leasesOf([one!, two!, theirs!, forged]));
  const problem = await problemIn(answer, 409, 'lease_unknown');
  assert.equal(problem.done, 1);
  assert.deepEqual(
    problem.errors!.map(({ index, field, code }) => [index, field, code]),
    [
      [1, 'lease_ids', 'lease_expired'],
      [2, 'lease_ids', 'lease_unknown'],
      [3, 'lease_ids', 'lease_unknown'],
    ],
  );
  assert.equal((await group.view()).acknowledged, 1);
  assert.equal((await other.view()).acknowledged, 0);

  await until('the leases run out', async () => (await group.view()).in_flight === 0);
  const late = await problemIn(await group.post('ack', leasesOf([three!])), 409, 'lease_expired');
  assert.equal(late.done, 0);
  const redelivered = await group.pull();
  assert.deepEqual(offsetsOf(redelivered), [3, 4]);
  await problemIn(await group.post('ack', leasesOf([three!])), 409, 'lease_expired');
  await group.acknowledge(redelivered);
  await problemIn(await group.post('nack', leasesOf([one!])), 409, 'lease_expired');
});

test('what is no lease id is refused with its place, and nothing is done [GRP-11]', async (t) => {
  const { group } = await groupWith(t);
  const events = await group.pull();
  const good = leasesOf(events).lease_ids;
  for (const bad of [
    '',
    'x',
    '1.1',
    '1.1.short',
    `${good[0]} `,
    '-1.1.aaaaaaaaaaaaaaaa',
    "1'--.1.aaaaaaaaaaaaaaaa",
  ]) {
    for (const resource of ['ack', 'nack', 'extend']) {
      const answer = await group.post(resource, { lease_ids: [...good, bad] });
      const problem = await problemIn(answer, 422, 'invalid_parameter');
      assert.deepEqual([problem.errors![0]!.index, problem.errors![0]!.field], [5, 'lease_ids'], bad);
    }
  }
  for (const [resource, body, field] of [
    ['ack', {}, null],
    ['ack', { lease_ids: [] }, 'lease_ids'],
    ['ack', { lease_ids: [5] }, 'lease_ids'],
    ['ack', { lease_ids: good, delay_ms: 5 }, 'delay_ms'],
    ['nack', { lease_ids: good, delay_ms: -1 }, 'delay_ms'],
    ['extend', { lease_ids: good, lease_ms: 1 }, 'lease_ms'],
  ] as const) {
    const problem = await problemIn(await group.post(resource, body), 422, 'invalid_parameter');
    assert.equal(problem.errors![0]!.field, field);
  }
  assert.equal((await group.view()).in_flight, 5);
});

test('an event is dead after its last delivery, is told with its text, and is replayed [GRP-12, GRP-13]', async (t) => {
  const { server, group } = await groupWith(t, { events: 4, max_deliveries: 2, lease_ms: 300 });
  for (let delivery = 1; delivery <= 2; delivery++) {
    const events = await group.pull({ wait_ms: 20_000 });
    assert.deepEqual(offsetsOf(events), [1, 2, 3, 4].slice(0, events.length));
    await group.giveBack(events.filter(({ offset }) => offset !== 4));
    if (delivery === 1) await until('the lease runs out', async () => (await group.view()).in_flight === 0);
  }
  await until('all are dead', async () => (await group.view()).dead === 4);
  assert.deepEqual(await group.pull(), []);
  const { events: stored } = await server.events();
  const { events, next } = await group.dead();
  assert.deepEqual(
    events.map(({ deliveries: _deliveries, dead_at: _deadAt, reason: _reason, ...event }) => event),
    stored,
  );
  assert.deepEqual(
    events.map(({ deliveries, reason }) => [deliveries, reason]),
    [[2, 'given_back'], [2, 'given_back'], [2, 'given_back'], [2, 'lease_expired']], // prettier-ignore
  );
  assert.ok(events.every(({ dead_at }) => Math.abs(Date.parse(dead_at) - Date.now()) < 60_000));
  assert.equal(next, null);
  const { lag, cursor } = await group.view();
  assert.deepEqual({ lag, cursor }, { lag: 0, cursor: 4 });

  const first = await group.dead('?limit=3');
  assert.deepEqual([offsetsOf(first.events), first.next], [[1, 2, 3], 3]);
  assert.deepEqual(offsetsOf((await group.dead('?limit=3&after=3')).events), [4]);

  const waiting = group.pull({ wait_ms: 20_000 });
  const replay = await group.post('dead/replay', { offsets: [2, 3, 99] });
  assert.deepEqual(await replay.json(), { replayed: 2, dead: 2 });
  assert.deepEqual(
    (await waiting).map(({ offset, delivery }) => [offset, delivery]),
    [[2, 1], [3, 1]], // prettier-ignore
  );
  assert.deepEqual(await (await group.post('dead/replay')).json(), { replayed: 2, dead: 0 });
  assert.deepEqual(offsetsOf(await group.pull()), [1, 4]);
  const bad = await group.post('dead/replay', { offsets: ['1'] });
  assert.equal((await problemIn(bad, 422, 'invalid_parameter')).errors![0]!.field, 'offsets');
});

test('a seek goes on from an offset, a time or an end, and ends the leases [GRP-14]', async (t) => {
  const { server, group } = await groupWith(t, { events: 6 });
  const events = await group.pull();
  await group.acknowledge(events.slice(0, 3));
  assert.equal(await group.seek({ offset: 2 }), 1);
  await problemIn(await group.post('ack', leasesOf(events)), 409, 'lease_expired');
  assert.deepEqual(
    (await group.pull()).map(({ offset, delivery }) => [offset, delivery]),
    [2, 3, 4, 5, 6].map((offset) => [offset, 1]),
  );
  assert.equal(await group.seek({ offset: 'latest' }), 6);
  assert.deepEqual(await group.pull(), []);
  assert.equal((await group.view()).lag, 0);
  assert.equal(await group.seek({ offset: 'earliest' }), 0);
  await sleep(2);
  const now = new Date().toISOString();
  await sleep(2);
  // All six were committed in one millisecond; any digit below it is after them.
  const committedAt = events[0]!.received_at;
  assert.equal(await group.seek({ time: committedAt.replace('Z', '000Z') }), 0);
  assert.equal(await group.seek({ time: committedAt.replace('Z', '0001Z') }), 6);
  await server.publish(eventWith({ event_id: 'later' }));
  assert.equal(await group.seek({ time: now }), 6);
  const waiting = group.pull({ max: 2, wait_ms: 20_000 });
  assert.deepEqual(offsetsOf(await waiting), [7]);

  const sought = group.pull({ max: 2, wait_ms: 20_000 });
  await group.seek({ offset: 5 });
  assert.deepEqual(offsetsOf(await sought), [5, 6]);
  await problemIn(await group.post('seek', { offset: 9 }), 409, 'cursor_beyond_end');
  await problemIn(await group.post('seek', { time: '2999-01-01' }), 409, 'cursor_beyond_end');
  for (const body of [
    {},
    { offset: 1, time: now },
    { offset: 'end' },
    { offset: -1 },
    { time: 'soon' },
    { to: 1 },
  ]) {
    await problemIn(await group.post('seek', body), 422, 'invalid_parameter');
  }
});

test('a group that is deleted is gone, and who waits for it is told so [GRP-16]', async (t) => {
  const { server, group } = await groupWith(t, { events: 2 });
  const events = await group.pull();
  const waiting = group.post('pull', { wait_ms: 50_000 });
  await until('the pull waits', async () => (await group.view()).in_flight === 2);
  await sleep(50);
  assert.equal((await group.delete()).status, 204);
  await problemIn(await waiting, 404, 'subscription_not_found');
  await group.make();
  await problemIn(await group.post('ack', leasesOf(events)), 409, 'lease_unknown');
  assert.deepEqual(offsetsOf(await group.pull()), [1, 2]);
  await server.restart();
  group.url = server.url;
  assert.equal((await group.view()).in_flight, 2);
});

test('a worker that leaves while it waits holds no lease, and no delivery is counted for it [GRP-17]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0, max_deliveries: 1 });
  for (let i = 0; i < 3; i++) {
    const left = new AbortController();
    const waiting = group.post('pull', { wait_ms: 50_000 }, left.signal);
    await sleep(300);
    left.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    // An answer that is under way when the worker leaves is a delivery; here the server has noticed before.
    await sleep(500);
    await server.publish(eventWith({ event_id: `${i}` }));
    const got = await group.pull({ wait_ms: 20_000 });
    assert.deepEqual(got.map(({ delivery }) => delivery), [1]); // prettier-ignore
    await group.acknowledge(got);
  }
  assert.equal((await group.view()).dead, 0);
});

test('a server that stops answers who waits at once, with nothing [GRP-17]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0 });
  const waiting = Array.from({ length: 3 }, () => group.pull({ wait_ms: 50_000 }));
  await sleep(1000);
  const startMs = performance.now();
  await server.close();
  assert.deepEqual((await Promise.all(waiting)).flat(), []);
  assert.ok(performance.now() - startMs < 4000, 'it did not wait for the pulls to end by themselves');
});

test('an answer holds about a MiB of events, or one that is larger [GRP-4]', async (t) => {
  const { server, group } = await groupWith(t, { events: 0 });
  const large = (i: number): Partial<Event> => ({ event_id: `${i}`, payload: { x: 'x'.repeat(400_000) } });
  for (let i = 0; i < 2; i++) await server.publish(...manyEvents(3, (j) => large(i * 3 + j)));
  await server.publish(eventWith({ event_id: 'max', payload: { x: 'x'.repeat(1_048_000) } }));
  const hands: number[][] = [];
  while (hands.flat().length < 7) hands.push(offsetsOf(await group.pull({ wait_ms: 20_000 })));
  assert.deepEqual(hands.flat(), [1, 2, 3, 4, 5, 6, 7]);
  assert.ok(hands.every((hand) => hand.length <= 2), JSON.stringify(hands)); // prettier-ignore
});

test('a key makes and uses the groups whose topics lie within its own, and others are not there for it [GRP-19, KEY-4]', async (t) => {
  const keys = new TestKeys(t, {
    all: { scopes: ['read', 'publish'] },
    eu: { scopes: ['read'], topics: ['orders.eu.>', 'audit'] },
    publisher: { scopes: ['publish'] },
  });
  const server = await TestServer.start(t, { API_KEYS_FILE: keys.path });
  const topics = ['orders.eu.de', 'orders.us', 'audit'];
  const published = await server.post(
    { events: topics.map((topic, i) => eventWith({ event_id: `${i}`, topic })) },
    withKey('all'),
  );
  assert.equal(published.status, 200);
  const groupOf = (key: string, name: string): Group => new Group(server.url, name, withKey(key));

  await problemIn(await groupOf('publisher', 'x').put({ topics: ['audit'] }), 403, 'forbidden');
  const wide = await groupOf('eu', 'x').put({ topics: ['audit', 'orders.*.de'] });
  const problem = await problemIn(wide, 403, 'forbidden_topic');
  assert.deepEqual(problem.errors!.map(({ index, field }) => [index, field]), [[1, 'topics']]); // prettier-ignore

  const own = groupOf('eu', 'own');
  await own.make({ topics: ['orders.eu.*', 'audit'] });
  assert.deepEqual(offsetsOf(await own.pull()), [1, 3]);
  const every = groupOf('all', 'every');
  await every.make({ topics: ['orders.>'] });
  const events = await every.pull();
  const hidden = groupOf('eu', 'every');
  for (const response of [
    await hidden.get(),
    await hidden.get('/dead'),
    await hidden.post('pull', {}),
    await hidden.post('ack', leasesOf(events)),
    await hidden.post('seek', { offset: 'earliest' }),
    await hidden.post('dead/replay'),
    await hidden.delete(),
  ]) {
    await problemIn(response, 404, 'subscription_not_found');
  }
  const listed = async (key: string): Promise<string[]> => {
    const response = await fetch(`${server.url}/subscriptions`, { headers: withKey(key) });
    return ((await response.json()) as { subscriptions: { name: string }[] }).subscriptions.map(
      ({ name }) => name,
    );
  };
  assert.deepEqual(await listed('eu'), ['own']);
  assert.deepEqual(await listed('all'), ['every', 'own']);
  await every.acknowledge(events);
});
