import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AggregatorProcess, Site } from '../../lab/aggregator-process.ts';
import { IN_BROWSER, openPage } from './chromium.ts';
import { AMOUNT, assertReadable, publishSome } from './dashboard.ts';

interface Group {
  lag: number;
  dead: number;
  cursor: number;
}

const groupOf = (aggregator: AggregatorProcess, name: string): Promise<Group> =>
  aggregator.get<Group>(`/subscriptions/${name}`);

test(
  'a group is made, sought and deleted, each after it was said what happens then',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    await publishSome(aggregator, 20);
    await publishSome(aggregator, 5, 'payments');
    await publishSome(aggregator, 20, 'orders.us');
    const { page, faults } = await openPage(t, aggregator, '/dashboard/groups');
    await page.getByText('There is no group yet').waitFor();
    await assertReadable(page, 'groups, without any');
    await page.getByLabel('Name', { exact: true }).fill('mailers');
    await page.getByLabel('Topics, separated by blanks').fill('orders.* payments');
    await page.getByLabel('From').selectOption('earliest');
    await page.getByRole('button', { name: 'Make the group' }).click();
    await page.getByText('45 events that are in the log now would be delivered').waitFor();
    await assertReadable(page, 'the question before a group is made').catch((error: unknown) => {
      // Behind an open dialog the choice of the theme is out of reach.
      if (!(error instanceof Error && error.name === 'TimeoutError')) throw error;
    });
    await page.getByRole('dialog').getByRole('button', { name: 'Make the group' }).click();
    await page.getByRole('heading', { name: 'mailers' }).waitFor();
    assert.equal((await groupOf(aggregator, 'mailers')).lag, 45);
    await assertReadable(page, 'a group');

    await page.getByRole('button', { name: 'Seek' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('From').selectOption('offset');
    await dialog.getByLabel('Offset of the first event').fill('16');
    // Five of the first topic, all of the others: counted by reading.
    await dialog.getByText('30 events that are in the log now would be delivered').waitFor();
    await dialog.getByRole('button', { name: 'Seek' }).click();
    await dialog.waitFor({ state: 'hidden' });
    assert.deepEqual((await groupOf(aggregator, 'mailers')).cursor, 15);

    await page.getByRole('button', { name: 'Delete' }).click();
    await dialog.getByText('The events themselves stay in the log').waitFor();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    assert.equal((await groupOf(aggregator, 'mailers')).lag, 30);
    await page.getByRole('button', { name: 'Delete' }).click();
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await page.getByText('There is no group yet').waitFor();
    assert.deepEqual(
      (await faults()).filter((fault) => !fault.includes('404')),
      [],
    );
  },
);

test('a definition that the service refuses is refused in its words', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  const { page } = await openPage(t, aggregator, '/dashboard/groups');
  await page.getByLabel('Name', { exact: true }).fill('-x');
  await page.getByLabel('Topics, separated by blanks').fill('a.>.b');
  await page.getByLabel('A lease lasts, ms').fill('soon');
  await page.getByRole('button', { name: 'Make the group' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Make the group' }).click();
  await page.getByRole('dialog').getByRole('alert').waitFor();
});

test('dead events are looked at, and replayed one, some and all', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  await publishSome(aggregator, 6);
  const path = '/subscriptions/workers';
  const call = async (method: string, below: string, body: object): Promise<void> => {
    const response = await fetch(aggregator.url + path + below, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    assert.ok(response.ok, await response.text());
  };
  await call('PUT', '', { topics: ['>'], start: 'earliest', lease_ms: 100, max_deliveries: 1 });
  await call('POST', '/pull', { max: 6 });
  const { page } = await openPage(t, aggregator, '/dashboard');
  await page.getByText('6 events of workers died').waitFor();
  await page.getByRole('link', { name: 'Show' }).first().click();
  await page.getByRole('heading', { name: 'Dead events: 6' }).waitFor();
  await page.getByRole('button', { name: 'Open the event at offset 1', exact: true }).click();
  await page.getByText(AMOUNT, { exact: true }).waitFor();
  await assertReadable(page, 'a group with dead events');
  await page.getByRole('button', { name: 'Replay the event at offset 1', exact: true }).click();
  await page.getByRole('heading', { name: 'Dead events: 5' }).waitFor();
  await page.getByLabel('choose the event at offset 3').check();
  await page.getByLabel('choose the event at offset 4').check();
  await page.getByRole('button', { name: 'Replay the 2 chosen' }).click();
  await page.getByRole('heading', { name: 'Dead events: 3' }).waitFor();
  await page.getByRole('button', { name: 'Replay all' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Replay all' }).click();
  await page.getByRole('heading', { name: /Dead events/ }).waitFor({ state: 'hidden' });
  assert.deepEqual(
    [(await groupOf(aggregator, 'workers')).dead, (await groupOf(aggregator, 'workers')).lag],
    [0, 6],
  );
});

test('a webhook shows how it fails, is paused, and resumed', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start({ settings: { WEBHOOK_ALLOW_PRIVATE: 'true' } });
  await publishSome(aggregator, 2);
  const { page } = await openPage(t, aggregator, '/dashboard/groups');
  await page.getByLabel('Name', { exact: true }).fill('hook');
  await page.getByLabel('Topics, separated by blanks').fill('>');
  await page.getByLabel('From').selectOption('earliest');
  // A port that nobody listens on.
  await page.getByLabel('Address, if it is a webhook').fill('http://127.0.0.1:9/hook');
  await page.getByRole('button', { name: 'Make the webhook' }).click();
  assert.match(await page.getByRole('dialog').locator('code').innerText(), /^whsec_[\w+/]{43}=$/);
  await page.getByRole('dialog').getByRole('button', { name: 'Make the webhook' }).click();
  await page.getByText('failing', { exact: true }).waitFor();
  const dialog = page.getByRole('dialog');
  await page.getByRole('button', { name: 'Pause' }).click();
  await dialog.getByText('Policies wait for this group').waitFor();
  await dialog.getByRole('button', { name: 'Pause' }).click();
  await page.getByText('paused, because somebody asked for it').waitFor();
  await page.getByRole('button', { name: 'Pause' }).waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Resume' }).click();
  await dialog.getByText('the waiting event is sent now').waitFor();
  await dialog.getByText('The last failure was').waitFor();
  await dialog.getByRole('button', { name: 'Resume' }).click();
  await page.getByText('failing', { exact: true }).waitFor();
  await assertReadable(page, 'a webhook');
});
