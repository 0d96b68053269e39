import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith, manyEvents } from '../../support/events.ts';
import { beside, newLog } from '../../support/postgres-server.ts';
import { until } from '../../support/until.ts';

test('the room of what was merged, settled and erased is made free without waiting for the server to do it', async (t) => {
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, {
    allowsLoss: true,
    merging: { eventsMax: 8, waitingMax: 8 },
    vacuuming: { mergedBlocks: 8, settledAppends: 4, settledBytes: 10_000, pauseMs: 10 },
  });
  t.after(() => store.close());
  const client = await beside(t, address);
  // The server's own vacuums count elsewhere.
  const vacuumed = async (): Promise<string[]> => {
    const { rows } = await client.query<{ relname: string }>(
      'SELECT relname FROM pg_stat_user_tables WHERE schemaname = current_schema() AND vacuum_count > 0 ORDER BY 1',
    );
    return rows.map(({ relname }) => relname);
  };
  const becomes = (tables: string[]) =>
    until(
      () => tables.join(),
      async () => (await vacuumed()).join() === tables.join(),
    );

  for (let i = 0; i < 12; i++) await store.append([batchOf(eventWith({ event_id: `e-${i}` }))]);
  assert.deepEqual(await vacuumed(), []);
  await store.merge();
  await becomes(['block']);
  for (let i = 0; i < 4; i++) await store.append([batchOf(eventWith({ event_id: `e-${i}` }))]);
  await store.repeats.ages({});
  await becomes(['block', 'histories', 'repeat']);
  await client.query("SELECT pg_stat_reset_single_table_counters('repeat'::regclass)");
  await store.append([batchOf(...manyEvents(100, () => ({ event_id: 'e-1' })))]);
  await store.append([batchOf(eventWith({ event_id: 'e-1' }))]);
  await store.repeats.ages({});
  await becomes(['block', 'histories', 'repeat']);
  await store.retention.erase('orders', 'e-1', false);
  await becomes(['block', 'conflict', 'histories', 'key', 'merged_block', 'repeat']);
});

test('whoever owns no table is told once of each that it cannot vacuum', async (t) => {
  const address = await newLog();
  const owner = await PostgresStore.open(address, undefined, { allowsLoss: true });
  await owner.close();
  const client = await beside(t, address);
  const url = new URL(address);
  const schema = url.searchParams.get('schema')!;
  const role = `role_of_${schema}`;
  await client.query(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${role}`);
  await client.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`);
  url.searchParams.set('user', role);
  const told: string[] = [];
  const store = await PostgresStore.open(url.href, ({ fields }) => told.push(String(fields['reason'])), {
    allowsLoss: true,
    vacuuming: { settledAppends: 1, pauseMs: 10 },
  });
  t.after(() => store.close());
  for (let i = 0; i < 8; i++) {
    await store.append([batchOf(eventWith(), eventWith())]);
    await store.repeats.ages({});
    await sleep(50);
  }
  await until(
    () => `repeat, histories: ${told.join('; ')}`,
    () => told.length >= 2,
  );
  assert.deepEqual(
    told.map((reason) => /"(\w+)"/.exec(reason)?.[1]),
    ['repeat', 'histories'],
  );
});

test('a table at which somebody else is at work is vacuumed later, and nobody is told', async (t) => {
  const address = await newLog();
  const told: unknown[] = [];
  const store = await PostgresStore.open(address, (message) => told.push(message), {
    allowsLoss: true,
    vacuuming: { pauseMs: 10 },
  });
  t.after(() => store.close());
  const client = await beside(t, address);
  const holder = await beside(t, address);
  const vacuumed = async (table: string): Promise<boolean> => {
    const { rows } = await client.query<{ count: string }>(
      'SELECT vacuum_count AS count FROM pg_stat_user_tables WHERE relid = $1::regclass',
      [table],
    );
    return Number(rows[0]!.count) > 0;
  };
  await store.append([batchOf(eventWith())]);
  await holder.query('BEGIN; LOCK TABLE key IN SHARE UPDATE EXCLUSIVE MODE');
  await store.retention.erase('orders', 'e-1', true);
  await until(
    () => 'the tables behind it are vacuumed',
    () => vacuumed('histories'),
  );
  assert.equal(await vacuumed('key'), false);
  await holder.query('COMMIT');
  await until(
    () => 'key is vacuumed',
    () => vacuumed('key'),
  );
  assert.deepEqual(told, []);
  // To cut off what is free at its end, it would take a lock for which a standby waits.
  const { rows } = await client.query<{ bytes: string }>("SELECT pg_relation_size('key') AS bytes");
  assert.ok(Number(rows[0]!.bytes) > 0);
});
