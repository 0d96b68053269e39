import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, PublishAnswer } from '@chronicleweaver/protocol';
import { type AggregatorProcess, Site } from '../lab/aggregator-process.ts';
import { until } from '../lab/program.ts';

interface Entry {
  action: string;
  offset: number;
}

const KILLS = 3;
const BATCH_EVENTS = 20;

/** Every other event of a batch is one of the batch before. */
function batch(number: number): Event[] {
  return Array.from({ length: BATCH_EVENTS }, (_, i) => ({
    event_id: `e-${number * (BATCH_EVENTS / 2) + i}`,
    topic: 'orders',
    source: 'web',
    payload: { i },
    timestamp: '2026-01-01',
  }));
}

/** The verdicts in the trail, the oldest first. */
async function verdictsIn(aggregator: AggregatorProcess): Promise<Entry[]> {
  const entries: Entry[] = [];
  const actions = 'action=accepted&action=dropped&action=conflict';
  for (let before = ''; ;) {
    const response = await fetch(`${aggregator.url}/audit?limit=1000&${actions}${before}`);
    assert.equal(response.status, 200);
    const page = (await response.json()) as { entries: Entry[]; next: number | null };
    entries.push(...page.entries);
    if (page.next === null) return entries.toReversed();
    before = `&before=${page.next}`;
  }
}

test(
  'after kills each acknowledged event has its entry, and nothing has one that is not in the books [AUD-2]',
  { timeout: 120_000 },
  async (t) => {
    const site = new Site(t);
    /** How many of each verdict on each offset were acknowledged. */
    const acknowledged = new Map<string, number>();
    let number = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const aggregator = await site.start({ settings: { AUDIT: 'true' } });
      let answers = 0;
      const publishing = Promise.all(
        [1, 2, 3, 4].map(async () => {
          for (;;) {
            const response = await fetch(`${aggregator.url}/publish?results=true`, {
              method: 'POST',
              headers: { 'content-type': 'application/json' },
              body: JSON.stringify({ events: batch(number++) }),
            });
            const { results } = (await response.json()) as PublishAnswer;
            for (const { verdict, offset } of results!) {
              const key = `${verdict === 'duplicate' ? 'dropped' : verdict} ${offset}`;
              acknowledged.set(key, (acknowledged.get(key) ?? 0) + 1);
            }
            answers += 1;
          }
        }),
      ).catch(() => {});
      await until(
        () => `${answers} answers`,
        async () => answers >= 30,
      );
      await aggregator.kill();
      await publishing;
    }
    const last = await site.start({ settings: { AUDIT: 'true' } });
    const told = new Map<string, number>();
    const entries = await verdictsIn(last);
    for (const { action, offset } of entries) {
      told.set(`${action} ${offset}`, (told.get(`${action} ${offset}`) ?? 0) + 1);
    }
    const missing = [...acknowledged].filter(([key, count]) => (told.get(key) ?? 0) < count);
    assert.deepEqual(missing, []);
    const { received, unique_processed } = await last.stats();
    assert.equal(entries.length, received);
    const accepted = entries.filter(({ action }) => action === 'accepted').map(({ offset }) => offset);
    assert.deepEqual(
      accepted.toSorted((a, b) => a - b),
      Array.from({ length: unique_processed }, (_, i) => i + 1),
    );
  },
);
