import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type AggregatorProcess, Site } from '../../lab/aggregator-process.ts';
import { IN_BROWSER, openPage } from './chromium.ts';
import { assertReadable, faultsBut, makeKey } from './dashboard.ts';

const SECRET = 'whsec_dGhpcyBpcyBubyBzZWNyZXQgYXQgYWxs';

async function setSource(aggregator: AggregatorProcess, name: string, definition: object): Promise<void> {
  const response = await fetch(`${aggregator.url}/sources/${name}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(definition),
  });
  assert.equal(response.status, 201, await response.text());
}

const namesIn = async (aggregator: AggregatorProcess): Promise<string[]> => {
  const { sources } = await aggregator.get<{ sources: { name: string }[] }>('/sources');
  return sources.map(({ name }) => name);
};

test(
  'sources are listed with what to give to their senders, and deleted once it was said what happens',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    const { page, faults } = await openPage(t, aggregator, '/dashboard/sources');
    await page.getByText('There is no source yet').waitFor();
    await page.getByText(`--url ${aggregator.url}`).waitFor();
    await assertReadable(page, 'sources, without any');

    await setSource(aggregator, 'payments', { kind: 'stripe', topic: 'stripe.{type}', secret: SECRET });
    await setSource(aggregator, 'app', { kind: 'collector', topic: 'logs.{service|app}', id: '{id|}' });
    const row = page.getByRole('row', { name: 'payments' });
    await row.waitFor();
    assert.deepEqual(
      (await row.getByRole('cell').allInnerTexts()).map((text) => text.replace(/\s+Copy$/, '')),
      [`${aggregator.url}/in/payments`, 'stripe', 'stripe.{type}', '1', 'Delete'],
    );
    await page.getByRole('row', { name: 'logs.{service|app}' }).waitFor();
    assert.ok(!(await page.content()).includes(SECRET));
    await assertReadable(page, 'sources');

    await row.getByRole('button', { name: 'Delete' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('What it sends from then on is refused').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    assert.deepEqual(await namesIn(aggregator), ['app', 'payments']);
    await row.getByRole('button', { name: 'Delete' }).click();
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await row.waitFor({ state: 'detached' });
    assert.deepEqual(await namesIn(aggregator), ['app']);
    assert.deepEqual(faultsBut(await faults()), []);
  },
);

test(
  'a key without the scope admin is told so, and a service from before sources too',
  IN_BROWSER,
  async (t) => {
    const site = new Site(t);
    const keys = join(site.folder, 'keys.json');
    const reader = await makeKey(site, keys, 'reader', 'read');
    const aggregator = await site.start({ settings: { API_KEYS_FILE: keys } });
    const { page } = await openPage(t, aggregator, '/health');
    await page.evaluate(`sessionStorage.setItem('chronicleweaver-key', '${reader}')`);
    await page.goto(`${aggregator.url}/dashboard/sources`);
    await page.getByText('Take another key (above) to see this').waitFor();
    assert.equal(await page.getByText('There is no source yet').count(), 0);

    await page.route(`${aggregator.url}/sources`, (route) =>
      route.fulfill({
        status: 404,
        contentType: 'application/json',
        body: '{"status":404,"code":"not_found"}',
      }),
    );
    await page.reload();
    await page.getByText('This service has no sources').waitFor();
    await assertReadable(page, 'sources of a service from before them');
  },
);
