import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Page, Route } from 'playwright-core';
import { type AggregatorProcess, Site } from '../../lab/aggregator-process.ts';
import { IN_BROWSER, openPage } from './chromium.ts';
import { assertReadable, makeKey, publishSome } from './dashboard.ts';

/** Answers for the service from now on, as one of another version would. */
async function answers(page: Page, path: string, status: number, body: object): Promise<void> {
  const isAsked = ({ pathname }: URL): boolean =>
    path.endsWith('*') ? pathname.startsWith(path.slice(0, -1)) : pathname === path;
  await page.route(isAsked, (route) =>
    route.fulfill({ status, contentType: 'application/json', body: JSON.stringify(body) }),
  );
}

const NOT_FOUND = { status: 404, code: 'not_found', detail: 'there is no such address' };

test('a service that goes away is told, and comes back by itself on every page', IN_BROWSER, async (t) => {
  const site = new Site(t);
  let aggregator: AggregatorProcess = await site.startOnFixedPort();
  await publishSome(aggregator, 100);
  const { page } = await openPage(t, aggregator, '/dashboard');
  const away = page.getByText(/^The service at .* cannot be reached$/);
  for (const [link, shown] of [
    ['Overview', 'Last offset'],
    ['Topics', 'kept 100'],
    ['Groups', 'There is no group yet'],
    ['Live', '100 shown of 100 that came'],
  ] as const) {
    await page.getByRole('link', { name: link, exact: true }).click();
    await page.getByText(shown).first().waitFor();
    await aggregator.kill();
    await away.waitFor();
    assert.ok(await page.getByText(shown).first().isVisible(), `${link} shows what it knew last`);
    if (link === 'Overview') await assertReadable(page, 'a service that is away');
    aggregator = await site.start({ settings: { APP_PORT: String(aggregator.port) } });
    await away.waitFor({ state: 'hidden' });
  }
});

test('an answer that is overtaken does not hide what came after it', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  const { page } = await openPage(t, aggregator, '/health');
  const held = new Promise<() => Promise<void>>((resolve) => {
    let asked = 0;
    void page.route(
      ({ pathname }) => pathname === '/stats',
      async (route) => {
        asked += 1;
        if (asked > 1) return await route.continue();
        const response = await route.fetch();
        resolve(() => route.fulfill({ response }));
      },
    );
  });
  await page.goto(`${aggregator.url}/dashboard`);
  const answerLate = await held;
  await publishSome(aggregator, 1234);
  // As of a tab that is looked at again.
  await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
  await page.getByText('1,234', { exact: true }).first().waitFor();
  await answerLate();
  const asksAgain = () => page.waitForRequest((request) => new URL(request.url()).pathname === '/metrics');
  await asksAgain();
  await asksAgain();
  assert.equal(await page.getByText('No event is stored yet').count(), 0);
});

test('a service of another version is told, and what it lacks is not shown', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  await publishSome(aggregator, 5);
  const stats = await aggregator.get<object>('/stats');
  const { page } = await openPage(t, aggregator, '/health');
  await answers(page, '/stats', 200, { ...stats, version: '9.9.9', unknown: { more: [1] } });
  await answers(page, '/metrics', 404, NOT_FOUND);
  await answers(page, '/duplicates/*', 404, NOT_FOUND);
  await answers(page, '/events/orders.eu/orders.eu-1/history', 404, NOT_FOUND);
  await page.goto(`${aggregator.url}/dashboard`);
  await page.getByText(/the service of 9\.9\.9: reload the page/).waitFor();
  await page.getByText('5 events kept').waitFor();
  assert.equal(await page.getByRole('link', { name: 'Duplicates' }).count(), 0);
  await page.goto(`${aggregator.url}/dashboard/duplicates`);
  await page.getByText('does not tell the ages of duplicates').waitFor();
  await page.goto(`${aggregator.url}/dashboard/lookup?topic=orders.eu&id=orders.eu-1`);
  await page.getByRole('heading', { name: 'It is here' }).waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  await page.goto(`${aggregator.url}/dashboard/nowhere`);
  await page.getByRole('heading', { name: 'No such page' }).waitFor();
  await assertReadable(page, 'no such page');
});

