import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '@chronicleweaver/protocol';
import { ACCEPTED, CONFLICT, DUPLICATE } from '../../../src/store/event-store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { policyWith } from '../../support/letting-go.ts';
import { MOVABLE, everythingIn, moved, openAt, refusalOf } from '../../support/moving.ts';
import { beside } from '../../support/postgres-server.ts';

for (const [from, newSource] of Object.entries(MOVABLE)) {
  for (const [to, newTarget] of Object.entries(MOVABLE)) {
    const named = `from ${from} to ${to}`;

    test(`${named}: the new store holds what the old one held, and knows every id`, async (t) => {
      const [source, target] = [await newSource(t), await newTarget(t)];
      const old = await openAt(t, source);
      const large = manyEvents(6000, (i) => ({ topic: `t-${i % 7}`, event_id: `large-${i}` }));
      await old.append([batchOf(...large)]);
      const small = manyEvents(40, (i) => ({ topic: `s-${i % 3}`, payload: { text: `ü\\"${i}` } }));
      for (const event of small) await old.append([batchOf(event)]);
      // Dropped: they count, and are nowhere else.
      const [again] = await old.append([batchOf(...small, eventWith({ topic: 's-0', payload: {} }))]);
      assert.equal(again!.conflicts, 1);
      const before = await everythingIn(old);
      const [verdicts] = await old.append([batchOf(...small)]);
      const offsets = [...verdicts!.offsets];
      const { received } = await old.stats();
      await old.close();

      assert.deepEqual(await moved(source, target), { kind: 'moved', lastOffset: 6040 });

      const store = await openAt(t, target);
      assert.deepEqual(await everythingIn(store), {
        ...before,
        books: { ...before.books, received, duplicates: 81 },
      });
      const [retried] = await store.append([batchOf(...small)]);
      assert.deepEqual(
        [...retried!.verdicts],
        small.map(() => DUPLICATE),
      );
      assert.deepEqual([...retried!.offsets], offsets);
      const [other] = await store.append([
        batchOf(...small.map((event) => ({ ...event, source: 'another' }))),
      ]);
      assert.deepEqual(
        [...other!.verdicts],
        small.map(() => CONFLICT),
      );
      const [fresh] = await store.append([batchOf(eventWith({ topic: 's-1', event_id: 'fresh' }))]);
      assert.deepEqual([fresh!.verdicts[0], fresh!.offsets[0]], [ACCEPTED, 6041]);

      assert.match(await refusalOf(openAt(t, source)), /was moved to (sqlite|postgres):/);
      await store.close();
      assert.deepEqual((await moved(source, target)).kind, 'moved_before');
    });

    test(`${named}: all policies and sources are moved, also where there are more than may be put`, async (t) => {
      const [source, target] = [await newSource(t), await newTarget(t)];
      const old = await openAt(t, source);
      await old.close();
      const policies = Array.from({ length: LIMITS.policiesMax + 1 }, (_, i) =>
        policyWith({ name: `p-${i}`, topics: [`t-${i}`] }),
      );
      const sources = Array.from({ length: LIMITS.sourcesMax + 1 }, (_, i) => ({
        name: `s-${i}`,
        definition: '{}',
      }));
      // A store that is told to put them refuses the last ones; simultaneous requests to an older version passed that.
      await written(
        t,
        source,
        policies.map((policy) => [policy.name, JSON.stringify(policy)]),
        sources.map(({ name, definition }) => [name, definition]),
      );

      assert.deepEqual(await moved(source, target), { kind: 'moved', lastOffset: 0 });

      const store = await openAt(t, target);
      const byName = (one: { name: string }, other: { name: string }) => (one.name < other.name ? -1 : 1);
      assert.deepEqual(await store.retention.policies(), policies.toSorted(byName));
      assert.deepEqual(
        (await store.sources.list()).map(({ name, definition }) => ({ name, definition })),
        sources.toSorted(byName),
      );
    });
  }
}

/** Writes policies and sources into a store that is closed, past all that judges them. */
async function written(
  t: TestContext,
  address: string,
  policies: readonly string[][],
  sources: readonly string[][],
): Promise<void> {
  if (address.startsWith('sqlite:')) {
    const db = new DatabaseSync(address.slice('sqlite:'.length));
    db.exec('BEGIN');
    const [putPolicy, putSource] = [
      db.prepare('INSERT INTO retention (name, policy) VALUES (?, ?)'),
      db.prepare('INSERT INTO source (name, definition) VALUES (?, ?)'),
    ];
    for (const row of policies) putPolicy.run(...row);
    for (const row of sources) putSource.run(...row);
    db.exec('COMMIT');
    db.close();
    return;
  }
  const client = await beside(t, address);
  for (const [table, rows] of [
    ['policy', policies],
    ['source', sources],
  ] as const) {
    const [names, texts] = [rows.map(([name]) => name), rows.map(([, text]) => text)];
    await client.query(`INSERT INTO ${table} SELECT * FROM unnest($1::text[], $2::text[])`, [names, texts]);
  }
}

test('a log that is moved in several runs, large and small, is whole in the end', async (t) => {
  const [source, target] = [await MOVABLE['sqlite']!(t), await MOVABLE['postgres']!(t)];
  const old = await openAt(t, source);
  let sent = 0;
  for (const events of [4500, 7, 9000, 1]) {
    await old.append([batchOf(...manyEvents(events, (i) => ({ event_id: `${sent + i}` })))]);
    sent += events;
    assert.deepEqual((await moved(source, target)).kind, 'in_use');
  }
  const before = await everythingIn(old);
  await old.close();
  assert.deepEqual(await moved(source, target), { kind: 'moved', lastOffset: sent });
  assert.deepEqual(await everythingIn(await openAt(t, target)), before);
});
