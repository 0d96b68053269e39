import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { AUDIT_TIMING, AuditTrail } from '../../src/audit/audit-trail.ts';
import type { AuditEntry, AuditNote } from '../../src/store/audit-store.ts';
import { StoreError } from '../../src/store/event-store.ts';
import { MemoryStore } from '../../src/store/memory/store.ts';
import { batchOf, eventWith } from '../support/events.ts';
import { TestClock } from '../support/stores.ts';
import { until } from '../support/until.ts';

const DAY_MS = 86_400_000;

async function trailOn(
  t: TestContext,
  store: MemoryStore,
  change: { isOn?: boolean; gatherMs?: number; trimEveryMs?: number } = {},
): Promise<AuditTrail> {
  const { isOn = true, ...timing } = change;
  const trail = await AuditTrail.open({
    store,
    isOn,
    retentionMs: DAY_MS,
    timing: { ...AUDIT_TIMING, ...timing },
    log: pino({ level: 'silent' }),
  });
  t.after(() => trail.close());
  return trail;
}

async function entriesOf(store: MemoryStore): Promise<AuditEntry[]> {
  const all = { topics: {}, fromMs: 0, toMs: Infinity, before: null, limit: 10_000 };
  return [...(await store.audit.page(all)).entries].toReversed();
}

/** A store whose trail can be made to refuse notes. */
class FailingStore extends MemoryStore {
  isFailing = false;

  constructor() {
    super();
    const { audit } = this;
    const note = audit.note.bind(audit);
    audit.note = async (notes: readonly AuditNote[]) => {
      if (this.isFailing) throw new StoreError('blocked', 'no space');
      return note(notes);
    };
  }
}

test('a flood of refusals takes bounded memory, and what does not fit is told as lost [AUD-4]', async (t) => {
  const store = new MemoryStore();
  const trail = await trailOn(t, store, { gatherMs: 60_000 });
  for (let i = 0; i < 2500; i++) {
    trail.refused({ code: 'forbidden_topic', key: 'till', topic: `t-${i % 1500}`, count: 1 });
  }
  assert.equal(trail.lost, 500);
  await trail.close();
  const entries = await entriesOf(store);
  const refused = entries.filter(({ action }) => action === 'refused');
  assert.equal(refused.length, 1000);
  assert.equal(refused.reduce((sum, { count }) => sum + count, 0), 2000); // prettier-ignore
  assert.deepEqual([entries.at(-1)!.action, entries.at(-1)!.count], ['lost', 500]);
});

test('refusals that the store does not take are told as lost once it does [AUD-4]', async (t) => {
  const store = new FailingStore();
  const trail = await trailOn(t, store, { gatherMs: 1 });
  store.isFailing = true;
  trail.refused({ code: 'queue_full', key: null, count: 2 });
  await until(
    () => `${trail.lost} lost`,
    () => trail.lost === 2,
  );
  await assert.rejects(trail.done('erased', null, { offset: 1 }), { code: 'blocked' });
  store.isFailing = false;
  trail.refused({ code: 'queue_full', key: null, count: 3 });
  await until(
    () => 'the note',
    async () => (await entriesOf(store)).some(({ action }) => action === 'lost'),
  );
  const counts = (await entriesOf(store)).map(({ action, count }) => [action, count]);
  assert.deepEqual(counts, [['started', 1], ['refused', 3], ['lost', 2]]); // prettier-ignore
  assert.equal(trail.lost, 2);
});

test('what is too old goes, also where the trail is off by now [AUD-8]', async (t) => {
  for (const isOn of [true, false]) {
    const clock = new TestClock(Date.now());
    const store = new MemoryStore(clock.now);
    await store.audit.begin();
    await store.append([batchOf(eventWith())]);
    clock.ms += DAY_MS;
    await store.append([batchOf(eventWith())]);
    await trailOn(t, store, { isOn, trimEveryMs: 1 });
    assert.equal((await entriesOf(store))[0]!.action, 'accepted');
    clock.ms += 1;
    await until(
      () => 'the oldest goes',
      async () => (await entriesOf(store))[0]!.action === 'dropped',
    );
  }
});
