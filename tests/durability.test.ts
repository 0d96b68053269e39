import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { Site, assertBalanced, problemIn } from '../lab/aggregator-process.ts';
import { type SystemCall, readTrace, straceCommand, straceMissing } from '../lab/strace.ts';

const missing = straceMissing();
if (missing === null) testsUnderStrace();
else if (process.env['REQUIRE_STRACE'] === '1') {
  test('strace can be used, as REQUIRE_STRACE=1 asks', () => assert.fail(missing));
} else test('strace shows that a sync precedes each answer', { skip: missing }, () => {});

function testsUnderStrace(): void {
  const TIMEOUT = { timeout: 60_000 };

  test('a publish is answered after its events were written and synced [P-1]', TIMEOUT, async (t) => {
    const site = new Site(t);
    const trace = join(site.folder, 'trace');
    const aggregator = await site.start({ under: straceCommand(trace) });
    for (let id = 1; id <= 3; id++) await aggregator.publish(eventOf(id));
    await aggregator.stop();

    const calls = readTrace(trace);
    const answers = calls.filter(isAnswer);
    assert.equal(answers.length, 3);
    let from = 0;
    for (const answer of answers) {
      assertSyncedBefore(answer, calls);
      // And it is this publish's sync, not an earlier one's.
      const own = calls.filter(({ begin, end }) => begin >= from && end < answer.begin);
      assert.ok(own.some(isLogSync), 'the answer had no sync of its own');
      from = answer.begin;
    }
  });

  test(
    'the service writes and syncs each time before it says that it is ready [SYS-2]',
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      const trace = join(site.folder, 'trace');
      const aggregator = await site.start({ under: straceCommand(trace) });
      for (let time = 1; time <= 3; time++) await aggregator.get('/ready');
      await aggregator.stop();

      const calls = readTrace(trace);
      const answers = calls.filter(isAnswer);
      assert.equal(answers.length, 3);
      let from = 0;
      for (const answer of answers) {
        const own = calls.filter(({ begin, end }) => begin >= from && end < answer.begin);
        assert.ok(own.some(isLogWrite) && own.some(isLogSync), 'an answer had no commit of its own');
        from = answer.begin;
      }
    },
  );

  test(
    'the folder of a new log is synced, so that the file is found again after a power loss [P-1]',
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      // A clean stop leaves no log; the first publish after it creates one.
      await (await site.start()).stop();
      const trace = join(site.folder, 'trace');
      const aggregator = await site.start({ under: straceCommand(trace) });
      await aggregator.publish(eventOf(1));
      await aggregator.stop();

      const calls = readTrace(trace);
      const answer = calls.find(isAnswer)!;
      const firstWrite = calls.find(isLogWrite)!;
      const ofFolder = (call: SystemCall): boolean =>
        isSync(call.name) && call.text.includes(`<${site.folder}>) `);
      assert.ok(
        calls.some((call) => ofFolder(call) && call.begin > firstWrite.begin && call.end < answer.begin),
        'the folder was not synced after the log was made',
      );
    },
  );

  test('the parents of new folders are synced [P-1]', TIMEOUT, async (t) => {
    const site = new Site(t);
    const trace = join(site.folder, 'trace');
    const settings = { DEDUPLICATION_DB_PATH: join(site.folder, 'a/b/events.db') };
    const aggregator = await site.start({ settings, under: straceCommand(trace) });
    await aggregator.publish(eventOf(1));
    await aggregator.stop();

    const calls = readTrace(trace);
    const answer = calls.find(isAnswer)!;
    for (const folder of [site.folder, join(site.folder, 'a'), join(site.folder, 'a/b')]) {
      assert.ok(
        calls.some(
          (call) => isSync(call.name) && call.text.includes(`<${folder}>) `) && call.end < answer.begin,
        ),
        `${folder} was not synced`,
      );
    }
  });

  test('concurrent publishers share a sync [P-1]', TIMEOUT, async (t) => {
    const site = new Site(t);
    const trace = join(site.folder, 'trace');
    const publishers = 64;
    // Make a sync take 20 ms: on a fast disk there is nothing to share.
    const slow = ['-e', 'inject=fsync,fdatasync:delay_exit=20000'];
    const aggregator = await site.start({ under: straceCommand(trace, ...slow) });
    const { commits: before } = await aggregator.stats();
    await Promise.all(Array.from({ length: publishers }, (_, id) => aggregator.publish(eventOf(id))));
    const { commits, unique_processed } = await aggregator.stats();
    assert.equal(unique_processed, publishers);
    await aggregator.stop();

    const calls = readTrace(trace);
    // From the first answer about the books to the last one.
    const publishing = calls.slice(calls.findIndex(isAnswer), calls.findLastIndex(isAnswer));
    const syncs = publishing.filter(isLogSync).length;
    t.diagnostic(`${publishers} publishers, ${commits - before} commits, ${syncs} syncs`);
    assert.ok(syncs >= 1 && syncs <= publishers / 4, `${syncs} syncs for ${publishers} publishes`);
  });

  test(
    'a commit waits only for the sync of the log: another thread checkpoints the log into the file',
    TIMEOUT,
    async (t) => {
      const site = new Site(t);
      const trace = join(site.folder, 'trace');
      const aggregator = await site.start({ under: straceCommand(trace) });
      // Some 2000 pages, and never a pause in which the other thread could reach the end of the log.
      await Promise.all(
        Array.from({ length: 4 }, async (_, publisher) => {
          for (let id = 1; id <= 50; id++) await aggregator.publish(largeEventOf(100 * publisher + id));
        }),
      );
      await aggregator.kill();

      const calls = readTrace(trace);
      const writer = calls.findLast(isLogWrite)!.thread;
      const pages = { writer: 0, other: 0 };
      let unsynced = 0;
      let most = 0;
      for (const { thread, name, text } of calls) {
        if (!text.includes(`<${site.databasePath}>`)) continue;
        if (name === 'pwrite64') {
          pages[thread === writer ? 'writer' : 'other'] += 1;
          unsynced += 1;
        } else if (isSync(name)) {
          if (thread === writer) most = Math.max(most, unsynced);
          unsynced = 0;
        }
      }
      t.diagnostic(
        `pages brought into the file: ${JSON.stringify(pages)}, ${most} at most in a sync by the writer`,
      );
      assert.ok(pages.other > 1000, 'the other thread did almost nothing');
      // The writer folds up to 256 pages itself, between two commits.
      assert.ok(most <= 256, 'the writer waited for a large sync of the file');
    },
  );

  for (const [when, end] of [
    ['with a new log', 'stop'],
    ['with a log that a crash left', 'kill'],
  ] as const) {
    test(
      `if the disk refuses the sync, the publish is refused and may be sent again, ${when} [P-1, PUB-10, ERR-5]`,
      TIMEOUT,
      async (t) => {
        const site = new Site(t);
        const before = await site.start();
        await before.publish(eventOf(1));
        await before[end]();

        const broken = ['-e', 'inject=fsync,fdatasync:error=EIO'];
        const aggregator = await site.start({ under: straceCommand(join(site.folder, 'trace'), ...broken) });
        for (let attempt = 1; attempt <= 2; attempt++) {
          const response = await aggregator.post({ events: [eventOf(2)] });
          assert.ok(response.headers.has('retry-after'));
          await problemIn(response, 503, 'store_unavailable');
        }
        await problemIn(await fetch(`${aggregator.url}/ready`), 503, 'store_unavailable');
        assert.equal((await aggregator.stats()).received, 1);
        assert.equal((await aggregator.events()).count, 1);
        await aggregator.kill();

        const after = await site.start();
        const { results } = await after.publish(eventOf(1), eventOf(2));
        assert.equal(results![0]!.verdict, 'duplicate');
        // The refused one may still be in the file: its bytes were written, only their sync failed.
        assert.notEqual(results![1]!.verdict, 'conflict');
        assert.equal((await after.events()).count, 2);
        assertBalanced(await after.stats());
      },
    );
  }
}

