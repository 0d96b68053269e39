import assert from 'node:assert/strict';
import type { RetentionStore } from '../../src/store/retention-store.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import { expireTo } from '../support/letting-go.ts';
import {
  LEASE_MS,
  StoredGroup,
  handsOf,
  leases,
  readAhead,
  said,
  suite,
  type Setting,
} from '../support/stored-group.ts';

/** Takes what was read ahead; resolves with the offsets that were given out, and the group's count of expired events. */
async function taken(group: StoredGroup, ahead: ReturnType<typeof readAhead> | null, eventsMax: number) {
  const request = { demands: [eventsMax], bytesMax: 1000, readAhead: ahead, outstandingMax: 50 };
  const [hand] = handsOf((await group.step('take', group.id, request))!);
  const { position, expired } = await group.state();
  return { offsets: hand!.map(([offset]) => offset), position, expired };
}

/** Tests a behaviour on every store that lets go. */
function retaining(
  behaviour: string,
  run: (setting: Setting, retention: RetentionStore) => Promise<void>,
): void {
  suite(behaviour, async (setting) => {
    await run(setting, setting.store.retention);
  });
}

suite(
  'expired events that were read ahead are counted when the position passes them, each once [RET-30]',
  async (setting) => {
    const group = await StoredGroup.make(setting);
    assert.equal((await group.state()).expired, 0);
    const gone = [1, 2, 4, 7, 10];
    assert.deepEqual(await taken(group, readAhead(0, 10, gone), 1), {
      offsets: [3],
      position: 3,
      expired: 2,
    });
    // From a place that the position has left: what lies behind it is not counted again.
    assert.deepEqual(await taken(group, readAhead(0, 10, gone), 0), { offsets: [], position: 3, expired: 2 });
    assert.deepEqual(await taken(group, readAhead(3, 10, gone), 2), {
      offsets: [5, 6],
      position: 6,
      expired: 3,
    });
    assert.deepEqual(await taken(group, readAhead(6, 10, gone), 2), {
      offsets: [8, 9],
      position: 10,
      expired: 5,
    });
    assert.deepEqual(await taken(group, readAhead(10, 10), 2), { offsets: [], position: 10, expired: 5 });
  },
);

suite('a stretch of nothing but expired events is passed over, and counted [RET-30]', async (setting) => {
  const group = await StoredGroup.make(setting);
  const gone = [1, 2, 3, 4, 5, 6, 7];
  assert.deepEqual(await taken(group, readAhead(0, 7, gone), 5), { offsets: [], position: 7, expired: 7 });
  const { cursor, deliveries } = await group.state();
  assert.deepEqual({ cursor, deliveries }, { cursor: 7, deliveries: 0 });
});

retaining(
  'a store that looks for fresh events itself passes over expired ones of the topics, and counts them; bare ones it does not count [RET-30, RET-6]',
  async (setting, retention) => {
    const { store } = setting;
    await retention.put({
      name: 'seen',
      topics: ['bare'],
      keep: 'ids',
      maxAgeMs: null,
      maxBytes: null,
      maxEvents: null,
      idsMs: null,
      pastGroups: false,
      heldMaxMs: null,
    });
    const topics = ['mine', 'other', 'bare'];
    await store.append([batchOf(...manyEvents(15, (i) => ({ topic: topics[i % 3]!, event_id: `t-${i}` })))]);
    const group = await StoredGroup.make(setting, { topics: ['mine', 'bare'] });
    // Those of the group: 11, 14, 17, 20 and 23, of which the first two and the fourth are gone.
    await expireTo(retention, 15, 'mine', 'other');
    await retention.erase('mine', 't-9', false);
    assert.deepEqual(await taken(group, null, 1), { offsets: [17], position: 22, expired: 3 });
    assert.deepEqual(await taken(group, null, 9), { offsets: [23], position: 25, expired: 3 });
  },
);

retaining(
  'a placed page says how many expired events lie before each event, and behind the last [RET-30]',
  async ({ store }, retention) => {
    for (const i of [1, 2, 4, 7, 10]) assert.ok(await retention.erase(eventWith().topic, `e-${i}`, false));
    const query = { order: 'asc', after: 0, upTo: 10, framing: 'array', placed: true } as const;
    const page = await store.read({ ...query, eventsMax: 9 });
    assert.deepEqual([...page.offsets!], [3, 5, 6, 8, 9]);
    assert.deepEqual([...page.expiredBefore!], [2, 1, 0, 1, 0]);
    assert.equal(page.expired, 5);
  },
);

