import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { Site } from '../../../../../lab/aggregator-process.ts';
import { withSeedOf } from '../../../../../lab/random.ts';
import { type ExporterName, loggersTo } from '../../support/otlp-exporters.ts';

/** OTLP_KILLS=50 is a longer run. */
const KILLS = Number(process.env['OTLP_KILLS'] || 2);

/** How long an exporter tries one request: several starts of the service. */
const PATIENCE_MS = 60_000;

test(
  'a service killed while exporters send has each record once when it is back [P-1, P-2, OTLP-2, OTLP-6]',
  { timeout: PATIENCE_MS + KILLS * 30_000 },
  async (t) => {
    await withSeedOf('OTLP_SEED', async (random) => {
      const site = new Site(t);
      let server = await site.startOnFixedPort();
      const settings = { APP_PORT: String(server.port) };
      const names: ExporterName[] = ['exporter-logs-otlp-http', 'exporter-logs-otlp-proto'];
      const loggers = names.map((name) =>
        loggersTo(t, server.port, name, { name, patienceMs: PATIENCE_MS, gzip: true }),
      );
      let lines = 0;
      const logging = setInterval(() => {
        lines += 1;
        for (const one of loggers) one.getLogger('orders').emit({ body: `line ${lines}` });
      }, 5);
      t.after(() => clearInterval(logging));
      for (let kill = 0; kill < KILLS; kill++) {
        await sleep(random.whole(100, 500));
        await server.kill();
        server = await site.start({ settings });
      }
      clearInterval(logging);
      await Promise.all(loggers.map((one) => one.forceFlush()));
      for (const name of names) {
        const { events } = await server.get<{ events: StoredEvent[] }>(`/events?topic=logs.${name}`);
        const bodies = events.map(({ payload }) => payload['body'] as string);
        assert.equal(new Set(bodies).size, lines, name);
        assert.equal(bodies.length, lines, name);
      }
    });
  },
);
