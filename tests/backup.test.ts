import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { openFile } from '../packages/aggregator/src/store/sqlite/open-file.ts';
import { verifyFile } from '../packages/aggregator/src/store/sqlite/upkeep/verify.ts';
import { batchOf } from '../packages/aggregator/test/support/events.ts';
import { type AggregatorProcess, type Settings, Site, assertBalanced } from '../lab/aggregator-process.ts';
import { type Exit, type Program, until } from '../lab/program.ts';
import { pathOf, textOf } from '../lab/repository.ts';

const TIMEOUT = { timeout: 120_000 };
const MAIN = pathOf('packages/aggregator/src/programs/backup.ts');

interface Acknowledged {
  readonly event: Event;
  readonly offset: number;
}

/** Runs the program of `npm run backup -- …` in the site's folder. */
function startBackup(site: Site, args: readonly string[], env: Settings = {}): Program {
  return site.run([process.execPath, MAIN, ...args], env);
}

async function runBackup(
  site: Site,
  args: readonly string[],
  env: Settings = {},
): Promise<Exit & { stdout: string; stderr: string }> {
  const program = startBackup(site, args, env);
  const exit = await program.exit(60_000);
  return { ...exit, stdout: program.stdout, stderr: program.stderr };
}

function eventOf(name: string): Event {
  return {
    event_id: name,
    topic: `topic-${name.length % 3}`,
    source: 'backup',
    payload: { message: `message of ${name}`, filler: name.repeat(20) },
    timestamp: '2025-10-28T10:00:00Z',
  };
}

/** Publishers that continue until they are stopped, and the events acknowledged so far. */
class Load {
  readonly acknowledged: Acknowledged[] = [];
  readonly #aggregator: AggregatorProcess;
  readonly #publishers: Promise<unknown>;
  #isStopped = false;

  constructor(aggregator: AggregatorProcess, publishers: number) {
    this.#aggregator = aggregator;
    this.#publishers = Promise.all(Array.from({ length: publishers }, (_, i) => this.#publish(i)));
    // Reported by `stop`.
    this.#publishers.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#publishers;
  }

  async #publish(publisher: number): Promise<void> {
    for (let batch = 0; !this.#isStopped; batch++) {
      const events = Array.from({ length: 40 }, (_, i) => eventOf(`${publisher}-${batch}-${i}`));
      const answer = await this.#aggregator.publish(...events);
      for (const [i, { offset }] of answer.results!.entries()) {
        this.acknowledged.push({ event: events[i]!, offset });
      }
    }
  }
}

async function assertStored(
  aggregator: AggregatorProcess,
  acknowledged: readonly Acknowledged[],
): Promise<number> {
  const { events } = await aggregator.events();
  const byOffset = new Map(events.map((event) => [event.offset, event]));
  for (const { event, offset } of acknowledged) {
    const { received_at: _, ...stored } = byOffset.get(offset) ?? assert.fail(`offset ${offset} is lost`);
    assert.deepEqual(stored, { ...event, offset });
  }
  const stats = await aggregator.stats();
  assertBalanced(stats);
  assert.equal(stats.unique_processed, events.length);
  return events.length;
}

test(
  'a copy taken under load starts, has everything acknowledged before it, and accepts the rest when it is sent again [PUB-10]',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const service = await site.start();
    const load = new Load(service, 4);
    await until(
      () => 'some events',
      () => load.acknowledged.length > 1500,
    );
    const before = [...load.acknowledged];
    mkdirSync(join(site.folder, 'restored'));
    const restored = join(site.folder, 'restored', 'events.db');
    const copied = await runBackup(site, [restored], { DEDUPLICATION_DB_PATH: site.databasePath });
    const during = load.acknowledged.length - before.length;
    await load.stop();
    assert.equal(copied.code, 0, copied.stdout + copied.stderr);
    assert.ok(during > 0, 'nothing was published meanwhile');
    assert.deepEqual(readdirSync(join(site.folder, 'restored')), ['events.db']);
    const [, events, lastOffset] =
      /: (\d+) events up to offset (\d+), last commit at \S+Z, .*, sound\n$/.exec(copied.stdout)!;
    assert.equal(events, lastOffset);

    // The service continued as if nothing had happened.
    const all = load.acknowledged;
    assert.equal(await assertStored(service, all), all.length);
    await service.stop();

    const copy = await site.start({ settings: { DEDUPLICATION_DB_PATH: restored } });
    assert.equal(await assertStored(copy, before), Number(events));
    let [accepted, duplicates] = [0, 0];
    for (let at = 0; at < all.length; at += 1000) {
      const answer = await copy.publish(...all.slice(at, at + 1000).map(({ event }) => event));
      assert.equal(answer.conflicts, 0);
      accepted += answer.accepted;
      duplicates += answer.duplicates;
    }
    assert.equal(duplicates, Number(events));
    assert.equal(accepted, all.length - Number(events));
    const inCopy = all.filter(({ offset }) => offset <= Number(lastOffset));
    assert.equal(await assertStored(copy, inCopy), all.length);
    t.diagnostic(`${before.length} events before, ${during} during, ${events} in the copy`);
  },
);

