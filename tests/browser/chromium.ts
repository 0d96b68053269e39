import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type Page, chromium } from 'playwright-core';
import type { AggregatorProcess, Ending } from '../../lab/aggregator-process.ts';

const CHROMIUM = process.env['CHROMIUM_PATH'] || '/usr/bin/chromium';
/** No sandbox, because containers do not allow one; and no requests by the browser itself. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const isMissing = !existsSync(CHROMIUM);
assert.ok(
  !isMissing || process.env['REQUIRE_BROWSER'] !== '1',
  `there is no Chromium at ${CHROMIUM}, and REQUIRE_BROWSER=1 asks for it`,
);

/** Options of a test that needs a browser: without one it is skipped, and says so. */
export const IN_BROWSER = {
  timeout: 60_000,
  skip: isMissing && `there is no Chromium at ${CHROMIUM}; CHROMIUM_PATH names another`,
};

/** Opens the page in a fresh browser; `faults` lists what it did that our pages must not do. */
export async function openPage(
  t: Ending,
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