suite(
  'taken events whose texts are gone are settled as expired, and the delivery that found nothing does not count [RET-31]',
  async (setting) => {
    const group = await StoredGroup.make(setting);
    await group.take([0, 5], 5);
    await group.step('giveBack', group.id, leases([1, 1], [1, 2]), 0);
    await group.take([5, 5], 2);
    const books = async () => {
      const { cursor, leased, deliveries, redeliveries, acknowledged, expired } = await group.state();
      return { cursor, leased, deliveries, redeliveries, acknowledged, expired };
    };
    assert.deepEqual(await books(), { cursor: 0, leased: 5, deliveries: 7, redeliveries: 2, acknowledged: 0, expired: 0 }); // prettier-ignore
    const gone = leases([2, 1], [1, 4]);
    assert.deepEqual(said(await group.step('expire', group.id, gone)), ['done', 'done']);
    const after = { cursor: 1, leased: 3, deliveries: 5, redeliveries: 1, acknowledged: 0, expired: 2 };
    assert.deepEqual(await books(), after);
    assert.deepEqual(said(await group.step('expire', group.id, gone)), ['settled', 'settled'], 'again');
    assert.deepEqual(said(await group.step('acknowledge', group.id, gone)), ['settled', 'settled']);
    group.clock.ms += LEASE_MS;
    assert.deepEqual(said(await group.step('expire', group.id, leases([2, 2], [3, 9]))), [
      'expired',
      'unknown',
    ]);
    assert.deepEqual(await books(), { ...after, leased: 0 });
    assert.deepEqual(handsOf(await group.take([5, 5], 9)), [[[3, 2], [5, 2], [2, 3]]]); // prettier-ignore
  },
);

retaining('a lease stays good while its event expires [RET-32]', async (setting, retention) => {
  const group = await StoredGroup.make(setting);
  await group.take(null, 3);
  await expireTo(retention, 10);
  assert.deepEqual(said(await group.step('acknowledge', group.id, leases([1, 1]))), ['done']);
  assert.deepEqual(said(await group.step('extend', group.id, leases([1, 2]), 2 * LEASE_MS)), ['done']);
  const { acknowledged, expired, leased } = await group.state();
  assert.deepEqual({ acknowledged, expired, leased }, { acknowledged: 1, expired: 0, leased: 2 });
});

suite('a group tells which events it waits for, leased or returned, in order', async (setting) => {
  const group = await StoredGroup.make(setting);
  assert.deepEqual(await group.step('outstanding', group.id, 0, 9), []);
  await group.take([0, 6], 2, 3);
  await group.step('acknowledge', group.id, leases([1, 2], [2, 4]));
  await group.step('giveBack', group.id, leases([2, 3]), 500);
  assert.deepEqual(await group.step('outstanding', group.id, 0, 9), [1, 3, 5]);
  assert.deepEqual(await group.step('outstanding', group.id, 1, 1), [3]);
  assert.deepEqual(await group.step('outstanding', group.id, 5, 9), []);
  assert.deepEqual(await group.step('returned', group.id, 0, 9), [3]);
  setting.clock.ms += LEASE_MS;
  assert.deepEqual(await group.step('returned', group.id, 0, 9), [1, 3, 5]);
  assert.deepEqual(await group.step('returned', group.id, 1, 1), [3]);
});

retaining(
  'the earliest place is below the first kept event of the topics, so that a group which begins there has lost nothing; a seek below counts what it passes [RET-35]',
  async (setting, retention) => {
    const { store } = setting;
    const topics = ['a', 'b', 'b', 'a', 'b'];
    await store.append([batchOf(...topics.map((topic, i) => eventWith({ topic, event_id: `s-${i}` })))]);
    const beginsAt = async (name: string, ...patterns: string[]): Promise<number> => {
      const group = await StoredGroup.make(setting, { name, topics: patterns });
      return (await group.state()).position;
    };
    assert.equal(await beginsAt('before', 'b'), 0, 'while nothing has expired');
    await expireTo(retention, 13, 'b');
    assert.equal(await beginsAt('a', 'a'), 0);
    assert.equal(await beginsAt('b', 'b'), 14);
    assert.equal(await beginsAt('both', 'a', 'b'), 10);
    await expireTo(retention, 15, 'b');
    assert.equal(await beginsAt('none', 'b'), 15, 'nothing is kept');

    const group = await StoredGroup.make(setting, { name: 'seeks', topics: ['a', 'b'], start: 'latest' });
    assert.deepEqual(await group.step('seek', group.id, 'earliest'), { kind: 'sought', position: 10 });
    assert.deepEqual(await group.step('seek', group.id, { offset: 12 }), { kind: 'sought', position: 11 });
    assert.deepEqual(await taken(group, null, 9), { offsets: [14], position: 15, expired: 3 });
  },
);