/** A closed file with this many events, as a service leaves it. */
function writeFile(path: string, events: number): void {
  const file = openFile(path);
  file.appender.append(batchOf(...Array.from({ length: events }, (_, i) => eventOf(`${i}`))));
  file.close();
}

test(
  'a backup is restored by a backup in the other direction, which refuses a log left behind',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const first = await site.start();
    const { results } = await first.publish(eventOf('a'), eventOf('b'));
    assert.equal((await runBackup(site, ['copy.db', '--from', site.databasePath])).code, 0);
    assert.equal((await first.publish(eventOf('c'))).accepted, 1);
    await first.kill();
    const left = await runBackup(site, ['events.db', '--from', 'copy.db', '--replace']);
    assert.equal(left.code, 2);
    assert.match(left.stderr, /would damage the copy; stop the service on that file, and move it away/);

    mkdirSync(join(site.folder, 'lost'));
    for (const name of readdirSync(site.folder).filter((name) => name.startsWith('events.db'))) {
      renameSync(join(site.folder, name), join(site.folder, 'lost', name));
    }
    const restored = await runBackup(site, ['events.db', '--from', 'copy.db', '--json']);
    assert.equal(restored.code, 0, restored.stderr);
    const { last_commit_at: lastCommitAt } = JSON.parse(restored.stdout) as { last_commit_at: string };
    const second = await site.start();
    const { events } = await second.events();
    assert.deepEqual([events.length, events.at(-1)!.received_at], [2, lastCommitAt]);
    const again = await second.publish(eventOf('b'), eventOf('c'));
    assert.deepEqual(
      again.results!.map(({ verdict, offset }) => [verdict, offset]),
      [
        ['duplicate', results![1]!.offset],
        ['accepted', 3],
      ],
    );
  },
);

test(
  'a restored copy still has the policies, and what was let go of before it is gone and known [RET-1, RET-3]',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const service = await site.start();
    const [kept, erased] = [eventOf('kept'), eventOf('erased')];
    await service.publish(kept, erased);
    const gone = `/events/${erased.topic}/${erased.event_id}`;
    assert.equal((await fetch(service.url + gone, { method: 'DELETE' })).status, 200);
    const put = await fetch(`${service.url}/retention/newest`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ topics: ['topic-*'], max_events: 5 }),
    });
    assert.equal(put.status, 201);
    const policies = await service.get('/retention');
    const restored = join(site.folder, 'restored.db');
    const copied = await runBackup(site, [restored], { DEDUPLICATION_DB_PATH: site.databasePath });
    assert.equal(copied.code, 0, copied.stdout + copied.stderr);
    await service.stop();

    const copy = await site.start({ settings: { DEDUPLICATION_DB_PATH: restored } });
    assert.deepEqual(await copy.get('/retention'), policies);
    assert.equal((await fetch(copy.url + gone)).status, 410);
    const again = await copy.publish(erased);
    assert.deepEqual(
      again.results!.map(({ verdict, offset }) => ({ verdict, offset })),
      [{ verdict: 'duplicate', offset: 2 }],
    );
    const { stored, expired, unique_processed: unique } = await copy.stats();
    assert.deepEqual([stored, expired, unique], [1, 1, 2]);
    await copy.stop();
  },
);

