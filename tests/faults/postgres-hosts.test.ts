import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PostgresServer } from '../../lab/postgres-server.ts';
import { StoreError } from '../../packages/aggregator/src/store/event-store.ts';
import { PostgresStore } from '../../packages/aggregator/src/store/postgres/store.ts';
import { batchOf, eventWith } from '../../packages/aggregator/test/support/events.ts';
import { all } from '../../packages/aggregator/test/support/store-suites.ts';

// Two servers named in one address, and nothing else between them and the instances.

const TIMEOUT = { timeout: 240_000 };

test(
  'with both servers named the standby may be first, the one that is promoted is found, and where both are down both are named [P-1, P-2]',
  TIMEOUT,
  async (t) => {
    const primary = await PostgresServer.start({ listens: true });
    t.after(() => primary.close());
    const standby = await PostgresServer.start({ listens: true, primary });
    t.after(() => standby.close());
    await primary.waitFor(standby);
    const [first, second] = [standby, primary].map(({ port }) => `127.0.0.1:${port}`);
    const address = `postgres://postgres:hidden@${first},${second}/postgres?schema=events`;
    const store = await PostgresStore.open(address);
    t.after(() => store.close());
    const other = await PostgresStore.open(address);
    t.after(() => other.close());
    assert.equal(store.about.database, `postgres://${first},${second}/postgres?schema=events`);
    await store.append([batchOf(eventWith({ event_id: 'before' }))]);

    await primary.kill();
    // Publishing goes on by itself: this one waits for the promotion.
    const during = store.append([batchOf(eventWith({ event_id: 'during' }))]);
    await standby.promote();
    await during;
    const alone = await standby.connect();
    await alone.query("ALTER SYSTEM SET synchronous_standby_names = ''");
    await alone.end();
    await other.append([batchOf(eventWith({ event_id: 'during' }), eventWith({ event_id: 'after' }))]);
    for (const one of [store, other]) {
      assert.deepEqual((await all(one)).map((event) => event.event_id), ['before', 'during', 'after']); // prettier-ignore
    }
    // It hears of what the other one publishes, so its listening connection has found the new primary, too.
    const heard = new Promise<void>((resolve) => {
      const end = store.watch(3, ({ lastOffset }) => {
        if (lastOffset < 4) return;
        end();
        resolve();
      });
    });
    await other.append([batchOf(eventWith({ event_id: 'heard' }))]);
    await heard;

    await standby.kill();
    await assert.rejects(store.append([batchOf(eventWith({ event_id: 'late' }))]), (error) => {
      assert.ok(error instanceof StoreError, String(error));
      assert.ok(error.message.includes(`${first}: `) && error.message.includes(`${second}: `), error.message);
      assert.ok(!error.message.includes('hidden'), error.message);
      return true;
    });
  },
);
