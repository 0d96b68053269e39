import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, before, test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { openFile } from '../../packages/aggregator/src/store/sqlite/open-file.ts';
import { batchOf, eventWith } from '../../packages/aggregator/test/support/events.ts';
import { type AggregatorProcess, LEVEL, Site, problemIn } from '../../lab/aggregator-process.ts';
import { pathOf } from '../../lab/repository.ts';

const TIMEOUT = { timeout: 120_000 };

const VERIFY = [process.execPath, pathOf('packages/aggregator/src/programs/verify.ts')];

/** Enough for some keys to be in a run, and so on disk and not only in memory. */
const EVENTS = 140_000;

const TOPIC = 'broken-file';

function event(id: number): Event {
  return eventWith({ event_id: `event-${id}`, topic: TOPIC });
}

/** A site whose file has EVENTS. */
function filledSite(t: TestContext): Site {
  const site = new Site(t);
  copyFileSync(filled, site.databasePath);
  return site;
}

const folder = mkdtempSync(join(tmpdir(), 'chronicleweaver-'));
const filled = join(folder, 'filled.db');
before(() => fill(filled, EVENTS));
process.on('exit', () => rmSync(folder, { recursive: true }));

/** Creates a file with this many events, all background work done and the log checkpointed. */
function fill(path: string, events: number): void {
  const file = openFile(path);
  for (let id = 0; id < events; id += 7000) {
    const count = Math.min(7000, events - id);
    file.appender.append(batchOf(...Array.from({ length: count }, (_, i) => event(id + i))));
  }
  while (file.index.isBusy) file.appender.transaction(() => file.index.step(100_000));
  while (file.log.isMergeable) file.appender.transaction(() => file.log.mergeSome(Infinity));
  file.close();
}

/** Flips a bit of a value, in the file itself. */
function flip(path: string, sql: string): void {
  const db = new DatabaseSync(path, { readOnly: true });
  const value = Buffer.from(Object.values(db.prepare(sql).get()!)[0] as Uint8Array);
  db.close();
  const bytes = readFileSync(path);
  // A long value is spread over pages, but its beginning is in one piece.
  const start = value.subarray(0, 200);
  const at = bytes.indexOf(start);
  assert.ok(at > 0 && bytes.indexOf(start, at + 1) < 0, 'the value is found in exactly one place');
  bytes[at + (start.length >> 1)]! ^= 0x10;
  writeFileSync(path, bytes);
}

async function assertStopped(aggregator: AggregatorProcess): Promise<void> {
  await problemIn(await fetch(`${aggregator.url}/ready`), 503, 'store_unavailable');
  await problemIn(await aggregator.post({ events: [event(-1)] }), 503, 'store_unavailable');
  const told = aggregator.logs.filter(
    ({ level, msg }) => level >= LEVEL.error && /until a restart/.test(msg),
  );
  assert.equal(told.length, 1, aggregator.program.printed());
  assert.match(told[0]!.msg, /check the disk.*npm run verify.*restore a backup/);
}

test(
  'a flipped bit in a key page stops the writer before it stores an event twice, and a rebuild repairs it [P-2]',
  TIMEOUT,
  async (t) => {
    const site = filledSite(t);
    flip(site.databasePath, 'SELECT entries FROM key_block ORDER BY place DESC LIMIT 1 OFFSET 7');

    const aggregator = await site.start();
    const refusals: string[] = [];
    for (let id = 0; id < EVENTS && refusals.length === 0; id += 5000) {
      const response = await aggregator.post({
        events: Array.from({ length: 5000 }, (_, i) => event(id + i)),
      });
      if (response.status === 503)
        refusals.push((await problemIn(response, 503, 'store_unavailable')).detail);
      else assert.equal(((await response.json()) as { accepted: number }).accepted, 0);
    }
    assert.match(refusals.join('\n'), /bucket \d+ of key run \d+: its checksum does not match/);
    assert.match(refusals.join('\n'), /--rebuild/);
    await assertStopped(aggregator);
    assert.equal((await aggregator.stats()).unique_processed, EVENTS);
    assert.equal((await aggregator.events('?limit=10')).count, 10);
    await aggregator.stop();

    const verify = site.run([...VERIFY, site.databasePath]);
    assert.equal((await verify.exit(60_000)).code, 1);
    assert.match(verify.stdout, /bucket \d+ of key run \d+: its checksum does not match/);
    const rebuild = site.run([...VERIFY, site.databasePath, '--rebuild']);
    assert.equal((await rebuild.exit(60_000)).code, 0, rebuild.printed());
    const after = await site.start();
    assert.equal((await after.publish(...Array.from({ length: 5000 }, (_, i) => event(i)))).accepted, 0);
  },
);

test('a flipped bit in a filter stops the start, which says how to rebuild it [P-2]', TIMEOUT, async (t) => {
  const site = filledSite(t);
  flip(site.databasePath, 'SELECT bits FROM key_filter LIMIT 1');
  const { stderr } = await site.fail();
  assert.match(stderr, /^chronicleweaver: .* is damaged \(the filter of key run \d+: .*--rebuild.*\): .*\n$/);
  const rebuild = site.run([...VERIFY, site.databasePath, '--rebuild']);
  assert.equal((await rebuild.exit(60_000)).code, 0, rebuild.printed());
  assert.equal((await (await site.start()).publish(event(1))).duplicates, 1);
});

