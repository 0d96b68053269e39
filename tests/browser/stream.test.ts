import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Event, type StoredEvent } from '@chronicleweaver/protocol';
import { type AggregatorProcess, Site } from '../../lab/aggregator-process.ts';
import { until } from '../../lab/program.ts';
import { IN_BROWSER, openPage } from './chromium.ts';

const eventsOf = (prefix: string, count: number, topic = 'orders'): Event[] =>
  Array.from({ length: count }, (_, i) => ({
    event_id: `${prefix}-${i}`,
    topic,
    source: 'test',
    payload: { text: 'größe 😀' },
    timestamp: '2025-10-28T10:00:00Z',
  }));

/** The page's record: the data of each event, and how often the stream was opened. */
interface Noted {
  texts: string[];
  ids: string[];
  opened: number;
  state: number;
}

test(
  "a browser's EventSource follows, reconnects after a kill -9 and misses nothing [STR-3, STR-4, STR-5]",
  IN_BROWSER,
  async (t) => {
    const site = new Site(t);
    let aggregator: AggregatorProcess = await site.startOnFixedPort();
    const { page } = await openPage(t, aggregator, '/health');
    await aggregator.publish(...eventsOf('before', 5), ...eventsOf('other', 5, 'payments'));
    // From the end of the log: if the first event comes after the break, only the cursor shows what was missed.
    await page.evaluate(`
    window.noted = { texts: [], ids: [], opened: 0 };
    window.source = new EventSource('/events/stream?topic=orders');
    source.onopen = () => noted.opened++;
    source.onmessage = ({ data, lastEventId }) => {
      noted.texts.push(data);
      noted.ids.push(lastEventId);
    };`);
    const noted = (): Promise<Noted> => page.evaluate<Noted>('({ ...noted, state: source.readyState })');
    const untilNoted = (what: string, is: (noted: Noted) => boolean): Promise<void> =>
      until(
        () => what,
        async () => is(await noted()),
        30_000,
      );
    await untilNoted('the stream is open', ({ opened }) => opened === 1);

    for (const round of [1, 2]) {
      await aggregator.kill();
      await untilNoted('the browser to see the break', ({ state }) => state === 0);
      aggregator = await site.start({ settings: { APP_PORT: String(aggregator.port) } });
      // Most likely before the browser reconnects.
      await aggregator.publish(
        ...eventsOf(`missed-${round}`, 5),
        ...eventsOf(`other-${round}`, 5, 'payments'),
      );
      await untilNoted('the browser to come back', ({ opened }) => opened === 1 + round);
      await aggregator.publish(...eventsOf(`live-${round}`, 5));
      await untilNoted('all of the round', ({ texts }) => texts.length === 10 * round);
    }
    const { texts, ids } = await noted();
    const { events } = await aggregator.events('?topic=orders');
    const expected = events.slice(5);
    assert.deepEqual(
      texts.map((text) => JSON.parse(text) as StoredEvent),
      expected,
    );
    assert.deepEqual(
      ids,
      expected.map(({ offset }) => String(offset)),
    );
  },
);
