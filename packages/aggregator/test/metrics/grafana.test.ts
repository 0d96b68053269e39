import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textOf } from '../../../../lab/repository.ts';
import { alertsIn, expressionsIn } from '../support/grafana.ts';
import { scraped } from '../support/metrics.ts';
import { sharedServer } from '../support/server.ts';

const service = sharedServer({ METRICS_TOPICS: '>' });

test('dashboard and alerts ask only for figures that there are', async () => {
  const { text } = await scraped(service().url);
  const families = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!));
  const asked = [...expressionsIn(), ...alertsIn().map(({ expr }) => expr)].flatMap((expr) =>
    [...expr.matchAll(/\b(?:chronicleweaver|process|nodejs)_\w+/g)].map(([name]) => name),
  );
  assert.ok(asked.length > 50, `${asked.length}`);
  // The write-ahead log is a file's.
  const unknown = asked.filter(
    (name) =>
      !families.has(name.replace(/_(bucket|sum|count)$/, '')) && name !== 'chronicleweaver_store_wal_bytes',
  );
  assert.deepEqual(unknown, []);
});

test('docs/operations.md says what to do about each alert', () => {
  const text = textOf('docs/operations.md');
  const missing = alertsIn().filter(({ alert }) => !text.includes(`\`${alert}\``));
  assert.deepEqual(missing, []);
});
