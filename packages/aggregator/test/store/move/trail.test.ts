import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AuditEntry, type AuditQuery, noteOf } from '../../../src/store/audit-store.ts';
import type { EventStore } from '../../../src/store/event-store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { MOVABLE, PAIRS, killed, moved, openAt, problemsOf } from '../../support/moving.ts';
import { beside } from '../../support/postgres-server.ts';
import { StoredGroup } from '../../support/stored-group.ts';
import { TestClock } from '../../support/stores.ts';

const STARTED_MS = Date.UTC(2026, 0, 1);
const HOUR_MS = 3_600_000;
const ALL = { topics: {}, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, before: null, limit: 50 } as const;

/** The newest first. */
async function entriesIn(store: EventStore, query: Partial<AuditQuery> = {}): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for (let before: number | null = null; ;) {
    const page = await store.audit.page({ ...ALL, ...query, before });
    entries.push(...page.entries);
    if (page.next === null) return entries;
    before = page.next;
  }
}

/** Everything that a store tells of its trail. */
async function trailIn(store: EventStore) {
  const range = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, recordsMax: 1e6 };
  return {
    entries: await entriesIn(store),
    ofEvent: await entriesIn(store, { event: { topic: 'orders', eventId: 'e-3' } }),
    ofTopic: await entriesIn(store, {
      topics: { topic: 'hooks' },
      actions: new Set(['dropped', 'delivered']),
    }),
    summary: await store.audit.summary({ ...range, periodMs: null }),
    hours: await store.audit.summary({ ...range, periodMs: HOUR_MS }),
    extent: await store.audit.extent(),
  };
}

async function audited(store: EventStore, clock: TestClock): Promise<void> {
  await store.audit.begin();
  for (const publisher of ['till', 'phone']) {
    const events = manyEvents(40, (i) => ({ topic: i % 3 === 0 ? 'hooks' : 'orders' }));
    await store.append([{ ...batchOf(...events), publisher }, batchOf(eventWith({ source: 'other' }))]);
    clock.ms += HOUR_MS / 2;
    await store.append([batchOf(...manyEvents(3, (i) => ({ event_id: `${publisher} ${i}` })))]);
    const refused = { code: 'invalid_event', topic: 'orders' };
    await store.audit.note([{ ...noteOf('refused', publisher, refused), count: 7 }], false);
    clock.ms += HOUR_MS;
  }
}

for (const { named, source, target } of PAIRS) {
  test(`${named}: the new store has the trail of the old one, and goes on with it [AUD-2, AUD-3, AUD-8]`, async (t) => {
    const [from, to] = [await source(t), await target(t)];
    const clock = new TestClock(STARTED_MS);
    const old = await openAt(t, from, clock);
    await audited(old, clock);
    const group = await StoredGroup.make({ store: old, clock }, { start: 'earliest' });
    await group.take([0, 45], 10);
    await old.close();
    // Once before, so that what is there already is met again.
    await killed(from, to, 'leave', false);
    const again = await openAt(t, from, clock);
    await again.audit.begin();
    await again.audit.note([noteOf('truncated', 'admin', { topic: 'hooks', events: 3 })], false);
    const trail = await trailIn(again);
    assert.ok(trail.entries.some(({ action }) => action === 'delivered'));
    assert.deepEqual(new Set(trail.ofEvent.map(({ action }) => action)), new Set(['accepted', 'dropped', 'delivered'])); // prettier-ignore
    await again.close();

    assert.equal((await moved(from, to)).kind, 'moved');

    assert.deepEqual(await problemsOf(to), []);
    const store = await openAt(t, to, clock);
    assert.deepEqual(await trailIn(store), trail);
    clock.ms += HOUR_MS;
    await store.audit.begin();
    // An append that finds a number taken would try the next one; a note does not.
    await store.audit.note([noteOf('started', null, { version: 'new' })], false);
    const [newest, ...others] = await entriesIn(store);
    assert.equal(newest!.details.version, 'new');
    assert.ok(newest!.number > others[0]!.number);
    assert.deepEqual(others, trail.entries);
    // The oldest go first, as they would have gone.
    while (!(await store.audit.trim(STARTED_MS + HOUR_MS)));
    assert.deepEqual(
      await entriesIn(store),
      [newest!, ...others].filter(({ atMs }) => atMs >= STARTED_MS + HOUR_MS),
    );
    await store.close();
    assert.deepEqual(await problemsOf(to), []);
  });
}

test('a trail with gaps, and with records that came late, has neither in a file [AUD-6]', async (t) => {
  const [from, to] = [await MOVABLE['postgres']!(t), await MOVABLE['sqlite']!(t)];
  const clock = new TestClock(STARTED_MS);
  const old = await openAt(t, from, clock);
  await audited(old, clock);
  const client = await beside(t, from);
  await client.query('DELETE FROM audit WHERE record = 4');
  await client.query('UPDATE audit SET at_ms = $1 WHERE record = 5', [STARTED_MS]);
  const before = await trailIn(old);
  await old.close();
  assert.equal((await moved(from, to)).kind, 'moved');
  assert.deepEqual(await problemsOf(to), []);
  const told = await trailIn(await openAt(t, to, clock));
  const plain = (entries: readonly AuditEntry[]) => entries.map((entry) => ({ ...entry, number: 0 }));
  assert.deepEqual(plain(told.entries), plain(before.entries));
  assert.deepEqual(told.hours, before.hours);
});

test('what an erasure leaves of an event in the trail, a move leaves of it [AUD-5]', async (t) => {
  const [from, to] = [await MOVABLE['sqlite']!(t), await MOVABLE['postgres']!(t)];
  const clock = new TestClock(STARTED_MS);
  const old = await openAt(t, from, clock);
  await audited(old, clock);
  await old.close();
  await killed(from, to, 'leave', false);
  const again = await openAt(t, from, clock);
  assert.ok((await again.retention.erase('orders', 'e-3', true))?.wasKept);
  await again.close();
  assert.equal((await moved(from, to)).kind, 'moved');
  const { entries, ofEvent } = await trailIn(await openAt(t, to, clock));
  assert.deepEqual(ofEvent, []);
  const ofIt = entries.filter(({ offset }) => offset === 3);
  assert.ok(ofIt.length >= 2 && ofIt.every(({ eventId }) => eventId === null));
});
