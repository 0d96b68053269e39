import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site } from '../../lab/aggregator-process.ts';
import { IN_BROWSER, openPage } from './chromium.ts';

test(
  '/docs shows the API and can publish, with files from the service alone [SYS-4]',
  IN_BROWSER,
  async (t) => {
    const aggregator = await new Site(t).start();
    const { page, faults } = await openPage(t, aggregator, '/docs');
    assert.equal(await page.title(), 'ChronicleWeaver API');
    for (const path of ['/publish', '/events', '/events/{topic}/{event_id}', '/topics', '/stats', '/ready']) {
      await page.getByText(path, { exact: true }).first().waitFor();
    }

    await page.getByText('/publish', { exact: true }).first().click();
    await page.getByRole('button', { name: 'Try it out' }).click();
    const answering = page.waitForResponse((response) => response.request().method() === 'POST');
    await page.getByRole('button', { name: 'Execute' }).click();
    const answer = await answering;
    assert.equal(answer.status(), 200, await answer.text());
    assert.ok(answer.url().startsWith(`${aggregator.url}/publish`), answer.url());
    await page.getByText('"Published 1 events"').waitFor();

    // The page's example is the event of the original's README.
    const { count, events } = await aggregator.events('?topic=user-actions');
    assert.equal(count, 1);
    assert.equal(events[0]?.event_id, 'event-001');
    assert.deepEqual(await faults(), []);
  },
);

test('/redoc shows the API, with files from the service alone [SYS-4]', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  const { page, faults } = await openPage(t, aggregator, '/redoc');
  assert.equal(await page.title(), 'ChronicleWeaver API');
  await page.getByText('/publish', { exact: true }).first().waitFor();
  await page.getByRole('heading', { name: 'Read events in order' }).waitFor();
  for (const image of await page.locator('img').all()) {
    assert.ok(await image.isHidden(), `a broken image is shown: ${await image.getAttribute('src')}`);
  }
  assert.deepEqual(await faults(), []);
});

test('the pages work at a narrow width, too [SYS-4]', IN_BROWSER, async (t) => {
  const aggregator = await new Site(t).start();
  for (const path of ['/docs', '/redoc']) {
    const { page, faults } = await openPage(t, aggregator, path, { width: 400, height: 800 });
    await page.getByText('Publish one event or a batch').filter({ visible: true }).first().waitFor();
    const pageWidth = await page.evaluate<number>('document.documentElement.scrollWidth');
    assert.ok(pageWidth <= 400, `${path} is ${pageWidth} wide`);
    assert.deepEqual(await faults(), [], path);
  }
});
