import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { manyEvents } from '../packages/aggregator/test/support/events.ts';
import { Group } from '../packages/aggregator/test/support/group.ts';
import { Receiver, SECRET } from '../packages/aggregator/test/support/receiver.ts';
import { Site } from '../lab/aggregator-process.ts';
import { until } from '../lab/program.ts';
import { withSeedOf } from '../lab/random.ts';

/** WEBHOOK_EVENTS=20000 WEBHOOK_KILLS=50 is a longer run. */
const EVENTS = Number(process.env['WEBHOOK_EVENTS'] || 400);
const KILLS = Number(process.env['WEBHOOK_KILLS'] || 2);
/** A killed instance cannot give back its claim to the group, which ends by itself where other instances could have one. */
const CLAIM_MS_MAX = 45_000;
const RUN_MS = 60_000 + KILLS * 3000 + 10 * EVENTS;

test(
  'a service killed while it sends continues in order, with each event sent, and logs no secret [HOOK-3, HOOK-4, HOOK-1]',
  { timeout: 2 * RUN_MS },
  async (t) => {
    await withSeedOf('WEBHOOK_SEED', async (random) => {
      const site = new Site(t);
      const receiver = await Receiver.start(t, () => (random.chance(0.02) ? 500 : 200));
      let server = await site.startOnFixedPort({
        settings: { WEBHOOK_ALLOW_PRIVATE: 'true', LOG_LEVEL: 'debug' },
      });
      const settings = { APP_PORT: String(server.port), WEBHOOK_ALLOW_PRIVATE: 'true', LOG_LEVEL: 'debug' };
      const group = new Group(server.url, 'hook');
      await group.make({ push: { url: receiver.url, secret: SECRET } });
      for (let from = 0; from < EVENTS; from += 100) {
        await server.publish(...manyEvents(100, (i) => ({ event_id: `${from + i}` })));
      }
      const servers = [server];
      for (let kill = 0; kill < KILLS; kill++) {
        const before = receiver.offsets.length;
        await until(
          () => 'messages',
          async () => {
            // After a failed attempt it waits for seconds; a restart or this makes it continue.
            await group.post('resume');
            return receiver.offsets.length > before;
          },
          CLAIM_MS_MAX,
        );
        await sleep(random.whole(0, 60));
        await server.kill();
        server = await site.start({ settings });
        servers.push(server);
      }
      await until(
        () => `${EVENTS} acknowledged events`,
        async () => {
          await group.post('resume');
          return (await group.view()).acknowledged === EVENTS;
        },
        RUN_MS,
      );
      assert.deepEqual(receiver.faults, []);
      const { offsets } = receiver;
      assert.equal(new Set(offsets).size, EVENTS);
      for (const [i, offset] of offsets.entries()) {
        assert.ok(i === 0 || offset >= offsets[i - 1]!, `offset ${offset} came after ${offsets[i - 1]}`);
      }
      assert.equal((await group.view()).dead, 0);
      await server.stop();
      const key = SECRET.slice('whsec_'.length);
      for (const { program } of servers) assert.ok(!(program.stdout + program.stderr).includes(key));
      t.diagnostic(`${KILLS} kills; ${offsets.length} messages for ${EVENTS} events`);
    });
  },
);
