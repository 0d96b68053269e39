import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Site } from '../../lab/aggregator-process.ts';
import { IN_BROWSER, openPage } from './chromium.ts';
import { AMOUNT, assertReadable, makeKey, faultsBut, publishSome } from './dashboard.ts';

test(
  'the overview teaches what to do first, then shows what comes in [DASH-1, DASH-3]',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    const { page, faults } = await openPage(t, aggregator, '/');
    await page.getByText('No event is stored yet').waitFor();
    assert.match(await page.locator('pre').innerText(), /^curl -s 'http:\/\/127\.0\.0\.1:\d+\/publish/);
    assert.equal(page.url(), `${aggregator.url}/dashboard`);
    await publishSome(aggregator, 1234);
    await publishSome(aggregator, 10);
    await page.getByText('1,234', { exact: true }).first().waitFor();
    assert.match(
      (await page.getByRole('img', { name: /^Events per second/ }).getAttribute('aria-label')) ?? '',
      /accepted/,
    );
    await page.getByText('Nothing that the service could tell.').waitFor();
    await assertReadable(page, 'overview');
    assert.deepEqual(faultsBut(await faults()), []);
  },
);

test(
  'an event that is published twice is a duplicate, and one that was changed a conflict',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    const { page, faults } = await openPage(t, aggregator, '/dashboard/publish');
    const payload = page.getByLabel('Payload, a JSON object');
    await payload.fill(`{"amount": ${AMOUNT}}`);
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.getByText('accepted at offset 1.').waitFor();
    await page.getByRole('button', { name: 'Send it again' }).click();
    await page.getByText('duplicate at offset 1.').waitFor();
    await payload.fill('{"amount": 1}');
    await page.getByRole('button', { name: 'Send it again' }).click();
    await page.getByText('conflict at offset 1.').waitFor();
    assert.ok((await (await fetch(`${aggregator.url}/events`)).text()).includes(`"amount":${AMOUNT}`));
    await payload.fill('{"amount": 01}');
    await page
      .getByText(/The payload is not JSON/)
      .first()
      .waitFor();
    await payload.fill('{}');
    await assertReadable(page, 'publish');
    assert.deepEqual(faultsBut(await faults()), []);
  },
);

test(
  'an event is looked up by its id, with every digit, and one that never came is told from one that expired',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    await publishSome(aggregator, 3);
    await fetch(`${aggregator.url}/topics/orders.eu?before=2`, { method: 'DELETE' });
    const { page } = await openPage(t, aggregator, '/dashboard/lookup');
    const lookUp = async (id: string): Promise<void> => {
      await page.getByLabel('Topic', { exact: true }).fill('orders.eu');
      await page.getByLabel('Event id').fill(id);
      await page.getByRole('button', { name: 'Look it up' }).click();
    };
    await lookUp('orders.eu-2');
    await page.getByText(AMOUNT, { exact: true }).waitFor();
    await page.getByRole('button', { name: 'As text' }).click();
    assert.match(await page.locator('.event pre').innerText(), /"amount": 12345678901234567890\.10/);
    await assertReadable(page, 'lookup');
    // The address can be sent to a colleague.
    await page.reload();
    await page.getByText(AMOUNT, { exact: true }).waitFor();
    await lookUp('orders.eu-0');
    await page.getByRole('heading', { name: 'Processed, and no longer kept' }).waitFor();
    await lookUp('none');
    await page.getByRole('heading', { name: 'Never seen here' }).waitFor();
    await assertReadable(page, 'lookup of nothing');
  },
);

test(
  'a key is asked for when the service wants one, and is kept for the tab alone [DASH-2]',
  IN_BROWSER,
  async (t) => {
    const site = new Site(t);
    const keys = join(site.folder, 'keys.json');
    const key = await makeKey(site, keys, 'reader', 'read');
    const publisher = await makeKey(site, keys, 'shop', 'publish');
    const aggregator = await site.start({ settings: { API_KEYS_FILE: keys } });
    const { page } = await openPage(t, aggregator, '/dashboard');
    await page.getByRole('dialog').waitFor();
    const give = async (secret: string): Promise<void> => {
      await page.getByLabel('Secret of the key').fill(secret);
      await page.getByRole('button', { name: 'Use this key' }).click();
    };
    // Whoever closes it can open it again.
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'No key' }).press('Enter');
    await page.getByRole('dialog').waitFor();
    await give('wrong');
    await page.getByText('is not in force').waitFor();
    await give(key);
    await page.getByText('No event is stored yet').waitFor();
    await page.reload();
    await page.getByText('No event is stored yet').waitFor();
    assert.equal(await page.evaluate<number>('localStorage.length'), 0);
    await page.getByRole('button', { name: 'Key in use' }).click();
    await give(publisher);
    await page.getByText(/does not have the scope/).waitFor();
    await page.getByRole('link', { name: 'Publish', exact: true }).click();
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.getByText('accepted at offset 1.').waitFor();
  },
);
