import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../../lab/aggregator-process.ts';
import { IN_BROWSER, openPage } from './chromium.ts';
import { assertReadable, publishSome } from './dashboard.ts';

const BOUNDS = ['1s', '10s', '1m', '2m', '5m', '10m', '1h', '6h', '1d', '7d', '30d', null];

/** Such as the service tells, with ages that no test can wait for. */
function agesAnswer(counts: readonly number[]): object {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let young = 0;
  const ages = BOUNDS.map((bound, i) => {
    young += counts[i] ?? 0;
    return { up_to: bound, duplicates: counts[i] ?? 0, conflicts: 0, let_through: total - young };
  });
  return { counted_since: '2026-11-01T00:00:00.000Z', duplicates: total, conflicts: 1, ages };
}

const CONFLICT = {
  number: 1,
  received_at: '2026-11-02T00:00:00.000Z',
  topic: 'orders.eu',
  event_id: 'orders.eu-1',
  source: 'till',
  key: null,
  offset: 2,
};
/** As text, since the digits are the point. */
const LOST = `{"event_id":"orders.eu-1","topic":"orders.eu","source":"till","payload":{"n":1,"amount":12345678901234567890.20},"timestamp":"2025-10-28T10:00:00Z"}`;

test(
  'the slider is the window of a broker; a conflict shows both versions and where they differ',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    await publishSome(aggregator, 3);
    const { page } = await openPage(t, aggregator, '/health');
    const tell = async (path: string, body: string): Promise<void> => {
      await page.route(path, (route) => route.fulfill({ contentType: 'application/json', body }));
    };
    await tell(
      '**/duplicates/ages**',
      JSON.stringify(agesAnswer([30, 20, 10, 5, 3000, 0, 100, 20, 0, 0, 0, 0])),
    );
    const top = [{ name: 'till-7', duplicates: 3000, conflicts: 1 }];
    await tell(
      '**/duplicates/top**',
      JSON.stringify({ since: '2026-11-01T00:00:00.000Z', top, unnamed: {} }),
    );
    await tell(
      '**/conflicts?**',
      `{"count":1,"conflicts":[${JSON.stringify(CONFLICT).slice(0, -1)},"event":${LOST}}],"next":null}`,
    );

    await page.goto(`${aggregator.url}/dashboard`);
    await page.getByRole('link', { name: 'Duplicates', exact: true }).click();
    await page.getByText('would have let 3,120 of 3,185 duplicates through').waitFor();
    const slider = page.getByRole('slider');
    assert.equal(await slider.getAttribute('aria-valuetext'), '2 minutes');
    await slider.press('ArrowRight');
    await page
      .getByText('A window of 5 minutes (the window of SQS FIFO) would have let 120 of 3,185')
      .waitFor();
    await page.getByRole('row', { name: 'till-7' }).waitFor();
    await page.getByRole('button', { name: 'Compare the two events orders.eu-1' }).click();
    const differing = page.getByRole('region', { name: 'Differences of the two events orders.eu-1' });
    await differing.getByText('12345678901234567890.10').waitFor();
    await differing.getByText('12345678901234567890.20').waitFor();
    await differing.getByText('source').waitFor();
    assert.equal(await differing.getByRole('row').count(), 3, 'only what differs is listed');
    await assertReadable(page, 'duplicates');
  },
);

test('without duplicates the page teaches how to send one', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  const { page } = await openPage(t, aggregator, '/health');
  const body = JSON.stringify({ ...agesAnswer([]), conflicts: 0 });
  await page.route('**/duplicates/ages**', (route) =>
    route.fulfill({ contentType: 'application/json', body }),
  );
  await page.goto(`${aggregator.url}/dashboard/duplicates`);
  await page.getByText('No duplicate has come').waitFor();
  await assertReadable(page, 'duplicates, without any');
});
