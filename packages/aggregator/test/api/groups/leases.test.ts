import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { eventWith } from '../../support/events.ts';
import { Group, groupWith, leasesOf, offsetsOf } from '../../support/group.ts';
import { problemIn } from '../../support/server.ts';
import { until } from '../../support/until.ts';

test('an acknowledged event is not delivered again, whatever happens to the server [GRP-7, GRP-8]', async (t) => {
  const { server, group } = await groupWith(t, { events: 6, lease_ms: 1000 });
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

test('an event given back is redelivered at once or after its delay, before fresh events [GRP-6, GRP-9]', async (t) => {
  const { group } = await groupWith(t, { events: 6 });
  const events = await group.pull({ max: 4 });
  await group.giveBack(events.slice(0, 2));
  await group.giveBack(events.slice(2, 3), 1500);
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
  const { group } = await groupWith(t, { events: 2, lease_ms: 1500 });
  const [one, two] = await group.pull();
  assert.equal((await group.post('extend', { ...leasesOf([one!]), lease_ms: 60_000 })).status, 200);
  const [again] = await group.pull({ wait_ms: 20_000 });
  assert.equal(again!.offset, 2);
  assert.equal(again!.delivery, 2);
  await group.acknowledge([one!, again!]);
  await problemIn(await group.post('extend', leasesOf([two!])), 409, 'lease_expired');
});

test('leases that do not hold are reported, each with its place and code, and the others are done [GRP-11]', async (t) => {
  const { server, group } = await groupWith(t, { events: 4, lease_ms: 1500 });
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

  await until(
    () => 'the leases run out',
    async () => (await group.view()).in_flight === 0,
  );
  const late = await problemIn(await group.post('ack', leasesOf([three!])), 409, 'lease_expired');
  assert.equal(late.done, 0);
  // The service may learn a moment later than the store that they ran out.
  const redelivered = await group.pull({ wait_ms: 20_000 });
  assert.deepEqual(offsetsOf(redelivered), [3, 4]);
  await problemIn(await group.post('ack', leasesOf([three!])), 409, 'lease_expired');
  await group.acknowledge(redelivered);
  await problemIn(await group.post('nack', leasesOf([one!])), 409, 'lease_expired');
});

test('anything but a lease id is refused with its place, and nothing is done [GRP-11]', async (t) => {
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
    ['ack', {}, 'lease_ids'],
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

test('an event is dead after its last delivery, is listed with its text, and is replayed [GRP-12, GRP-13]', async (t) => {
  const { server, group } = await groupWith(t, { events: 4, max_deliveries: 2, lease_ms: 1500 });
  for (let delivery = 1; delivery <= 2; delivery++) {
    const events = await group.pull({ wait_ms: 20_000 });
    assert.deepEqual(offsetsOf(events), [1, 2, 3, 4].slice(0, events.length));
    await group.giveBack(events.filter(({ offset }) => offset !== 4));
    if (delivery === 1)
      await until(
        () => 'the lease runs out',
        async () => (await group.view()).in_flight === 0,
      );
  }
  await until(
    () => 'all are dead',
    async () => (await group.view()).dead === 4,
  );
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
  // What is not dead any more is not below the cursor, as it would be if it were settled.
  const left = await group.dead();
  assert.deepEqual([offsetsOf(left.events), left.cursor], [[1, 4], 1]);
  assert.deepEqual(await (await group.post('dead/replay')).json(), { replayed: 2, dead: 0 });
  assert.deepEqual(offsetsOf(await group.pull()), [1, 4]);
  const bad = await group.post('dead/replay', { offsets: ['1'] });
  assert.equal((await problemIn(bad, 422, 'invalid_parameter')).errors![0]!.field, 'offsets');
});

test('a seek continues from an offset, a time or an end, and ends the leases [GRP-14]', async (t) => {
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
