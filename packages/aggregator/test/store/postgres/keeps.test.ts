import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { PostgresServer } from '../../../../../lab/postgres-server.ts';
import type { AppendResult } from '../../../src/store/event-store.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { until } from '../../support/until.ts';

/** A server that keeps what it confirms, and whoever changes that while a store is open. */
async function kept(t: TestContext, before: string[] = []) {
  const server = await PostgresServer.start();
  const admin = new Client(server.address());
  await admin.connect();
  for (const statement of before) await admin.query(statement);
  const store = await PostgresStore.open(server.newLog());
  const set = async (setting: string, value: string): Promise<void> => {
    await admin.query(`ALTER SYSTEM SET ${setting} = '${value}'`);
    await admin.query('SELECT pg_reload_conf()');
  };
  t.after(async () => {
    await admin.query('ALTER SYSTEM RESET ALL');
    await admin.query('SELECT pg_reload_conf()');
    await Promise.all([store.close(), admin.end()]);
    await server.close();
  });
  let last = 0;
  const append = (): Promise<AppendResult[]> =>
    store.append([batchOf(eventWith({ event_id: `${(last += 1)}` }))]);
  return { store, append, set };
}

for (const setting of ['fsync', 'full_page_writes']) {
  test(`nothing is acknowledged while ${setting} is off, also where sessions are older than that [P-1]`, async (t) => {
    const { store, append, set } = await kept(t);
    await append();
    const definition = {
      topics: ['>'],
      start: 'earliest',
      leaseMs: 1000,
      deliveriesMax: 5,
      push: null,
    } as const;
    const [created] = await store.groups.apply([['create', { name: 'g', ...definition }]]);
    assert.equal(created.kind, 'created');
    // All sessions of readers, which the background takes, too: a new one would be refused from now on.
    await Promise.all(Array.from({ length: 4 }, () => store.snapshot({ order: 'asc', after: 0 })));
    await set(setting, 'off');
    const errors: unknown[] = [];
    let lastOffset = 0;
    await until(
      () => 'the server has taken note',
      async () => {
        ({ lastOffset } = await store.snapshot({ order: 'asc', after: 0 }));
        await append().catch((error: unknown) => errors.push(error));
        return errors.length > 0;
      },
    );
    // In the sessions that were there before: a new one is refused as at the start.
    const refused = {
      code: 'blocked',
      message: /fsync or full_page_writes of the database is off.*set it on/,
    };
    await assert.rejects(Promise.reject(errors[0]), refused);
    await assert.rejects(store.groups.apply([['create', { name: 'h', ...definition }]]), refused.message);
    await assert.rejects(append(), /is off.*set it on/);
    await assert.rejects(store.probe(), /is off.*set it on/);
    assert.equal((await store.snapshot({ order: 'asc', after: 0 })).lastOffset, lastOffset);
    await set(setting, 'on');
    await until(
      () => 'the server has taken note',
      () => append().then(() => true, () => false), // prettier-ignore
    );
    await store.probe();
  });
}

test('a commit waits for a standby that is named while the store is open, whatever the server takes for enough [P-1]', async (t) => {
  const { append, set } = await kept(t, ['ALTER ROLE postgres SET synchronous_commit = local']);
  await append();
  await set('synchronous_standby_names', 'nobody');
  let waiting: Promise<unknown> | undefined;
  await until(
    () => 'a commit waits',
    async () => {
      waiting = append();
      return (await Promise.race([waiting, sleep(500, 'waits')])) === 'waits';
    },
  );
  await set('synchronous_standby_names', '');
  await waiting;
});