test(
  'the nightly command in docs/operations.md deletes old copies with all that stands beside them',
  TIMEOUT,
  async (t) => {
    const pattern =
      /find \/backups -name '([^']+)' -mtime \+14 -delete$/m.exec(textOf('docs/operations.md'))?.[1] ??
      assert.fail('there is no such command');
    const site = new Site(t);
    const day = join(site.folder, 'chronicle-2025-10-28.db');
    writeFile(site.databasePath, 1);
    assert.equal((await runBackup(site, [day, '--from', site.databasePath])).code, 0);
    assert.deepEqual(verifyFile(day).problems, []);
    // As a kill leaves it.
    copyFileSync(day, `${day}.partial-0123abcd`);
    const ran = spawnSync('find', [site.folder, '-name', pattern, '-delete'], { encoding: 'utf8' });
    assert.equal(ran.status, 0, ran.stderr);
    assert.deepEqual(readdirSync(site.folder), ['events.db', 'events.db-lock']);
  },
);

test('backup says what it cannot do in one line, with exit code 2', TIMEOUT, async (t) => {
  const site = new Site(t);
  const cases: [string[], RegExp][] = [
    [['copy.db', '--from', 'missing.db'], /^backup: missing\.db does not exist\n$/],
    [['copy.db', '--frm', 'x'], /^backup: unknown option '--frm'[^\n]*\n$/],
    [[], /^backup: missing required argument 'file'; see --help\n$/],
    [[''], /^backup: [^\n]+\n$/],
  ];
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, stdout, stderr } = await runBackup(site, args);
      assert.equal(code, 2, stdout + stderr);
      assert.match(stderr, message);
      assert.equal(stdout, '');
    }),
  );
  assert.deepEqual(readdirSync(site.folder), []);
});

const WITH_MOUNTS = ['unshare', '--mount', '--map-root-user'];

/** Why no file system can be mounted here, or null if one can. */
function mountsMissing(): string | null {
  const { error, status, stderr } = spawnSync(WITH_MOUNTS[0]!, [...WITH_MOUNTS.slice(1), 'true'], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (error !== undefined) return `unshare cannot be run: ${error.message}`;
  return status === 0 ? null : `nothing can be mounted: ${stderr.trim()}`;
}

const noMounts = mountsMissing();
const isRequired = process.env['REQUIRE_MOUNTS'] === '1';

test(
  'a target without space or without write access is reported in one line and left empty',
  { ...TIMEOUT, skip: !isRequired && noMounts !== null && noMounts },
  async (t) => {
    assert.equal(noMounts, null);
    const site = new Site(t);
    writeFile(site.databasePath, 1000);
    mkdirSync(join(site.folder, 'disk'));
    const onDisk = async (options: string): Promise<string> => {
      const mount = `mount -t tmpfs -o ${options} none disk && "$@"; code=$?; ls -A disk; exit $code`;
      const backup = [process.execPath, MAIN, 'disk/copy.db', '--from', site.databasePath];
      const program = site.run([...WITH_MOUNTS, 'sh', '-c', mount, 'sh', ...backup]);
      const { code } = await program.exit(60_000);
      assert.equal(code, 2, program.printed());
      assert.equal(program.stdout, '', 'something was left');
      assert.match(program.stderr, /^backup: [^\n]+\n$/);
      return program.stderr;
    };
    assert.match(await onDisk('size=16k'), /no space is left in .*disk: the copy needs about \d{5,} bytes/);
    assert.match(await onDisk('ro'), /cannot write the copy in .*disk: .*read-only file system/);
  },
);

test('an interrupted backup leaves nothing of the copy', TIMEOUT, async (t) => {
  const site = new Site(t);
  writeFile(site.databasePath, 2000);
  const isPartial = (): boolean => readdirSync(site.folder).some((name) => name.includes('.partial-'));
  for (let attempt = 1; ; attempt++) {
    const copying = startBackup(site, [`copy-${attempt}.db`, '--from', site.databasePath]);
    await until(
      () => 'the copy',
      () => copying.hasExited || isPartial(),
    );
    copying.signal('SIGTERM');
    const { code, signal } = await copying.exit(60_000);
    // Once more if it had already finished.
    if (code === 0 && attempt < 5) continue;
    assert.equal(signal, null, copying.printed());
    assert.equal(code, 143, copying.printed());
    assert.match(copying.stderr, /^backup: interrupted by SIGTERM; the unfinished copy was deleted\n$/);
    assert.equal(existsSync(join(site.folder, `copy-${attempt}.db`)), false);
    break;
  }
  assert.equal(isPartial(), false);
});