test(
  'a flipped bit in a block is reported by every start and every read that needs the block, and by verify [ERR-7]',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    fill(site.databasePath, 3000);
    flip(site.databasePath, 'SELECT body FROM block LIMIT 1');
    const { stderr } = await site.fail();
    assert.match(
      stderr,
      /^chronicleweaver: .* is damaged \(block at offset 1: .*\): .*restore a backup.*\n$/,
    );

    const sealed = filledSite(t);
    flip(sealed.databasePath, 'SELECT body FROM block WHERE first_offset = 1');
    const aggregator = await sealed.start();
    await problemIn(await fetch(`${aggregator.url}/events?limit=10`), 500, 'store_damaged');
    await problemIn(await fetch(`${aggregator.url}/events`), 500, 'store_damaged');
    assert.ok(aggregator.logs.some((line) => /block at offset 1:/.test(JSON.stringify(line))));
    assert.equal((await aggregator.events('?limit=10&after=10000')).count, 10);
    assert.equal((await aggregator.publish(event(EVENTS))).accepted, 1);
    await aggregator.stop();
    const verify = sealed.run([...VERIFY, sealed.databasePath]);
    assert.equal((await verify.exit(60_000)).code, 1);
    assert.match(verify.stdout, /block at offset 1: its checksum does not match/);
  },
);

test('an invalid page of SQLite stops the start or the writer, and is reported', TIMEOUT, async (t) => {
  const site = filledSite(t);
  const sound = readFileSync(site.databasePath);
  const pageBytes = sound.readUInt16BE(16);
  const pages = sound.length / pageBytes;
  let stopped = 0;
  for (const page of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const bytes = Buffer.from(sound);
    // No page has the type 0xff.
    bytes.fill(0xff, page * pageBytes, page * pageBytes + 100);
    writeFileSync(site.databasePath, bytes);
    assert.ok(page < pages);
    const outcome = await outcomeOf(site);
    if (outcome !== 'sound') stopped += 1;
    t.diagnostic(`page ${page + 1}: ${outcome}`);
  }
  assert.ok(stopped >= 4, `a start, an append and these reads need most of the first pages, not ${stopped}`);
});

/** Starts the service, publishes and reads; each must succeed or report the damage. */
async function outcomeOf(site: Site): Promise<string> {
  let aggregator: AggregatorProcess;
  try {
    aggregator = await site.start();
  } catch (error) {
    assert.match(String(error), /chronicleweaver: [^\n]*(is damaged|has stopped writing)/);
    assert.match(String(error), /restore a backup/);
    return 'the start is refused';
  }
  const faults: string[] = [];
  const response = await aggregator.post({ events: [event(1), event(EVENTS)] });
  if (response.status === 503) {
    await problemIn(response, 503, 'store_unavailable');
    await assertStopped(aggregator);
    faults.push('the writer stops');
  } else assert.equal(((await response.json()) as { accepted: number }).accepted, 1);
  for (const path of ['/events?limit=10', '/topics', '/stats', `/events/${TOPIC}/event-1`]) {
    const read = await fetch(aggregator.url + path);
    if (read.status === 200) await read.text();
    else {
      await problemIn(read, 500, 'store_damaged');
      faults.push(`${path} is refused`);
    }
  }
  await aggregator.kill();
  // The next round starts from the sound file again.
  for (const suffix of ['-wal', '-shm', '-lock']) rmSync(site.databasePath + suffix, { force: true });
  return faults.length === 0 ? 'sound' : faults.join(', ');
}

for (const [what, ruin] of [
  ['cut in half', (path: string) => truncateSync(path, 8 * 4096)],
  ['cut within a page', (path: string) => truncateSync(path, 10_000)],
  ['overwritten with zeros', (path: string) => writeFileSync(path, Buffer.alloc(100_000))],
  ['overwritten with anything', (path: string) => writeFileSync(path, 'lorem ipsum '.repeat(9000))],
  [
    'without its first page',
    (path: string) =>
      writeFileSync(path, Buffer.concat([Buffer.alloc(4096), readFileSync(path).subarray(4096)])),
  ],
] as const) {
  test(`a file that is ${what} is refused in one line and left unchanged`, TIMEOUT, async (t) => {
    const site = new Site(t);
    fill(site.databasePath, 3000);
    ruin(site.databasePath);
    const copy = `${site.databasePath}.copy`;
    copyFileSync(site.databasePath, copy);
    const { stderr } = await site.fail();
    assert.match(
      stderr,
      /^chronicleweaver: [^\n]+(is damaged|is not an SQLite file)[^\n]+restore a backup[^\n]*\n$/,
    );
    assert.deepEqual(readFileSync(site.databasePath), readFileSync(copy));
    assert.deepEqual(
      readdirSync(site.folder).filter((name) => name.endsWith('-wal')),
      [],
    );
  });
}

test('after a kill the service does not start without its log [P-1]', TIMEOUT, async (t) => {
  const site = new Site(t);
  const aggregator = await site.start();
  let id = 0;
  // The mark is raised at most a second later, with the next append.
  for (const end = performance.now() + 1500; performance.now() < end; id++) {
    await aggregator.publish(event(id));
    await sleep(50);
  }
  await aggregator.kill();
  const log = readFileSync(`${site.databasePath}-wal`);
  for (const suffix of ['-wal', '-shm']) rmSync(site.databasePath + suffix);
  const { stderr } = await site.fail();
  assert.match(
    stderr,
    /^chronicleweaver: .*events\.db ends at offset 0 but held events up to \d+: .*-wal was taken/,
  );
  writeFileSync(`${site.databasePath}-wal`, log);
  assert.equal((await (await site.start()).stats()).received, id);
});
