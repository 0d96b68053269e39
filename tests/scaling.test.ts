import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkpointAt, readsPerKey, scalingTables, sizesAt } from '../bench/scaling.ts';
import { textOf } from '../lab/repository.ts';
import { PostgresStore } from '../packages/aggregator/src/store/postgres/store.ts';
import { beside, newLog } from '../packages/aggregator/test/support/postgres-server.ts';

/** As appends do: a hundred at a time, sorted by their hashes. */
const APPEND_KEYS = `
  INSERT INTO key (append_id, place, digest, hash)
  SELECT 1, row_number() OVER (), 0, hash FROM (SELECT gen_random_uuid() AS hash FROM generate_series(1, 100) ORDER BY 1) AS new`;

test('docs/scaling.md has the numbers of the model', () => {
  for (const table of scalingTables()) assert.ok(textOf('docs/scaling.md').includes(`\n${table}\n`), table);
});

test('the sizes of the model are those of a real table and its index', async (t) => {
  const address = await newLog();
  await (await PostgresStore.open(address, undefined, { allowsLoss: true })).close();
  const client = await beside(t, address);
  const appends = 1000;
  await client.query(`DO $$ BEGIN FOR i IN 1..${appends} LOOP ${APPEND_KEYS}; END LOOP; END $$`);
  const { rows } = await client.query<{ table: string; index: string }>(
    `SELECT pg_relation_size('key') AS "table", pg_indexes_size('key') AS index`,
  );
  const { keyBytes, indexBytes } = sizesAt(appends * 100);
  assert.ok(Math.abs(Number(rows[0]!.table) / keyBytes - 1) < 0.01, `${rows[0]!.table} ${keyBytes}`);
  // How full the pages of an index of random hashes are depends on the hashes.
  assert.ok(Math.abs(Number(rows[0]!.index) / indexBytes - 1) < 0.15, `${rows[0]!.index} ${indexBytes}`);
});

test('the index is read from disk when it outgrows memory, and written whole when checkpoints are close', () => {
  assert.equal(readsPerKey(1e6, 2 ** 30), 0);
  assert.ok(readsPerKey(1e9, 2 ** 30) > 0.9);
  const rules = { seconds: 3600, keysPerSecond: 10_000 };
  const close = checkpointAt(1e9, { ...rules, maxWalBytes: 2 ** 30 });
  const far = checkpointAt(1e9, { ...rules, maxWalBytes: 2 ** 40 });
  assert.equal(far.keysBetween, 36_000_000);
  assert.ok(close.walBytesPerKey > 5 * far.walBytesPerKey);
});
