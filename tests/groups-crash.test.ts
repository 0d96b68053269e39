import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { manyEvents } from '../packages/aggregator/test/support/events.ts';
import { Group } from '../packages/aggregator/test/support/group.ts';
import { verifyFile } from '../packages/aggregator/src/store/sqlite/upkeep/verify.ts';
import { Site } from '../lab/aggregator-process.ts';
import type { WorkerLine } from './support/group-worker.ts';
import { type Program, until } from '../lab/program.ts';
import { withSeedOf } from '../lab/random.ts';

const WORKER = fileURLToPath(new URL('support/group-worker.ts', import.meta.url));

/** GROUP_EVENTS=200000 GROUP_KILLS=100 is a longer run. */
const EVENTS = Number(process.env['GROUP_EVENTS'] || 1200);
const KILLS = Number(process.env['GROUP_KILLS'] || 3);
const RUN_MS = 60_000 + KILLS * 3000 + EVENTS;
const WORKERS = 3;
/** Longer than a worker on a busy machine takes from its pull to its acknowledgement. */
const LEASE_MS = 1000;

interface Delivery {
  readonly delivery: number;
  readonly askedMs: number;
  readonly atMs: number;
}

test(
  'kills of workers and server lose no event; none comes again after its acknowledgement was answered, none before its lease ran out, and each delivery is counted [GRP-5, GRP-7, GRP-8]',
  { timeout: 2 * RUN_MS },
  async (t) => {
    await withSeedOf('GROUP_SEED', async (random) => {
      const site = new Site(t);
      let server = await site.startOnFixedPort();
      const settings = { APP_PORT: String(server.port) };
      const group = new Group(server.url);
      await group.make({ lease_ms: LEASE_MS, max_deliveries: 1000 });

      const deliveries = new Map<number, Delivery[]>();
      const acknowledgedMs = new Map<number, number>();
      const gaveBackMs = new Map<number, number>();
      const faults: string[] = [];
      const hear = (text: string): void => {
        const line = JSON.parse(text) as WorkerLine;
        if ('fault' in line) faults.push(line.fault);
        else if ('got' in line) {
          for (const [offset, delivery] of line.got) {
            const { askedMs, atMs } = line;
            const all = deliveries.get(offset) ?? [];
            deliveries.set(offset, all);
            all.push({ delivery, askedMs, atMs });
          }
        } else if ('acknowledged' in line) {
          for (const offset of line.acknowledged) {
            if (!acknowledgedMs.has(offset)) acknowledgedMs.set(offset, line.atMs);
          }
        } else for (const offset of line.gaveBack) gaveBackMs.set(offset, line.askedMs);
      };
      const startWorker = (): Program =>
        site.run([process.execPath, WORKER, server.url, group.name, `${random.whole(0, 1e9)}`], {}, hear);
      const workers = Array.from({ length: WORKERS }, startWorker);
      const published = (async () => {
        for (let from = 0; from < EVENTS;) {
          const count = Math.min(500, EVENTS - from);
          try {
            await server.publish(...manyEvents(count, (i) => ({ event_id: `${from + i}` })));
            from += count;
          } catch {
            await sleep(20);
          }
        }
      })();

      for (let kill = 0; kill < KILLS; kill++) {
        // All are at work again.
        const before = acknowledgedMs.size;
        await until(
          () => 'acknowledgements',
          () => acknowledgedMs.size > before || acknowledgedMs.size === EVENTS,
        );
        await sleep(random.whole(0, 150));
        if (kill % 2 === 0) {
          await server.kill();
          server = await site.start({ settings });
        } else {
          const place = random.whole(0, WORKERS - 1);
          await workers[place]!.kill();
          workers[place] = startWorker();
        }
      }
      await published;
      await until(
        () => `the end of the group\n${workers.map((worker) => worker.printed()).join('\n')}`,
        async () => (await group.view()).acknowledged === EVENTS,
        RUN_MS,
      );
      await Promise.all(workers.map((worker) => worker.kill()));
      assert.deepEqual(faults, []);

      const view = await group.view();
      assert.deepEqual(
        { ...view, deliveries: 0, redeliveries: 0, created_at: '' },
        { ...view, cursor: EVENTS, lag: 0, in_flight: 0, returned: 0, dead: 0, deliveries: 0, redeliveries: 0, created_at: '' }, // prettier-ignore
      );
      let seen = 0;
      for (let offset = 1; offset <= EVENTS; offset++) {
        const all = (deliveries.get(offset) ?? []).toSorted((a, b) => a.delivery - b.delivery);
        seen += all.length;
        const ackMs = acknowledgedMs.get(offset);
        for (const [i, { delivery, askedMs, atMs }] of all.entries()) {
          const where = `offset ${offset}, delivery ${delivery}`;
          assert.ok(ackMs === undefined || askedMs < ackMs, `${where}: its acknowledgement was answered`);
          const before = all[i - 1];
          if (before === undefined) continue;
          assert.ok(delivery > before.delivery, `${where} was given twice`);
          // The leases' clock is not the workers'.
          const hasRunOut = atMs > before.askedMs + LEASE_MS - 20;
          assert.ok(hasRunOut || gaveBackMs.has(offset), `${where}: the lease before it had not run out`);
        }
      }
      assert.ok(view.deliveries >= seen, `${view.deliveries} deliveries are counted, ${seen} were seen`);
      assert.equal(view.redeliveries, view.deliveries - EVENTS);
      await server.kill();
      assert.deepEqual(verifyFile(site.databasePath).problems, []);
      t.diagnostic(
        `${KILLS} kills; ${view.deliveries} deliveries of ${EVENTS} events, ${seen} of them seen by workers`,
      );
    });
  },
);
