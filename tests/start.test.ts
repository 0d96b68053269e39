import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { readConfig } from '../packages/aggregator/src/config.ts';
import { LEVEL, type Settings, Site } from '../lab/aggregator-process.ts';
import { STORE } from '../lab/test-store.ts';
import { until } from '../lab/program.ts';

const TIMEOUT = { timeout: 120_000 };

const EVENTS: Event[] = ['a', 'b', 'c'].map((event_id) => ({
  event_id,
  topic: 'orders',
  source: 'web',
  payload: { message: 'order placed' },
  timestamp: '2025-10-28T10:00:00Z',
}));

/** Starts the service where it cannot run, and returns the one line that it prints. */
async function complaint(site: Site, settings: Settings): Promise<string> {
  const program = await site.fail({ settings });
  const { code } = await program.exited;
  assert.equal(code, 1, program.printed());
  assert.match(program.stderr, /^chronicleweaver: [^\n]+\n$/);
  assert.equal(program.stdout, '');
  return program.stderr.slice('chronicleweaver: '.length).trimEnd();
}

test(
  'a wrong value is refused in one line, the same way at every start, and creates nothing',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const folder = join(site.folder, 'data/');
    const refused = `DEDUPLICATION_DB_PATH is ${JSON.stringify(folder)}; it takes the path of a file, and this is the path of a folder`;
    assert.equal(await complaint(site, { DEDUPLICATION_DB_PATH: folder }), refused);
    assert.equal(await complaint(site, { DEDUPLICATION_DB_PATH: folder }), refused);
    assert.deepEqual(readdirSync(site.folder), [], 'something was created before the settings were checked');
  },
);

test('a port that is in use is reported in one line', TIMEOUT, async (t) => {
  const site = new Site(t);
  const { port } = await site.start();
  const line = await complaint(site, {
    APP_PORT: String(port),
    DEDUPLICATION_DB_PATH: join(site.folder, 'other.db'),
  });
  assert.match(line, /^APP_PORT is \d+: .*address already in use/);
  assert.ok(line.includes(String(port)), line);
  const ofMetrics = await complaint(site, {
    METRICS_PORT: String(port),
    DEDUPLICATION_DB_PATH: join(site.folder, 'other.db'),
  });
  assert.match(ofMetrics, new RegExp(`^METRICS_PORT is ${port}: .*address already in use`));
});

test('an address that does not belong to this machine is reported in one line', TIMEOUT, async (t) => {
  const site = new Site(t);
  // RFC 5737: documentation addresses, nobody's.
  assert.match(await complaint(site, { HOST: '203.0.113.1' }), /^HOST is "203\.0\.113\.1": /);
  assert.match(await complaint(site, { HOST: 'no-such-host.invalid' }), /^HOST is "no-such-host\.invalid": /);
});

test(
  'no line of .env is lost: one after a byte order mark is read, and a misspelt one is refused',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    writeFileSync(join(site.folder, 'keys.json'), '\ufeff{"keys":[]}');
    writeFileSync(join(site.folder, '.env'), '\ufeffAPI_KEYS_FILE=keys.json\r\nHOST=127.0.0.1\r\n');
    const aggregator = await site.start();
    const { status } = await fetch(`${aggregator.url}/events`);
    assert.equal(status, 401);
    await aggregator.stop();

    writeFileSync(join(site.folder, '.env'), 'HOST=127.0.0.1\nAPIKEYS_FILE=keys.json\n');
    assert.match(
      await complaint(site, {}),
      /^\.env, line 2: there is no setting APIKEYS_FILE: write API_KEYS_FILE /,
    );
  },
);

test('a file that is not SQLite is refused in one line and left as it was', TIMEOUT, async (t) => {
  const site = new Site(t);
  const bytes = 'The minutes of the meeting, in plain text.\n'.repeat(200);
  writeFileSync(site.databasePath, bytes);
  const line = await complaint(site, {});
  assert.match(line, /is not an SQLite file/);
  assert.ok(line.includes(site.databasePath), line);
  assert.match(line, /DEDUPLICATION_DB_PATH/);
  assert.equal(readFileSync(site.databasePath, 'utf8'), bytes);
  assert.deepEqual(readdirSync(site.folder), ['events.db']);
});

test("another program's SQLite file is refused in one line and left as it was", TIMEOUT, async (t) => {
  const site = new Site(t);
  const other = new DatabaseSync(site.databasePath);
  other.exec("CREATE TABLE event (text); INSERT INTO event VALUES ('not ours')");
  other.close();
  const bytes = readFileSync(site.databasePath);
  const line = await complaint(site, {});
  assert.match(line, /SQLite file of another program/);
  assert.ok(line.includes(site.databasePath), line);
  assert.deepEqual(readFileSync(site.databasePath), bytes);
  assert.deepEqual(readdirSync(site.folder), ['events.db']);
});

test('a file of a newer format is refused in one line and left as it was', TIMEOUT, async (t) => {
  const site = new Site(t);
  await (await site.start()).stop();
  const newer = new DatabaseSync(site.databasePath);
  newer.exec('PRAGMA user_version = 1000');
  newer.close();
  const bytes = readFileSync(site.databasePath);
  const line = await complaint(site, {});
  assert.match(line, /is of format 1000/);
  assert.ok(line.includes(site.databasePath), line);
  assert.deepEqual(readFileSync(site.databasePath), bytes);
  // The lock file is the first start's.
  assert.deepEqual(readdirSync(site.folder), ['events.db', 'events.db-lock']);
});

