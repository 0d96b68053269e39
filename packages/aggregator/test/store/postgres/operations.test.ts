import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textOf } from '../../../../../lab/repository.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, manyEvents } from '../../support/events.ts';
import { beside, newLog } from '../../support/postgres-server.ts';

// What docs/operations.md tells an operator about the database.

const LOSSY = { allowsLoss: true };

/** The most that an instance has open (docs/operations.md, "Sizing"). */
const CONNECTIONS_MAX = 9;

test('every query of the section on PostgreSQL runs, and each finds something on a log in use', async (t) => {
  const section = /^## PostgreSQL\n.*?(?=^## |$(?![^]))/ms.exec(textOf('docs/operations.md'))![0];
  const queries = [...section.matchAll(/```sql\n(.*?)```/gs)].flatMap(([, block]) => block!.split(/;\n/));
  const asked = queries.map((query) => query.trim()).filter((query) => query.startsWith('SELECT'));
  assert.ok(asked.length >= 8, String(asked.length));
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, LOSSY);
  t.after(() => store.close());
  await store.append([batchOf(...manyEvents(10))]);
  const client = await beside(t, address);
  const schema = new URL(address).searchParams.get('schema')!;
  for (const query of asked) {
    // The schema has the name that applications have, too.
    const here = query.replaceAll(/(?<!application_name = ')chronicleweaver\b/g, schema);
    const { rowCount } = await client.query(here);
    // There is no standby, and no slot.
    if (!/pg_stat_replication|pg_replication_slots/.test(query)) assert.ok(rowCount! > 0, query);
  }
});

test('a plain role makes its log in a schema that it owns, without a right in the database', async (t) => {
  const address = await newLog();
  const operator = await beside(t, address);
  const url = new URL(address);
  const schema = url.searchParams.get('schema')!;
  const role = `role_of_${schema}`;
  await operator.query(`CREATE ROLE ${role} LOGIN`);
  await operator.query(`CREATE SCHEMA ${schema} AUTHORIZATION ${role}`);
  url.searchParams.set('user', role);
  const store = await PostgresStore.open(url.href, undefined, LOSSY);
  t.after(() => store.close());
  await store.append([batchOf(...manyEvents(3))]);
  assert.equal((await store.stats()).accepted, 3);
});

test('an instance under load opens no more connections than an operator counts with', async (t) => {
  const url = new URL(await newLog());
  const client = await beside(t, await newLog());
  const name = `counted_${url.searchParams.get('schema')}`;
  await client.query(`CREATE ROLE ${name} LOGIN SUPERUSER`);
  url.searchParams.set('user', name);
  const store = await PostgresStore.open(url.href, undefined, LOSSY);
  t.after(() => store.close());
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      await store.append([batchOf(...manyEvents(20, () => ({ topic: `t-${i}` })))]);
      await Promise.all([store.stats(), store.topics(), store.find(`t-${i}`, 'e-1')]);
    }),
  );
  const { rows } = await client.query<{ count: string }>(
    'SELECT count(*) FROM pg_stat_activity WHERE usename = $1',
    [name],
  );
  const count = Number(rows[0]!.count);
  assert.ok(count >= 4 && count <= CONNECTIONS_MAX, `${count} connections`);
});
