import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Site } from '../../lab/aggregator-process.ts';
import { IN_BROWSER, openPage } from './chromium.ts';
import { AMOUNT, assertReadable, faultsBut, makeKey, publishSome } from './dashboard.ts';

test(
  'payloads are searched in parts that can be stopped and go on, and what was found leads to its event',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    await publishSome(aggregator, 12_000, 'stock');
    await publishSome(aggregator, 250);
    await publishSome(aggregator, 200, 'orders.us');
    await publishSome(aggregator, 12_000, 'mail');
    const { page, faults } = await openPage(t, aggregator, '/dashboard/lookup');
    await page.getByText('This reads events and takes its time').waitFor();
    await assertReadable(page, 'look up, before a search');
    await page.getByLabel('Text in the payload').fill(AMOUNT);
    await page.getByLabel('In topics').fill('orders.*');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByText('200 events have').waitFor();
    await page.getByText(/12,2\d\d events, .* looked through, at offset 12,251 of 1 to 24,450/).waitFor();
    const first = await page.locator('.found-row').first().innerText();
    assert.match(first, /orders\.us \/ orders\.us-199/);
    assert.ok(first.includes(AMOUNT), first);
    await assertReadable(page, 'a search that rests');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText('400 events have').waitFor();
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText('All of it was looked through. 450 events have').waitFor();
    await page.getByText('100 %: 24,450 events').waitFor();

    await page.locator('.found-row a').first().click();
    await page.getByRole('heading', { name: 'It is here' }).waitFor();
    // The search stays, and in the address, too.
    await page.getByText('450 events have').waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'It is here' }).waitFor();
    await page.getByText('200 events have').waitFor();
    assert.deepEqual(faultsBut(await faults()), []);
  },
);

test(
  'a search looks between two places, the oldest first, and passes over what has expired',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    await publishSome(aggregator, 50);
    await publishSome(aggregator, 50, 'mail');
    await fetch(`${aggregator.url}/topics/orders.eu?before=21`, { method: 'DELETE' });
    const { page } = await openPage(
      t,
      aggregator,
      '/dashboard/lookup?find=amount&order=oldest&from=11&to=61',
    );
    await page.getByText('All of it was looked through. 40 events have').waitFor();
    await page.getByText('10 expired ones were passed over').waitFor();
    assert.match(await page.locator('.found-row').first().innerText(), /orders\.eu-20/);
    await page.getByLabel('Where').selectOption('times');
    await page.getByLabel('From, your time').fill('2025-01-01T00:00:00');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByText('All of it was looked through. 80 events have').waitFor();
    await page.getByLabel('In topics').fill('a.>.b');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByRole('alert').getByText('must be the last word').waitFor();
    await page.goto(`${aggregator.url}/dashboard/lookup?find=AMOUNT&case=exact`);
    await page.getByText('All of it was looked through. 0 events have').waitFor();
  },
);

test(
  'a search that is refused, or whose service goes away, says so and goes on later',
  IN_BROWSER,
  async (t) => {
    const site = new Site(t);
    const keys = join(site.folder, 'keys.json');
    const inspector = await makeKey(site, keys, 'visitor', 'inspect');
    const reader = await makeKey(site, keys, 'reader', 'read', 'orders.>');
    const publisher = await makeKey(site, keys, 'shop', 'publish');
    const aggregator = await site.start({ settings: { API_KEYS_FILE: keys } });
    const body = ['orders.eu', 'payments'].map((topic, i) => ({
      event_id: `e-${i}`,
      topic,
      source: 's',
      payload: { hello: 1 },
      timestamp: '2025-10-28',
    }));
    const headers = { authorization: `Bearer ${publisher}`, 'content-type': 'application/json' };
    const published = await fetch(`${aggregator.url}/publish`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    assert.equal(published.status, 200);
    const { page } = await openPage(t, aggregator, '/health');
    await page.evaluate(`sessionStorage.setItem('chronicleweaver-key', '${inspector}')`);
    await page.goto(`${aggregator.url}/dashboard/lookup?find=hello`);
    await page.getByText('does not have the scope read').first().waitFor();
    await page.getByRole('button', { name: 'Key in use' }).click();
    await page.getByLabel('Secret of the key').fill(reader);
    await page.getByRole('button', { name: 'Use this key' }).click();
    // Another key sees something else, so it begins anew.
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByText('All of it was looked through. 1 event has').waitFor();
    await aggregator.kill();
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByText('It cannot go on now.').waitFor();
  },
);
