import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../lab/aggregator-process.ts';
import { OriginalClient, asOriginal, originalEvent } from './support/original-client.ts';

const TIMEOUT = { timeout: 120_000 };

const without = (field: string): unknown =>
  Object.fromEntries(Object.entries(originalEvent()).filter(([name]) => name !== field));
const having = (change: object): unknown => ({ ...originalEvent(), ...change });

/** What the original refused with 422. */
const REFUSED: Record<string, unknown> = {
  'no event_id': without('event_id'),
  'no topic': without('topic'),
  'no source': without('source'),
  'no payload': without('payload'),
  'no timestamp': without('timestamp'),
  'an event_id that is a number': having({ event_id: 1 }),
  'an empty event_id': having({ event_id: '' }),
  'an empty topic': having({ topic: '' }),
  'a topic of null': having({ topic: null }),
  'a source that is a list': having({ source: ['web-app'] }),
  'a payload that is a string': having({ payload: 'User logged in' }),
  'a payload of null': having({ payload: null }),
  'a payload message that is a number': having({
    payload: { message: 1, timestamp: '2025-10-28T10:00:00Z' },
  }),
  'an invalid payload timestamp': having({ payload: { message: 'x', timestamp: 'now' } }),
  'an invalid timestamp': having({ timestamp: 'yesterday' }),
  'a day that does not exist': having({ timestamp: '2025-02-30T10:00:00Z' }),
  'an event that is a string': 'event-001',
};

test('an event that breaks the schema is refused and nothing is stored [P-6, EVT-1]', TIMEOUT, async (t) => {
  const aggregator = new OriginalClient((await new Site(t).start()).url);
  for (const [what, event] of Object.entries(REFUSED)) {
    await t.test(what, async () => {
      const response = await aggregator.send({ events: [originalEvent({ event_id: 'good' }), event] });
      assert.equal(response.status, 422, await response.text());
      const stats = await aggregator.stats();
      assert.equal(stats.received, 0);
      assert.deepEqual(stats.topics, []);
      assert.equal((await aggregator.events()).count, 0);
    });
  }
  for (const [what, body] of Object.entries({
    'a batch that is not a list': { events: 'all of them' },
    'an empty object': {},
  })) {
    await t.test(what, async () => {
      const response = await aggregator.send(body);
      assert.equal(response.status, 422, await response.text());
    });
  }
  await t.test('a body that is not JSON', async () => {
    const response = await aggregator.send('{"events": [');
    assert.equal(response.status, 400, await response.text());
  });
  assert.equal((await aggregator.stats()).received, 0);
});

test(
  'every event that fits the schema is accepted and returned as it was sent [EVT-6, EVT-7]',
  TIMEOUT,
  async (t) => {
    const aggregator = new OriginalClient((await new Site(t).start()).url);
    const events = [
      originalEvent(),
      ...[
        '2025-10-28T10:00:00+07:00',
        '2025-10-28T10:00:00.123456Z',
        '2025-10-28T10:00:00',
        '2025-10-28T10:00',
        '2025-10-28 10:00:00',
        '2025-10-28',
      ].map((timestamp, i) =>
        originalEvent({ event_id: `time-${i}`, timestamp, payload: { message: '', timestamp } }),
      ),
      originalEvent({ event_id: 'ユーザー-1', topic: 'tindakan/pengguna?', source: 'web app "é" 🚚' }),
    ];
    await aggregator.publish(...events);
    assert.deepEqual((await aggregator.events()).events.map(asOriginal), events);
    const one = await aggregator.events('tindakan/pengguna?');
    assert.deepEqual(one.events.map(asOriginal), [events.at(-1)]);
  },
);

test('a payload may hold more than a message and a timestamp, or less [EVT-6]', TIMEOUT, async (t) => {
  const aggregator = new OriginalClient((await new Site(t).start()).url);
  const payloads = [{}, { message: 'only this' }, { user: { id: 7, roles: ['admin', null] }, ok: true }];
  for (const [i, payload] of payloads.entries()) {
    const response = await aggregator.send({ events: [having({ event_id: `event-${i}`, payload })] });
    assert.equal(response.status, 200, await response.text());
  }
  const { events } = await aggregator.events();
  assert.deepEqual(
    events.map(({ payload }) => payload),
    payloads,
  );
});
