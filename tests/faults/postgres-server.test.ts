import assert from 'node:assert/strict';
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { beside } from '../../packages/aggregator/test/support/postgres-server.ts';
import { tempFolder } from '../../lab/lifetime.ts';
import { PostgresServer, nativeFolder } from '../../lab/postgres-server.ts';

// The server that the tests bring must come up wherever somebody has cloned this repository.

test("the tests' server comes up though its user may not enter the folder that npm has put it in, and leaves nothing", async (t) => {
  // Made for its owner alone.
  using home = tempFolder();
  const native = join(home.path, 'native');
  cpSync(await nativeFolder(), native, { recursive: true, verbatimSymlinks: true });
  const server = await PostgresServer.start({ bin: join(native, 'bin') });
  assert.equal(existsSync(join(server.folder, 'server')), process.getuid?.() === 0);
  const client = await beside(t, server.address());
  assert.deepEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  await server.close();
  assert.ok(!existsSync(server.folder));
});

test('a server that does not start says why, and what there is none of is named', async () => {
  await assert.rejects(PostgresServer.start({ settings: { shared_buffers: 'many' } }), (error: Error) => {
    assert.match(error.message, /^PostgreSQL, start: .*exit code 1/);
    assert.match(error.message, /invalid value for parameter "shared_buffers": "many"/);
    return true;
  });
  await assert.rejects(
    PostgresServer.start({ bin: '/missing' }),
    /TEST_POSTGRES_BIN is \/missing: there is no initdb/,
  );
});
