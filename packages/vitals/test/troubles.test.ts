import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readExposition } from '../src/exposition.ts';
import { type Signs, troublesIn } from '../src/troubles.ts';

const troubles = (page: string, more: Partial<Signs> = {}) =>
  troublesIn({ metrics: readExposition(page), refusals: new Map(), conflictRate: 0, ...more });

test('a service that is well has none, nor one that tells little', () => {
  assert.deepEqual(
    troubles('chronicleweaver_queue_events 0\nchronicleweaver_queue_limit_events 200000\n'),
    [],
  );
  assert.deepEqual(troublesIn({ metrics: undefined, refusals: new Map(), conflictRate: 0 }), []);
});

test('a group that nobody works on, with dead events, is told with its page; the worst comes first', () => {
  const group = (name: string, value: number): string =>
    `chronicleweaver_group_${name}{group="mail"} ${value}\n`;
  const found = troubles(
    group('lag_events', 1) +
      group('in_flight_events', 0) +
      group('oldest_unacknowledged_age_seconds', 420) +
      group('dead_events', 12),
    { conflictRate: 0.1 },
  );
  assert.deepEqual(
    found.map(({ is, page }) => [is, page]),
    [
      ['bad', 'groups?name=mail'],
      ['worth a look', 'groups?name=mail'],
      ['worth a look', 'duplicates'],
    ],
  );
  assert.match(found[0]!.what, /^12 events of mail died/);
  assert.match(
    found[1]!.what,
    /^mail lags: 1 event waits, the oldest for 7 minutes, and nobody works on it\.$/,
  );
});

test('a paused webhook, a full queue and a store that does not answer are told', () => {
  const found = troubles(
    `chronicleweaver_group_lag_events{group="hook"} 5
chronicleweaver_group_webhook_paused{group="hook"} 1
chronicleweaver_group_lag_events{group="mend"} 1
chronicleweaver_group_webhook_paused{group="mend"} 1
chronicleweaver_group_webhook_paused_on_request{group="mend"} 1
chronicleweaver_queue_bytes 90
chronicleweaver_queue_limit_bytes 100
chronicleweaver_metrics_part_up{part="store"} 0
`,
    {
      refusals: new Map([
        ['queue_full', 3],
        ['event_not_found', 7],
      ]),
    },
  );
  const said = found.map(({ what }) => what).join('\n');
  assert.match(said, /^The webhook hook is paused after a day of failures: 5 events wait\.$/m);
  assert.match(said, /^The webhook mend was paused by somebody: 1 event waits\.$/m);
  assert.match(said, /^The queue is 90 % full/m);
  assert.match(said, /^The store did not tell its figures in time \(store\)/m);
  assert.match(said, /^3 times in the last minute a publish was refused/m);
  assert.equal(found.length, 5, 'an event that was looked up and not found is no trouble');
});