test('an impossible path is reported in one line', TIMEOUT, async (t) => {
  const site = new Site(t);
  const file = join(site.folder, 'a-file');
  writeFileSync(file, '');
  const inFile = join(file, 'folder', 'events.db');
  assert.ok(
    (await complaint(site, { DEDUPLICATION_DB_PATH: inFile })).includes(
      `DEDUPLICATION_DB_PATH: cannot create the folder of ${inFile}`,
    ),
  );
  const folder = join(site.folder, 'a-folder');
  mkdirSync(folder);
  assert.ok((await complaint(site, { DEDUPLICATION_DB_PATH: folder })).includes(folder));
});

test(
  'a file that another process has open is refused in one line, and that process continues',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const first = await site.start();
    await first.publish(EVENTS[0]!);
    assert.ok((await complaint(site, {})).includes(`another process has ${site.databasePath} open`));
    // A stopped process still holds it.
    first.program.signal('SIGSTOP');
    assert.ok((await complaint(site, {})).includes(`another process has ${site.databasePath} open`));
    first.program.signal('SIGCONT');
    assert.equal((await first.publish(...EVENTS)).accepted, 2);
  },
);

test(
  'variables come from .env in the working directory, and the real environment wins',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    writeFileSync(
      join(site.folder, '.env'),
      '# where the events go\nDEDUPLICATION_DB_PATH=from-file.db\nAPP_PORT=nonsense\n\nLOG_LEVEL=debug\n',
    );
    const aggregator = await site.start({ settings: { DEDUPLICATION_DB_PATH: undefined, APP_PORT: '0' } });
    assert.equal(aggregator.logs[0]?.['database'], realpathSync(join(site.folder, 'from-file.db')));
    assert.ok(existsSync(join(site.folder, 'from-file.db')));
    await aggregator.stop();

    const second = await site.start({ settings: { DEDUPLICATION_DB_PATH: 'from-environment.db' } });
    assert.equal(second.logs[0]?.['database'], realpathSync(join(site.folder, 'from-environment.db')));
    await second.stop();

    const line = await complaint(site, { APP_PORT: undefined });
    assert.equal(line, 'APP_PORT is "nonsense"; it takes a whole number from 0 to 65535');
  },
);

test(
  'without variables it is port 8000 of this machine, and data/chronicle.db where it was started',
  TIMEOUT,
  async (t) => {
    const { host, port } = readConfig({});
    assert.deepEqual({ host, port }, { host: '127.0.0.1', port: 8000 });

    const site = new Site(t);
    const aggregator = await site.start({ settings: { DEDUPLICATION_DB_PATH: undefined } });
    assert.equal(aggregator.url, `http://127.0.0.1:${aggregator.port}`);
    assert.ok(existsSync(join(site.folder, 'data', 'chronicle.db')));
  },
);

test(
  'the first line of the log names version, store, its place and version, and port [SYS-3]',
  TIMEOUT,
  async (t) => {
    const site = new Site(t);
    const aggregator = await site.start();
    assert.equal(aggregator.logs.length, 1);
    const { level, time, version, store, database, storeVersion, host, port, msg } = aggregator.logs[0]!;
    const { version: published } = await aggregator.get<{ version: string }>('/stats');
    assert.equal(level, LEVEL.info);
    assert.ok(Math.abs(Number(time) - Date.now()) < 60_000);
    assert.equal(version, published);
    assert.equal(store, STORE);
    if (STORE === 'sqlite') assert.equal(database, site.databasePath);
    else assert.match(String(database), /^postgres:\/\/localhost:\d+\/postgres/);
    assert.match(String(storeVersion), STORE === 'sqlite' ? /^3\.\d+\.\d+$/ : /^\d\d\.\d+/);
    assert.equal(host, '127.0.0.1');
    assert.ok(Number.isInteger(port));
    assert.ok(msg.includes(aggregator.url), msg);
  },
);

test('LOG_LEVEL=debug logs every dropped event by topic and id, with its verdict', TIMEOUT, async (t) => {
  const aggregator = await new Site(t).start({ settings: { LOG_LEVEL: 'debug' } });
  await aggregator.publish(...EVENTS);
  await aggregator.publish(EVENTS[1]!, { ...EVENTS[2]!, source: 'another' });
  const drops = () => aggregator.logs.filter((line) => line.level === LEVEL.debug && 'event_id' in line);
  await until(
    () => 'a line for each dropped event',
    () => drops().length >= 2,
  );
  assert.deepEqual(
    drops().map(({ topic, event_id, source, verdict, offset }) => ({
      topic,
      event_id,
      source,
      verdict,
      offset,
    })),
    [
      { topic: 'orders', event_id: 'b', source: 'web', verdict: 'duplicate', offset: 2 },
      { topic: 'orders', event_id: 'c', source: 'another', verdict: 'conflict', offset: 3 },
    ],
  );
});

test('by default dropped events are summarized in one line', TIMEOUT, async (t) => {
  const aggregator = await new Site(t).start();
  await aggregator.publish(...EVENTS);
  for (let i = 0; i < 5; i++) await aggregator.publish(...EVENTS, { ...EVENTS[0]!, source: 'another' });
  await aggregator.stop();
  const about = aggregator.logs.filter((line) => 'dropped' in line || 'event_id' in line);
  assert.equal(about.length, 1, JSON.stringify(about));
  const { level, dropped, conflicts } = about[0]!;
  assert.deepEqual({ level, dropped, conflicts }, { level: LEVEL.info, dropped: 20, conflicts: 5 });
});