function eventOf(id: number): Event {
  return {
    event_id: `event-${id}`,
    topic: 'orders',
    source: 'web',
    payload: { message: 'order placed' },
    timestamp: '2025-10-28T10:00:00Z',
  };
}

/** An event of about 40 kB that cannot be compressed. */
function largeEventOf(id: number): Event {
  return { ...eventOf(id), payload: { message: randomBytes(30_000).toString('base64') } };
}

function isAnswer({ text }: SystemCall): boolean {
  return /socket.*HTTP\/1\.1 200/.test(text);
}

function isLogWrite({ name, text }: SystemCall): boolean {
  return name === 'pwrite64' && text.includes('-wal>');
}

function isLogSync({ name, text }: SystemCall): boolean {
  return isSync(name) && /-wal>\)\s+= 0/.test(text);
}

function isSync(name: string): boolean {
  return name === 'fsync' || name === 'fdatasync';
}

/** Asserts that everything written to the log before the answer was also synced before it. */
function assertSyncedBefore(answer: SystemCall, calls: readonly SystemCall[]): void {
  const before = calls.filter(({ end }) => end < answer.begin);
  const write = before.findLast(isLogWrite);
  assert.ok(write !== undefined, 'nothing was written to the log before the answer');
  const sync = before.findLast((call) => isLogSync(call) && call.begin > write.end);
  assert.ok(sync !== undefined, `no sync lies between\n${write.text}\nand\n${answer.text}`);
}
