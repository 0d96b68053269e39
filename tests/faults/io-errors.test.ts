import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import {
  type AggregatorProcess,
  LEVEL,
  Site,
  assertBalanced,
  problemIn,
} from '../../lab/aggregator-process.ts';
import { until } from '../../lab/program.ts';
import { SeededRandom } from '../../lab/random.ts';
import { straceMissing } from '../../lab/strace.ts';

const TIMEOUT = { timeout: 120_000 };

const missing = straceMissing();
if (missing === null) testsUnderStrace();
else if (process.env['REQUIRE_STRACE'] === '1') {
  test('strace can be used, as REQUIRE_STRACE=1 asks', () => assert.fail(missing));
} else test('the effects of a broken disk, simulated by strace', { skip: missing }, () => {});

/** A fault of the system calls on one of the database's files, in the form of strace's `inject`. */
interface Fault {
  readonly suffix: '' | '-wal' | '-shm';
  readonly calls: string;
  readonly error: 'EIO' | 'ENOSPC';
  /** Which of these calls fail; by default all. */
  readonly when?: string;
}

/** Injects the fault into the process during the work. */
async function withFault(
  site: Site,
  { program }: AggregatorProcess,
  { suffix, calls, error, when = '1+' }: Fault,
  work: () => Promise<void>,
): Promise<void> {
  const strace = site.run([
    'strace',
    '-f',
    `--attach=${program.pid}`,
    `--trace-path=${site.databasePath}${suffix}`,
    '--output=/dev/null',
    `--trace=${calls}`,
    `--inject=${calls}:error=${error}:when=${when}`,
  ]);
  await until(
    () => `strace\n${strace.printed()}`,
    () => /attached/.test(strace.stderr),
  );
  await work();
  strace.signal('SIGINT');
  await strace.exit(10_000);
}

/** Publishes, and keeps every answer. */
class Load {
  readonly acknowledged = new Map<string, number>();
  refused = 0;
  readonly #aggregator: AggregatorProcess;
  #next = 0;

  constructor(aggregator: AggregatorProcess) {
    this.#aggregator = aggregator;
  }

  /** Publishes two events this many times. Returns how many publishes were refused. */
  async publish(times: number, chars = 2000): Promise<number> {
    const before = this.refused;
    for (let time = 0; time < times; time++) {
      const id = this.#next++;
      const events = [eventOf(`a${id}`, chars), eventOf(`b${id}`, chars)];
      const response = await this.#aggregator.post({ events }, '/publish?results=true');
      if (response.status === 503) {
        await problemIn(response, 503, 'store_unavailable');
        this.refused += 1;
        continue;
      }
      const { results } = (await response.json()) as { results: { event_id: string; offset: number }[] };
      for (const { event_id: eventId, offset } of results) this.acknowledged.set(eventId, offset);
    }
    return this.refused - before;
  }

  /** Asserts that all acknowledged events are stored, and nothing else, except for whole publishes if a sync failed. */
  async assertStored(after: AggregatorProcess, mayHoldMore: boolean): Promise<void> {
    const { events } = await after.events();
    const stored = new Map(events.map(({ event_id: eventId, offset }) => [eventId, offset]));
    for (const [eventId, offset] of this.acknowledged) assert.equal(stored.get(eventId), offset, eventId);
    for (const eventId of stored.keys()) {
      const sibling = (eventId.startsWith('a') ? 'b' : 'a') + eventId.slice(1);
      assert.ok(stored.has(sibling), `${eventId} is stored without ${sibling}`);
    }
    if (!mayHoldMore) assert.equal(stored.size, this.acknowledged.size);
    assertBalanced(await after.stats());
  }
}

