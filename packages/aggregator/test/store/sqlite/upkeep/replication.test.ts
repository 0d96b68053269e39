import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { verifyFile } from '../../../../src/store/sqlite/upkeep/verify.ts';
import { manyEvents } from '../../../support/events.ts';
import { TestServer } from '../../../support/server.ts';

test('the service works beside a program that checkpoints its log itself, as Litestream does', async (t) => {
  const server = await TestServer.start(t);
  let published = 0;
  const publish = async (): Promise<void> => {
    const answer = await server.publish(
      ...manyEvents(100, (i) => ({ event_id: `e-${published + i}`, topic: `t${i % 3}` })),
    );
    assert.equal(answer.accepted, 100);
    published += 100;
  };
  await publish();

  // What Litestream does to a file: https://litestream.io/how-it-works/, https://litestream.io/tips/
  const replicator = new DatabaseSync(server.databasePath);
  t.after(() => replicator.close());
  replicator.exec(`
    PRAGMA busy_timeout = 10000;
    PRAGMA wal_autocheckpoint = 0;
    CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
    CREATE TABLE _litestream_lock (id INTEGER);
  `);
  for (let round = 0; round < 10; round++) {
    replicator.exec('BEGIN; SELECT count(*) FROM _litestream_seq');
    await publish();
    await publish();
    replicator.exec(`
      COMMIT;
      INSERT INTO _litestream_seq VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1;
      PRAGMA wal_checkpoint(PASSIVE);
    `);
  }

  // It holds the write lock for a while, and a publish waits.
  replicator.exec('BEGIN IMMEDIATE; INSERT INTO _litestream_lock VALUES (1)');
  const waiting = publish();
  const isFirst = await Promise.race([waiting.then(() => false), sleep(200).then(() => true)]);
  assert.ok(isFirst, 'the publish was answered while another program held the lock');
  replicator.exec('ROLLBACK');
  await waiting;

  const stats = await server.stats();
  assert.equal(stats.received, published);
  assert.equal(stats.unique_processed, published);
  await server.restart();
  assert.equal((await server.events()).count, published);
  await server.close();
  replicator.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  assert.deepEqual(verifyFile(server.databasePath).problems, []);
});