test('an old answer, or one that is no ChronicleWeaver at all, breaks no page', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  const { page } = await openPage(t, aggregator, '/health');
  const thrown: string[] = [];
  page.on('pageerror', (error) => thrown.push(error.message));
  for (const path of [
    '/stats',
    '/topics',
    '/subscriptions',
    '/sources',
    '/metrics',
    '/duplicates/*',
    '/conflicts',
  ])
    await answers(page, path, 200, { message: 'hello' });
  for (const name of [
    '',
    '/live',
    '/topics',
    '/groups',
    '/groups?name=a',
    '/sources',
    '/duplicates',
    '/lookup?topic=a&id=b',
  ]) {
    await page.goto(`${aggregator.url}/dashboard${name}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.waitForTimeout(300);
  }
  assert.deepEqual(thrown, []);
});

test('a late refusal of the key of before asks for no other key', IN_BROWSER, async (t) => {
  const site = new Site(t);
  const keys = join(site.folder, 'keys.json');
  const key = await makeKey(site, keys, 'reader', 'read');
  const aggregator = await site.start({ settings: { API_KEYS_FILE: keys } });
  const { page } = await openPage(t, aggregator, '/health');
  await page.evaluate(`sessionStorage.setItem('chronicleweaver-key', 'revoked')`);
  const held = Promise.withResolvers<Route>();
  await page.route('**/metrics', (route) => {
    if (route.request().headers()['authorization'] === 'Bearer revoked') held.resolve(route);
    else void route.continue();
  });
  await page.goto(`${aggregator.url}/dashboard/topics`);
  await page.getByLabel('Secret of the key').fill(key);
  await page.getByRole('button', { name: 'Use this key' }).click();
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  const late = page.waitForResponse((response) => response.status() === 401);
  await (await held.promise).continue();
  await (await late).finished();
  // The next question to the service, with the key in use.
  await page.waitForResponse((response) => response.url().endsWith('/metrics') && response.ok());
  assert.ok(!(await page.getByRole('dialog').isVisible()), 'it asks for a key');
});

test('each key sees what it may see, and is told what it may not', IN_BROWSER, async (t) => {
  const site = new Site(t);
  const keys = join(site.folder, 'keys.json');
  const secrets = {
    reader: await makeKey(site, keys, 'reader', 'read'),
    operator: await makeKey(site, keys, 'operator', 'admin'),
    publisher: await makeKey(site, keys, 'publisher', 'publish', 'orders.>'),
    eu: await makeKey(site, keys, 'eu', 'read', 'orders.eu'),
    visitor: await makeKey(site, keys, 'visitor', 'inspect'),
  };
  const aggregator = await site.start({ settings: { API_KEYS_FILE: keys } });
  const { page } = await openPage(t, aggregator, '/health');
  const seen = async (key: keyof typeof secrets, name: string): Promise<Page> => {
    await page.evaluate(`sessionStorage.setItem('chronicleweaver-key', '${secrets[key]}')`);
    await page.goto(`${aggregator.url}/dashboard${name}`);
    return page;
  };
  const publishing = await seen('publisher', '/publish');
  await publishing.getByLabel('Topic').fill('orders.us');
  await publishing.getByRole('button', { name: 'Publish' }).click();
  await publishing.getByText('accepted at offset 1.').waitFor();
  await publishing.getByLabel('Topic').fill('payments');
  await publishing.getByRole('button', { name: 'Publish' }).click();
  await publishing
    .getByRole('alert')
    .getByText(/may not use the topic/)
    .first()
    .waitFor();
  await (await seen('publisher', '')).getByText('does not have the scope').waitFor();

  await (await seen('reader', '/topics')).getByRole('link', { name: 'orders.us' }).waitFor();
  await (await seen('eu', '/topics')).getByText('There is no topic yet').waitFor();
  const bounded = await seen('eu', '');
  await bounded.getByText('This key has topics').waitFor();
  await (await seen('eu', '/lookup?topic=orders.us&id=x')).getByRole('alert').waitFor();
  await (await seen('operator', '')).getByText('Last offset').waitFor();
  await (await seen('visitor', '')).getByText('Last offset').waitFor();
  await (await seen('visitor', '/topics')).getByRole('link', { name: 'orders.us' }).waitFor();
  await (await seen('visitor', '/topics')).getByText('is told to keys with the scope admin alone').waitFor();
  await (await seen('visitor', '/groups')).getByText('There is no group yet').waitFor();
  await (await seen('visitor', '/live')).getByText('does not have the scope read').waitFor();
  await (await seen('operator', '/live')).getByText('does not have the scope read').waitFor();
});
