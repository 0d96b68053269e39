import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Program } from '../../../lab/program.ts';
import { groupsOn } from './support/groups.ts';
import { SHOPS, type ShopAddress } from './support/inbox-shops.ts';
import type { WorkerOptions } from './support/inbox-worker.ts';
import { sharedServer } from './support/shared-server.ts';

const WORKER = fileURLToPath(new URL('support/inbox-worker.ts', import.meta.url));
const EVENTS = 120;
const EXIT_MS = 30_000;

const server = await sharedServer();
const groupOf = groupsOn(server);

/** Between every two steps that a worker takes with an event, and with the rows that it removes at its start. */
const STEPS: Readonly<Record<ShopAddress['kind'], { readonly event: string[]; readonly removal: string[] }>> =
  {
    postgres: {
      event: [
      'before pull', 'after pull', 'before connect', 'after connect', 'before begin', 'after begin', 'before note',
      'during note', 'after note', 'before effect', 'after effect', 'before sum', 'after sum', 'before commit',
      'during commit', 'after commit', 'before ack', 'after ack',
    ], // prettier-ignore
      removal: ['after look for old rows', 'after dead', 'before remove', 'during remove', 'after remove'],
    },
    sqlite: {
      event: [
      'before pull', 'after pull', 'before begin', 'after begin', 'before note', 'after note', 'before effect',
      'after effect', 'before sum', 'after sum', 'before commit', 'after commit', 'before ack', 'after ack',
    ], // prettier-ignore
      removal: ['after look for old rows', 'after dead', 'before remove', 'after remove'],
    },
  };

for (const [database, open] of SHOPS) {
  test(
    `${database}: workers of one group, two at a time, are killed between every two steps, and each event has its effect once`,
    { timeout: 180_000 },
    async (t) => {
      const shop = await open(t);
      const { name, first, group, drained } = await groupOf(t, EVENTS, {
        lease_ms: 600,
        max_deliveries: 1000,
      });
      const start = (step: string | null, time: number, transactionEventsMax: number): Program => {
        const options: WorkerOptions = {
          url: server.url,
          group: name,
          shop: shop.address,
          transactionEventsMax,
          step,
          time,
        };
        const worker = new Program([process.execPath, WORKER, JSON.stringify(options)], {
          cwd: process.cwd(),
        });
        t.after(() => worker.kill());
        return worker;
      };
      const kill = async (step: string, time: number, transactionEventsMax: number): Promise<void> => {
        const worker = start(step, time, transactionEventsMax);
        const ended = await worker.exit(EXIT_MS).catch(() => null);
        assert.equal(ended?.signal, 'SIGKILL', `${step}: it did not come there\n${worker.printed()}`);
        // So all rows may go, but for those of events that are not settled.
        await shop.age();
      };
      const { event, removal } = STEPS[shop.address.kind];
      const work = async (from: number): Promise<void> => {
        for (let i = from; i < event.length; i += 2) {
          const isShared = Math.floor(i / 2) % 2 === 1;
          await kill(event[i]!, isShared ? 2 : 1, isShared ? 3 : 1);
        }
      };
      await Promise.all([work(0), work(1)]);
      // The rows below go only once the group has settled its first event, and a killed worker may still have its lease.
      while ((await group()).cursor < first) await kill('after ack', 1, 1);
      for (const step of removal) {
        await shop.sql(`INSERT INTO chronicle_inbox (group_name, topic, event_id, event_offset)
                        VALUES ('${name}', 'of the past', '${step}', ${first})`);
        await shop.age();
        await kill(step, 1, 1);
        // Else the row that comes next might be removed as well.
        await shop.quiet();
      }
      const last = [start(null, 1, 1), start(null, 1, 3)];
      await drained();
      await Promise.all(last.map((worker) => worker.kill()));

      const ids = Array.from({ length: EVENTS }, (_, i) => `e-${i + 1}`);
      assert.deepEqual(await shop.effects(), ids);
      assert.equal(await shop.balance(), EVENTS);
      const { acknowledged, dead, deliveries } = await group();
      assert.deepEqual([acknowledged, dead], [EVENTS, 0]);
      const noted = (await shop.notes()).filter(({ event_id }) => event_id.startsWith('e-'));
      assert.ok(noted.length < EVENTS, 'rows were removed');
      t.diagnostic(`${event.length + removal.length} kills, ${deliveries} deliveries of ${EVENTS} events`);
    },
  );
}
