import { setTimeout as sleep } from 'node:timers/promises';
import { Endings, Site } from '../../lab/aggregator-process.ts';
import { pathOf } from '../../lab/repository.ts';
import { openPage } from './chromium.ts';
import { Shop } from './shop.ts';

/** Takes the pictures of the README anew, of a service that is busy. `npm run pictures` takes a minute and a half. */
const COURSE_MS = 60_000;

await using endings = new Endings();
const aggregator = await new Site(endings).start({ settings: { WEBHOOK_ALLOW_PRIVATE: 'true' } });
const shop = new Shop(aggregator);
await shop.publish(40_000);
await shop.makeGroups();
await shop.work('mailers', 1000);

const closed = new AbortController();
const load = shop.goOn(closed.signal);
const { page } = await openPage(endings, aggregator, '/dashboard', { width: 1200, height: 800 });
await page.getByLabel('Theme').selectOption('light');
await sleep(COURSE_MS);
await page.screenshot({ path: pathOf('docs/images/dashboard-overview.png') });

await page.setViewportSize({ width: 1200, height: 760 });
await page.goto(`${aggregator.url}/dashboard/live?topic=orders.*+payments.%3E`);
await page.getByLabel('Theme').selectOption('dark');
await page.locator('.event-row').nth(4).click();
await page.locator('.event .leaf').first().waitFor();
await page.mouse.move(0, 0);
await sleep(3000);
await page.screenshot({ path: pathOf('docs/images/dashboard-live.png') });

closed.abort();
await load;
