import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AggregatorProcess, Site } from '../../lab/aggregator-process.ts';
import { until } from '../../lab/program.ts';
import { IN_BROWSER, openPage } from './chromium.ts';
import { AMOUNT, assertReadable, publishSome } from './dashboard.ts';

test(
  'events come as they are committed; a pause loses none, whatever happens meanwhile',
  IN_BROWSER,
  async (t) => {
    const site = new Site(t);
    let aggregator: AggregatorProcess = await site.startOnFixedPort();
    const { page } = await openPage(t, aggregator, '/dashboard/live?topic=orders.>');
    await page.getByText('Nothing has come yet').waitFor();
    await assertReadable(page, 'live, without events');
    // Before the first event, so that only the cursor of the stream's beginning can tell what was missed.
    await page.getByRole('button', { name: 'Pause' }).click();
    await publishSome(aggregator, 10, 'orders.paused');
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByText('10 shown of 10 that came').waitFor();
    await publishSome(aggregator, 10, 'payments.eu');
    await aggregator.kill();
    await page.getByText('Cut off; coming back by itself').waitFor();
    aggregator = await site.start({ settings: { APP_PORT: String(aggregator.port) } });
    await publishSome(aggregator, 10, 'orders.missed');
    await page.getByText('20 shown of 20 that came').waitFor();
    await page.getByText('Live', { exact: true }).last().waitFor();
    await page.getByLabel('Only those that contain').fill('MISSED-7');
    await page.getByText('1 shown of 20 that came').waitFor();
    await page.locator('.event-row').click();
    await page.getByText(AMOUNT, { exact: true }).waitFor();
    await assertReadable(page, 'live, with an event opened');
  },
);

test('expired events are told in their place', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  await publishSome(aggregator, 10);
  await fetch(`${aggregator.url}/topics/orders.eu?before=6`, { method: 'DELETE' });
  const { page } = await openPage(t, aggregator, '/dashboard/live?from=earliest');
  await page.getByText('5 events are no longer kept here').waitFor();
  assert.equal(await page.locator('.event-row').count(), 5);
});

test('a pattern that is none is refused in words', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  const { page } = await openPage(t, aggregator, '/dashboard/live?topic=a.>.b');
  await page.getByRole('alert').getByText('>').first().waitFor();
});

/** Events a second, as many as one connection brings here. */
const BATCHES = 30;
const BATCH = 1000;

test(
  'thousands of events a second leave the page in use: frames are left out, events are not',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    const { page } = await openPage(t, aggregator, '/dashboard/live?from=latest');
    await page.getByText('Live', { exact: true }).last().waitFor();
    await page.evaluate(`
    window.gaps = [];
    let last = performance.now();
    const frame = (now) => { gaps.push(now - last); last = now; requestAnimationFrame(frame); };
    requestAnimationFrame(frame);`);
    for (let batch = 0; batch < BATCHES; batch++) await publishSome(aggregator, BATCH, `load.${batch}`);
    await until(
      () => 'all events on the page',
      async () => (await page.locator('.hint').last().innerText()).includes('of 30,000 that came'),
      30_000,
    );
    const gaps = await page.evaluate<number[]>('gaps');
    const sorted = gaps.toSorted((a, b) => a - b);
    const [median, longest] = [sorted[Math.floor(sorted.length / 2)]!, sorted.at(-1)!];
    t.diagnostic(
      `frames: median ${median.toFixed(1)} ms, longest ${longest.toFixed(0)} ms of ${sorted.length}`,
    );
    assert.ok(longest < 1000, `a frame took ${longest} ms`);
    assert.ok((await page.locator('.event-row').count()) < 60, 'only what can be seen is drawn');
    assert.match(await page.locator('.hint').last().innerText(), /^2[0-2],\d{3} shown of 30,000/);
  },
);
