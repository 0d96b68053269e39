import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { type Page, chromium } from 'playwright-core';
import { type AggregatorProcess, Site } from '../support/aggregator-process.ts';

const CHROMIUM = process.env['CHROMIUM_PATH'] || '/usr/bin/chromium';
/** No sandbox, since containers have none to give; and the browser itself asks nobody anything. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const TIMEOUT = { timeout: 60_000 };

const missing = existsSync(CHROMIUM)
  ? null
  : `there is no Chromium at ${CHROMIUM}; CHROMIUM_PATH names another`;
if (missing === null) testsInChromium();
else if (process.env['REQUIRE_BROWSER'] === '1') {
  test('Chromium is there, as REQUIRE_BROWSER=1 asks', () => assert.fail(missing));
} else test('the pages /docs and /redoc in a browser', { skip: missing }, () => {});

function testsInChromium(): void {
  test('/docs shows the API and publishes from the page, all from here [SYS-4]', TIMEOUT, async (t) => {
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

    // The example of the page is the original's README's event.
    const { count, events } = await aggregator.events('?topic=user-actions');
    assert.equal(count, 1);
    assert.equal(events[0]?.event_id, 'event-001');
    assert.deepEqual(await faults(), []);
  });

  test('/redoc shows the API, all from here [SYS-4]', TIMEOUT, async (t) => {
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

  test('the pages work at a narrow width, too [SYS-4]', TIMEOUT, async (t) => {
    const aggregator = await new Site(t).start();
    for (const path of ['/docs', '/redoc']) {
      const { page, faults } = await openPage(t, aggregator, path, { width: 400, height: 800 });
      await page.getByText('Publish one event or a batch').filter({ visible: true }).first().waitFor();
      const pageWidth = await page.evaluate<number>('document.documentElement.scrollWidth');
      assert.ok(pageWidth <= 400, `${path} is ${pageWidth} wide`);
      assert.deepEqual(await faults(), [], path);
    }
  });
}

/** Opens the page in a browser of its own; `faults` tells what it did that a page of ours must not. */
async function openPage(
  t: TestContext,
  aggregator: AggregatorProcess,
  path: string,
  viewport = { width: 1280, height: 900 },
): Promise<{ page: Page; faults: () => Promise<string[]> }> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport });
  page.setDefaultTimeout(20_000);
  const found: string[] = [];
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    const isWithin = protocol === 'data:' || protocol === 'blob:';
    if (!isWithin && origin !== aggregator.url) found.push(`asks ${request.url()}`);
  });
  page.on('requestfailed', (request) => {
    found.push(`did not get ${request.url()}: ${request.failure()?.errorText ?? ''}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) found.push(`got ${response.status()} for ${response.url()}`);
  });
  page.on('console', (message) => {
    if (message.type() === 'error') found.push(`says ${message.text()}`);
  });
  page.on('pageerror', (error) => found.push(`throws ${error.message}`));
  await page.goto(aggregator.url + path);
  const faults = async (): Promise<string[]> => {
    await page.waitForLoadState('networkidle');
    return found;
  };
  return { page, faults };
}
