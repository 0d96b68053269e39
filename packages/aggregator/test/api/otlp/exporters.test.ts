import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { StoreError } from '../../../src/store/event-store.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { type ExporterName, loggersTo } from '../../support/otlp-exporters.ts';
import { TestServer, sharedServer } from '../../support/server.ts';

const service = sharedServer();

/** Logs some lines to this port by the SDK, and waits until it has sent them. */
async function logTo(
  t: TestContext,
  port: number,
  exporter: ExporterName,
  { lines, ...options }: { name: string; lines: number; gzip?: boolean },
): Promise<void> {
  const provider = loggersTo(t, port, exporter, options);
  const logger = provider.getLogger('orders', '1.2.0');
  for (let i = 1; i <= lines; i++) {
    logger.emit({
      severityNumber: 9,
      severityText: 'INFO',
      body: `line ${i}`,
      attributes: { i, list: [1.5, 'two', true], empty: null },
    });
  }
  await provider.forceFlush();
}

const portOf = (server: TestServer): number => Number(new URL(server.url).port);

test('exporters that are cut off before and after the answer retry, and each record is stored once [OTLP-2, OTLP-6, P-2]', async (t) => {
  const server = service();
  const settings: [ExporterName, boolean][] = [
    ['exporter-logs-otlp-http', false],
    ['exporter-logs-otlp-http', true],
    ['exporter-logs-otlp-proto', false],
    ['exporter-logs-otlp-proto', true],
  ];
  await Promise.all(
    settings.map(async ([exporter, gzip]) => {
      const proxy = await CuttingProxy.start(t, portOf(server), '/v1/logs');
      proxy.cuts.push('after', 'before');
      const name = `${exporter}-${gzip}`;
      await logTo(t, proxy.port, exporter, { name, gzip, lines: 20 });
      assert.equal(proxy.done, 2, name);
      const { events } = await server.events(`?topic=logs.${name}`);
      assert.deepEqual(
        events.map(({ payload }) => payload['body']),
        Array.from({ length: 20 }, (_, i) => `line ${i + 1}`),
      );
    }),
  );
  const { received, duplicated_dropped: dropped, conflicts } = await server.stats();
  assert.deepEqual([received, dropped, conflicts], [160, 80, 0]);
});

test('exporters that are refused for a moment come back after the time that they are told [OTLP-4, ERR-5]', async (t) => {
  const store = new MemoryStore();
  const append = store.append.bind(store);
  let refused = 0;
  store.append = async (...group) => {
    if (refused < 2) throw new StoreError('blocked', `no space: ${(refused += 1)}`);
    return append(...group);
  };
  const server = await TestServer.startOn(t, () => store);
  await logTo(t, portOf(server), 'exporter-logs-otlp-proto', { name: 'shop', lines: 3 });
  await logTo(t, portOf(server), 'exporter-logs-otlp-http', { name: 'shop', lines: 3 });
  assert.equal(refused, 2);
  assert.equal((await server.events()).count, 6);
});
