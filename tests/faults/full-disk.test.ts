import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Event } from '@chronicleweaver/protocol';
import { verifyFile } from '../../packages/aggregator/src/store/sqlite/upkeep/verify.ts';
import {
  type AggregatorProcess,
  LEVEL,
  Site,
  assertBalanced,
  problemIn,
} from '../../lab/aggregator-process.ts';
import { SeededRandom } from '../../lab/random.ts';
import { SmallDisk, mountMissing } from '../support/small-disk.ts';

const TIMEOUT = { timeout: 60_000 };

const missing = mountMissing();
if (missing === null) testsOnSmallDisks();
else if (process.env['REQUIRE_MOUNTS'] === '1' && process.getuid?.() === 0) {
  test('root can mount a disk, as REQUIRE_MOUNTS=1 asks', () => assert.fail(missing));
} else test('the effects of a full disk, on a small one mounted for the test', { skip: missing }, () => {});

function testsOnSmallDisks(): void {
  test(
    'on a full disk publishes are refused and reads continue, and everything works once there is space [P-3, ERR-5, SYS-2]',
    TIMEOUT,
    async (t) => {
      const { site, disk, settings } = siteOn(t, 16);
      const aggregator = await site.start({ settings });
      await aggregator.publish(eventOf(1, 10), eventOf(2, 10));
      disk.fill();

      for (const id of [3, 4, 3]) {
        const response = await aggregator.post({ events: [eventOf(id, 100_000), eventOf(id + 10, 10)] });
        assert.ok(Number(response.headers.get('retry-after')) > 0);
        const { detail } = await problemIn(response, 503, 'store_unavailable');
        assert.match(detail, /no space is left.*nothing was stored/);
      }
      await assertReady(aggregator, false);
      await assertReads(aggregator, 2);
      // Longer than the writer waits before its own work, which fails as well and has nothing to add.
      await sleep(300);

      disk.free();
      await assertReady(aggregator, true);
      const again = await aggregator.publish(eventOf(3, 100_000), eventOf(13, 10), eventOf(1, 10));
      assert.deepEqual(
        again.results!.map(({ verdict, offset }) => [verdict, offset]),
        [
          ['accepted', 3],
          ['accepted', 4],
          ['duplicate', 1],
        ],
      );
      await assertReads(aggregator, 4);
      const errors = aggregator.logs.filter(({ level }) => level >= LEVEL.error);
      assert.equal(errors.length, 1, 'one line per refusal would fill another disk');
      assert.match(JSON.stringify(errors[0]), /no space is left/);
      assert.ok(aggregator.logs.some(({ msg, failed }) => msg === 'commits succeed again' && failed === 3));
      await aggregator.stop();
      assertSound(join(disk.folder, 'events.db'), 4);
    },
  );

  test(
    'a disk that fills up under load never loses an answered publish, however often it happens [P-1, P-2, P-5]',
    TIMEOUT,
    async (t) => {
      const { site, disk, settings } = siteOn(t, 24);
      const aggregator = await site.start({ settings });
      const acknowledged = new Map<number, number>();
      let refused = 0;
      const publish = async (first: number, count: number): Promise<void> => {
        const events = Array.from({ length: count }, (_, i) => eventOf(first + i, 3000));
        const response = await aggregator.post({ events }, '/publish?results=true');
        if (response.status !== 200) {
          await problemIn(response, 503, 'store_unavailable');
          refused += 1;
          return;
        }
        const { results } = (await response.json()) as { results: { offset: number }[] };
        for (const [i, { offset }] of results.entries()) acknowledged.set(first + i, offset);
      };
      // A different amount of space each time: it ends in the middle of a commit, a merge or a checkpoint.
      for (let round = 0; round < 12; round++) {
        disk.fill(round * 150_000);
        for (let batch = 0; batch < 12; batch++) await publish(round * 1000 + batch * 40, 40);
        disk.free();
        await publish(round * 1000, 20);
      }
      t.diagnostic(`${acknowledged.size} events acknowledged, ${refused} publishes refused`);
      assert.ok(refused > 12, 'the disk was hardly ever full');
      assertBalanced(await aggregator.stats());
      const { events } = await aggregator.events();
      assert.deepEqual(
        new Map(events.map(({ event_id, offset }) => [Number(event_id), offset])),
        acknowledged,
      );
      await aggregator.kill();
      assertSound(join(disk.folder, 'events.db'), acknowledged.size);
    },
  );

  test(
    'a start on a full disk says so, changes nothing, and works once there is space',
    TIMEOUT,
    async (t) => {
      const { site, disk, settings } = siteOn(t, 16);
      const first = await site.start({ settings });
      await first.publish(eventOf(1, 10));
      await first.stop();
      const path = join(disk.folder, 'events.db');
      const before = readFileSync(path);
      disk.fill();

      const { stderr } = await site.fail({ settings });
      assert.equal(
        stderr,
        `chronicleweaver: DEDUPLICATION_DB_PATH: no space is left on the disk of ${path}: free some space and start again; nothing was changed\n`,
      );
      assert.deepEqual(readFileSync(path), before);

      disk.free();
      const after = await site.start({ settings });
      await assertReads(after, 1);
      await assertReady(after, true);
    },
  );

  test('a first start on a full disk says so', TIMEOUT, async (t) => {
    const { site, disk, settings } = siteOn(t, 1);
    disk.fill();
    assert.match(
      (await site.fail({ settings })).stderr,
      /^chronicleweaver: DEDUPLICATION_DB_PATH: no space is left on the disk of /,
    );
    disk.free();
    await (await site.start({ settings })).stop();
  });
}

function siteOn(t: TestContext, mib: number) {
  const site = new Site(t);
  const disk = new SmallDisk(t, mib);
  return { site, disk, settings: { DEDUPLICATION_DB_PATH: join(disk.folder, 'events.db') } };
}

async function assertReady(aggregator: AggregatorProcess, isReady: boolean): Promise<void> {
  const response = await fetch(`${aggregator.url}/ready`);
  if (isReady) assert.equal(response.status, 200, await response.text());
  else assert.match((await problemIn(response, 503, 'store_unavailable')).detail, /no space is left/);
  assert.equal((await fetch(`${aggregator.url}/health`)).status, 200);
}

async function assertReads(aggregator: AggregatorProcess, count: number): Promise<void> {
  assert.equal((await aggregator.stats()).unique_processed, count);
  assert.equal((await aggregator.events()).events.length, count);
  assert.equal((await aggregator.events('?topic=t1&limit=10')).events.length > 0, true);
  assert.equal((await aggregator.get<{ topics: unknown[] }>('/topics')).topics.length > 0, true);
  assert.equal((await aggregator.get<Event>('/events/t1/1')).event_id, '1');
}

function assertSound(path: string, events: number): void {
  const findings = verifyFile(path);
  assert.deepEqual(findings.problems, []);
  assert.equal(findings.events, events);
}

/** Its message is so long, and cannot be packed. */
function eventOf(id: number, chars: number): Event {
  const random = new SeededRandom(id);
  const words = Array.from({ length: Math.ceil(chars / 6) }, () =>
    random.whole(0x100000, 0xffffff).toString(16),
  );
  return {
    event_id: String(id),
    topic: `t${id % 3}`,
    source: 'web',
    payload: { message: words.join('').slice(0, chars) },
    timestamp: '2025-10-28T10:00:00Z',
  };
}
