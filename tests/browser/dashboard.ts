import assert from 'node:assert/strict';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import type { Event } from '@chronicleweaver/protocol';
import { pathOf } from '../../lab/repository.ts';
import type { AggregatorProcess, Site } from '../../lab/aggregator-process.ts';

/** Widths at which every page is looked at: that of a desk and that of a telephone. */
const WIDTHS = [1280, 390];

/** Asserts that axe-core, which checks what can be checked of WCAG, finds nothing in the page as it is now. */
async function assertAccessible(page: Page, where: string): Promise<void> {
  await page.evaluate(axe.source);
  const found = await page.evaluate<string[]>(
    `axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => id + ': ' + html + ' ' + failureSummary)))`,
  );
  assert.deepEqual(found, [], where);
}

/** Asserts that nothing sticks out to the right. */
async function assertFits(page: Page, where: string): Promise<void> {
  const [wide, room] = await page.evaluate<[number, number]>(
    '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
  );
  assert.ok(wide <= room, `${where}: ${wide} wide, in ${room}`);
}

/** Asserts both in both themes, at each width. */
export async function assertReadable(page: Page, where: string): Promise<void> {
  const { height } = page.viewportSize()!;
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height });
    await assertFits(page, `${where} at ${width}`);
    for (const theme of ['light', 'dark']) {
      await page.getByLabel('Theme').selectOption(theme);
      await assertAccessible(page, `${where}, ${theme}, at ${width}`);
    }
  }
}

/** Publishes so many events, with numbers that JavaScript cannot hold. */
export async function publishSome(
  aggregator: AggregatorProcess,
  count: number,
  topic = 'orders.eu',
): Promise<void> {
  const events = Array.from({ length: count }, (_, i) => {
    const event: Event = {
      event_id: `${topic}-${i}`,
      topic,
      source: 'shop',
      payload: { n: i, amount: 'AMOUNT' },
      timestamp: '2025-10-28T10:00:00Z',
    };
    return JSON.stringify(event).replace('"AMOUNT"', AMOUNT);
  });
  const response = await aggregator.post(`[${events.join()}]`);
  assert.equal(response.status, 200, await response.text());
}

/** A number whose digits `JSON.parse` would change. */
export const AMOUNT = '12345678901234567890.10';

/** The faults of a page, without that a service which tells nothing of duplicates was asked whether it does. */
export function faultsBut(found: readonly string[]): string[] {
  return found.filter((fault) => !/\/duplicates\/ages|Failed to load resource.* 404/.test(fault));
}

/** Makes a key in this file, for all topics or those of a pattern, and returns its secret. */
export async function makeKey(
  site: Site,
  file: string,
  name: string,
  scope: string,
  topic?: string,
): Promise<string> {
  const args = ['create', name, '--scope', scope, ...(topic === undefined ? [] : ['--topic', topic])];
  const program = site.run([process.execPath, pathOf('packages/aggregator/src/programs/keys.ts'), ...args], {
    API_KEYS_FILE: file,
  });
  assert.equal((await program.exited).code, 0, program.printed());
  return program.stdout.trim();
}
