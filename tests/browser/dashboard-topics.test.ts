import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { Site } from '../../lab/aggregator-process.ts';
import { IN_BROWSER, openPage } from './chromium.ts';
import { assertReadable, faultsBut, publishSome } from './dashboard.ts';

test('topics are listed with what they have, and lead to their events', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  const { page, faults } = await openPage(t, aggregator, '/dashboard/topics');
  await page.getByText('There is no topic yet').waitFor();
  await assertReadable(page, 'topics, without any');
  await publishSome(aggregator, 1500);
  await publishSome(aggregator, 1, 'payments');
  for (const [name, policy] of [
    ['all', { topics: ['>'], max_age: '90d' }],
    ['eu', { topics: ['orders.eu'], max_events: 1500 }],
  ] as const) {
    const response = await fetch(`${aggregator.url}/retention/${name}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(policy),
    });
    assert.equal(response.status, 201);
  }
  await page.reload();
  await page.getByText('kept 1,500').waitFor();
  await page.getByText('the policy eu 1,500 events').waitFor();
  await page.getByText('the policy all 90 days').waitFor();
  await assertReadable(page, 'topics');
  assert.deepEqual(faultsBut(await faults()), []);
  await page.getByRole('link', { name: 'payments' }).click();
  await page.getByText('1 shown of 1 that came').waitFor();
});

test('ten thousand topics are searched at once, and only those in sight are drawn', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  const event = (topic: string): Event => ({
    event_id: '1',
    topic,
    source: 's',
    payload: {},
    timestamp: '2025-10-28',
  });
  const topics = Array.from({ length: 10_000 }, (_, i) => `sensors.${String(i).padStart(5, '0')}.heat`);
  const response = await aggregator.post(topics.map((topic) => event(topic)));
  assert.equal(response.status, 200);
  const { page } = await openPage(t, aggregator, '/dashboard/topics');
  await page.getByText('10,000 topics').waitFor();
  assert.ok((await page.locator('.virtual li').count()) < 60);
  await page.evaluate("document.querySelector('.virtual').scrollTo(0, 1e9)");
  await page.getByRole('link', { name: 'sensors.09999.heat' }).waitFor();
  await page.getByLabel('Search').fill('7777');
  await page.getByText('1 of 10,000 topics').waitFor();
  await page.getByRole('link', { name: 'sensors.07777.heat' }).waitFor();
  // What was searched is in the address.
  await page.reload();
  await page.getByText('1 of 10,000 topics').waitFor();
});