function testsUnderStrace(): void {
  for (const [what, fault] of [
    ['every write of the log', { suffix: '-wal', calls: 'pwrite64', error: 'EIO' }],
    ['one write of the log', { suffix: '-wal', calls: 'pwrite64', error: 'EIO', when: '7' }],
    ['a sync of the log', { suffix: '-wal', calls: 'fsync,fdatasync', error: 'EIO', when: '2' }],
  ] as const) {
    test(
      `if the disk fails ${what}, the writer stops for good, reads continue, and no answered publish is lost [P-1, P-2, ERR-5]`,
      TIMEOUT,
      async (t) => {
        const site = new Site(t);
        const aggregator = await site.start();
        const load = new Load(aggregator);
        assert.equal(await load.publish(10), 0);
        await withFault(site, aggregator, fault, async () => void (await load.publish(20)));
        assert.ok(load.refused > 0);
        // The disk works again, but the state of the log is unknown.
        assert.equal(await load.publish(5), 5);
        await assertStopped(aggregator);
        assert.equal((await aggregator.events()).count, load.acknowledged.size);
        t.diagnostic(`${load.acknowledged.size} events acknowledged, ${load.refused} publishes refused`);
        await aggregator.kill();
        const after = await site.start();
        await load.assertStored(after, true);
        assert.equal(await new Load(after).publish(load.refused), 0);
      },
    );
  }

  test(
    'if the log can be written but the file cannot, the writer stops before the log fills the disk [P-1]',
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      const aggregator = await site.start();
      const load = new Load(aggregator);
      await load.publish(10);
      await withFault(site, aggregator, { suffix: '', calls: 'pwrite64', error: 'EIO' }, async () => {
        await until(
          () => 'the writer to stop',
          async () => (await load.publish(1)) > 0,
          30_000,
        );
      });
      await assertStopped(aggregator);
      await aggregator.kill();
      await load.assertStored(await site.start(), false);
    },
  );

  test(
    'if a write of the log finds no space, publishes are refused until there is some [P-3, ERR-5]',
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      const aggregator = await site.start();
      const load = new Load(aggregator);
      await load.publish(10);
      await withFault(site, aggregator, { suffix: '-wal', calls: 'pwrite64', error: 'ENOSPC' }, async () => {
        assert.equal(await load.publish(5), 5);
        await problemIn(await fetch(`${aggregator.url}/ready`), 503, 'store_unavailable');
      });
      assert.equal(await load.publish(10), 0);
      await load.assertStored(aggregator, false);
      await aggregator.kill();
      await load.assertStored(await site.start(), false);
    },
  );

  test(
    'if the index of the log cannot grow for lack of space, publishes are refused until it can [P-3, ERR-5]',
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      const aggregator = await site.start();
      const load = new Load(aggregator);
      await load.publish(1);
      // A reader of the file keeps the log from being reset, so that it outgrows the first part of its index.
      const reader = new DatabaseSync(site.databasePath, { readOnly: true });
      t.after(() => reader.close());
      reader.exec('BEGIN; SELECT count(*) FROM block');
      await withFault(
        site,
        aggregator,
        { suffix: '-shm', calls: 'pwrite64,ftruncate,fallocate', error: 'ENOSPC' },
        async () => {
          assert.ok((await load.publish(50, 500_000)) > 0, 'the index did not have to grow');
        },
      );
      reader.exec('COMMIT');
      assert.equal(await load.publish(10), 0);
      assert.equal((await fetch(`${aggregator.url}/ready`)).status, 200);
      await load.assertStored(aggregator, false);
      await aggregator.kill();
      await load.assertStored(await site.start(), false);
    },
  );

  test(
    'if the disk fails a read, its answer says so and no list is silently cut short [ERR-7]',
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      const aggregator = await site.start();
      const load = new Load(aggregator);
      // More than SQLite caches in memory.
      await load.publish(300, 8000);
      let failed = 0;
      await withFault(
        site,
        aggregator,
        { suffix: '', calls: 'pread64', error: 'EIO', when: '3+40' },
        async () => {
          for (let attempt = 0; attempt < 20; attempt++) {
            if (!(await isWholeRead(aggregator, 600))) failed += 1;
          }
        },
      );
      t.diagnostic(`${failed} of 20 reads failed`);
      assert.ok(failed > 0, 'the disk never failed');
      assert.ok(
        aggregator.logs.some(({ level }) => level >= LEVEL.warn),
        'the log does not mention it',
      );
      assert.ok(await isWholeRead(aggregator, 600));
    },
  );
}

/** Reads everything. Returns false if the answer is an error or is cut short. */
async function isWholeRead(aggregator: AggregatorProcess, count: number): Promise<boolean> {
  const response = await fetch(`${aggregator.url}/events`);
  if (response.status !== 200) {
    await problemIn(response, 500, 'store_damaged');
    return false;
  }
  let text: string;
  try {
    text = await response.text();
  } catch {
    return false;
  }
  const answer = JSON.parse(text) as { count: number; events: Event[] };
  assert.equal(answer.count, count);
  assert.equal(answer.events.length, count);
  return true;
}

async function assertStopped(aggregator: AggregatorProcess): Promise<void> {
  await problemIn(await fetch(`${aggregator.url}/ready`), 503, 'store_unavailable');
  const told = aggregator.logs.filter(
    ({ level, msg }) => level >= LEVEL.error && /until a restart/.test(msg),
  );
  assert.equal(told.length, 1, aggregator.program.printed());
  assert.match(told[0]!.msg, /check the disk.*npm run verify.*restore a backup/);
}

/** Its message is so long, and cannot be packed. */
function eventOf(id: string, chars: number): Event {
  const random = new SeededRandom(chars + Number(id.slice(1)));
  const words = Array.from({ length: Math.ceil(chars / 6) }, () =>
    random.whole(0x100000, 0xffffff).toString(16),
  );
  return {
    event_id: id,
    topic: 'orders',
    source: 'web',
    payload: { message: words.join('') },
    timestamp: '2025-10-28T10:00:00Z',
  };
}
