import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DeliveredEvent, Group } from '@chronicleweaver/client';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { eventWith, manyEvents } from '../../aggregator/test/support/events.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { tempFolder } from '../../aggregator/test/support/temp-folder.ts';
import { type Ran, commandLine } from './support/command-line.ts';

const EVENT =
  '{"timestamp":"2025-10-28","payload":{"n":1.50,"big":123456789012345678901},"topic":"orders","source":"shop","event_id":"1"}';

async function ok(ran: Promise<Ran>): Promise<Ran> {
  const result = await ran;
  assert.equal(result.code, 0, result.stderr);
  return result;
}

test('publish fills in what a line leaves out and keeps what it has, digit for digit', async (t) => {
  const { url } = await TestServer.start(t);
  const input = `${EVENT}\n\n  {"topic":"t","payload":{}}  \r\n{"payload":{"a":1}}\n{"event_id":"x","payload":{}}`;
  const { stdout } = await ok(
    commandLine(['publish', '--url', url, '--topic', 'spare', '--source', 'me'], input),
  );
  assert.equal(stdout, '4 published: 4 accepted, 0 duplicates, of these 0 conflicts\n');

  const { lines } = await ok(commandLine(['events', '--url', url, '--json']));
  assert.equal(lines[0]!.replace(/,"offset":1,"received_at":"[^"]*"\}$/, '}'), EVENT);
  const events = lines.map((line) => JSON.parse(line) as StoredEvent);
  assert.deepEqual(
    events.map(({ topic, source }) => [topic, source]),
    [
      ['orders', 'shop'],
      ['t', 'me'],
      ['spare', 'me'],
      ['spare', 'me'],
    ],
  );
  assert.equal(events[3]!.event_id, 'x');
  assert.match(events[1]!.event_id, /^[\da-f-]{36}$/);
  assert.ok(Math.abs(Date.parse(events[1]!.timestamp) - Date.now()) < 60_000);
});

test('publish takes payloads, files and what events has printed', async (t) => {
  const server = await TestServer.start(t);
  const { url } = server;
  const file = join(tempFolder(t), 'payloads.ndjson');
  writeFileSync(file, '{"offset":1}\n{}\n');
  await ok(commandLine(['publish', file, '--payloads', '--topic', 'p', '--url', url]));
  const stored = (await ok(commandLine(['events', '--url', url, '--json']))).stdout;
  assert.deepEqual(
    stored
      .split('\n')
      .slice(0, 2)
      .map((line) => (JSON.parse(line) as StoredEvent).payload),
    [{ offset: 1 }, {}],
  );

  const other = await TestServer.start(t);
  const again = async () => {
    const { stdout } = await ok(commandLine(['publish', '--stored', '--json', '--url', other.url], stored));
    return JSON.parse(stdout) as unknown;
  };
  const counts = { events: 2, conflicts: 0, failed: 0 };
  assert.deepEqual(await again(), { ...counts, accepted: 2, duplicates: 0 });
  assert.deepEqual(await again(), { ...counts, accepted: 0, duplicates: 2 });
});

test('publish names each line that is not stored, stores the others, and says so by its exit code', async (t) => {
  const { url } = await TestServer.start(t);
  const input = [
    EVENT,
    'nope',
    '[1]',
    EVENT.replace('"orders"', '""'),
    EVENT.replace('shop', 'else'),
    '{},{}',
  ].join('\n');
  const { code, lines, stderr } = await commandLine(['publish', '--results', '--json', '--url', url], input);
  assert.equal(code, 1);
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      { line: 1, event_id: '1', topic: 'orders', verdict: 'accepted', offset: 1 },
      { line: 5, event_id: '1', topic: 'orders', verdict: 'conflict', offset: 1 },
      { events: 2, accepted: 1, duplicates: 1, conflicts: 1, failed: 4 },
    ],
  );
  const said = stderr.split('\n').toSorted();
  for (const [i, expected] of [
    /^$/,
    /^line 2: this is not JSON: /,
    /^line 3: .*not an object/,
    /^line 4: topic: /,
    /^line 6: this is not JSON: /,
  ].entries()) {
    assert.match(said[i]!, expected);
  }
});

test('publish stops at what is not about one line', async (t) => {
  const { url } = await TestServer.start(t);
  const binary = await commandLine(
    ['publish', '--url', url],
    Buffer.from(`${EVENT}\n{"a":"\xff"}\n`, 'latin1'),
  );
  assert.equal(binary.code, 1);
  assert.match(binary.stderr, /^chronicleweaver: line 1 or one behind it is not UTF-8\n$/);

  const nobody = await commandLine(
    ['publish', '--url', 'http://127.0.0.1:9', '--retry', '0'],
    `${EVENT}\n${EVENT}\n`,
  );
  assert.equal(nobody.code, 1);
  assert.match(
    nobody.stderr,
    /^chronicleweaver: POST http:\/\/127.0.0.1:9\/publish: .*\nIs a service running there\?/,
  );

  const missing = await commandLine(['publish', '/no/such/file', '--url', url]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^chronicleweaver: ENOENT: .*\/no\/such\/file/);
});

test('events prints a line an event, within its conditions', async (t) => {
  const server = await TestServer.start(t);
  const { url } = server;
  await server.publish(
    eventWith({ event_id: 'a', payload: { message: 'hello', n: 1 } }),
    eventWith({ event_id: 'b', topic: 'other', payload: { only: true } }),
    eventWith({ event_id: 'c', payload: { message: 'just this' } }),
    eventWith({ event_id: 'd', payload: {} }),
  );
  const { stdout } = await ok(commandLine(['events', '--url', url]));
  assert.equal(
    stdout,
    '1 2025-10-28T10:00:00Z orders web hello {"n":1}\n' +
      '2 2025-10-28T10:00:00Z other web {"only":true}\n' +
      '3 2025-10-28T10:00:00Z orders web just this\n' +
      '4 2025-10-28T10:00:00Z orders web\n',
  );
  const { lines } = await ok(
    commandLine(['events', '--url', url, '--topic=orders', '--order=desc', '--after=4', '--limit=1']),
  );
  assert.deepEqual(lines, ['3 2025-10-28T10:00:00Z orders web just this']);
  const refused = await commandLine(['events', '--url', url, '--from=yesterday', '--json']);
  assert.equal(refused.code, 1);
  assert.equal((JSON.parse(refused.stderr) as { error: { code: string } }).error.code, 'invalid_parameter');
});

test('what an event says cannot move the cursor or change colours', async (t) => {
  const server = await TestServer.start(t);
  const evil = '\u001b]0;title\u0007\u009b31m\u202e\r\n';
  await server.publish(
    eventWith({ event_id: evil, topic: evil, source: evil, payload: { message: evil, [evil]: evil } }),
  );
  for (const args of [['events'], ['topics'], ['find', evil, evil]]) {
    const { stdout } = await ok(commandLine([...args, '--url', server.url]));
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    assert.match(stdout, /\\u001b\]0;title\\u0007\\u009b31m\\u202e(\\u000d\\u000a|\\r\\n)/);
  }
});

test('find prints the event, or exits with 1', async (t) => {
  const { url } = await TestServer.start(t);
  await ok(commandLine(['publish', '--url', url], EVENT));
  const { stdout } = await ok(commandLine(['find', 'orders', '1', '--url', url]));
  assert.match(
    stdout,
    /^\{\n {2}"timestamp": "2025-10-28",\n {2}"payload": \{\n {4}"n": 1.50,\n {4}"big": 123456789012345678901\n/,
  );
  const { lines } = await ok(commandLine(['find', 'orders', '1', '--url', url, '--json']));
  assert.match(lines[0]!, /^\{"timestamp":"2025-10-28","payload":\{"n":1.50,.*"offset":1,/);
  const missing = await commandLine(['find', 'orders', '2', '--url', url]);
  assert.deepEqual(
    [missing.code, missing.stdout, missing.stderr],
    [1, '', 'chronicleweaver: topic "orders" has no event "2"\n'],
  );
});

test('topics and stats are tables for people and JSON for programs', async (t) => {
  const server = await TestServer.start(t);
  const { url } = server;
  await server.publish(...manyEvents(12, (i) => ({ topic: i < 10 ? 'a-long-name' : 'b' })));
  const { stdout } = await ok(commandLine(['topics', '--url', url]));
  assert.equal(
    stdout,
    'TOPIC        EVENTS  LAST OFFSET\na-long-name      10           10\nb                 2           12\n',
  );
  const topics = await ok(commandLine(['topics', '--url', url, '--json']));
  assert.deepEqual(JSON.parse(topics.stdout), [
    { topic: 'a-long-name', events: 10, last_offset: 10 },
    { topic: 'b', events: 2, last_offset: 12 },
  ]);
  assert.match((await ok(commandLine(['stats', '--url', url]))).stdout, /^unique_processed +12$/m);
  const stats = await ok(commandLine(['stats', '--url', url, '--json']));
  assert.equal((JSON.parse(stats.stdout) as { received: number }).received, 12);
});

test('groups are made, shown and worked on by hand', async (t) => {
  const server = await TestServer.start(t);
  const groups = async (...args: string[]): Promise<Ran> =>
    ok(commandLine(['groups', ...args, '--url', server.url]));
  await server.publish(...manyEvents(4));
  const created = await groups(
    'create',
    'mailer',
    '--topic=orders',
    '--topic=users',
    '--start=2',
    '--max-deliveries=1',
  );
  assert.match(
    created.stdout,
    /^name +mailer\ntopics +orders users\nstart +2\nlease_ms +30000\nmax_deliveries +1\n/,
  );
  const list = await groups('list');
  assert.match(
    list.stdout,
    /^GROUP +LAG +IN FLIGHT +DEAD +CURSOR +TOPICS\nmailer +3 +0 +0 +1 +orders users\n$/,
  );

  const [first] = (await groups('pull', 'mailer', '--json')).lines.map(
    (line) => JSON.parse(line) as DeliveredEvent,
  );
  assert.deepEqual([first?.offset, first?.delivery], [2, 1]);
  assert.equal((await groups('ack', 'mailer', first!.lease_id)).stdout, 'acknowledged: 1\n');
  const [lease, delivery, ...rest] = (await groups('pull', 'mailer', '--wait', '1')).lines[0]!.split(' ');
  assert.deepEqual([delivery, rest[0]], ['1', '3']);
  await groups('nack', 'mailer', lease!);
  assert.match((await groups('dead', 'mailer')).stdout, /^3 .* \(given_back at delivery 1, .*\)\n$/);
  assert.equal((await groups('replay', 'mailer', '3')).stdout, '1 delivered again, 0 dead still\n');
  assert.equal((await groups('pull', 'mailer', '--max=9', '--ack')).lines.length, 2);
  assert.equal((JSON.parse((await groups('show', 'mailer', '--json')).stdout) as Group).lag, 0);
  assert.equal((await groups('seek', 'mailer', 'earliest')).stdout, 'cursor: 0\n');
  assert.equal((await groups('seek', 'mailer', '2025-01-01', '--json')).stdout, '{"cursor":0}\n');
  assert.equal((await groups('delete', 'mailer')).stdout, 'mailer is deleted\n');
  const gone = await commandLine(['groups', 'show', 'mailer', '--url', server.url]);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /404 subscription_not_found/);
});

test('wrong usage is told in a line and exits with 2', async () => {
  const wrong: [string[], RegExp][] = [
    [['nope'], /unknown command 'nope'/],
    [['events', '--nope'], /unknown option '--nope'/],
    [['events', '--limit', '0'], /It takes a whole number from 1 on/],
    [['events', '--order', 'up'], /Allowed choices are asc, desc/],
    [['events', '--url', 'localhost'], /It takes an address such as/],
    [['tail', '--after', 'now'], /It takes an offset, earliest or latest/],
    [['groups', 'seek', 'g', 'yesterday'], /It takes an offset, earliest, latest or a time/],
    [['groups', 'create', 'g'], /required option '--topic <pattern>'/],
    [['find', 'orders'], /missing required argument 'event_id'/],
  ];
  for (const [args, expected] of wrong) {
    const { code, stdout, stderr } = await commandLine(args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, expected);
    assert.match(stderr, /--help tells more\n$/);
  }
  assert.equal((await commandLine([])).code, 2);
});

test('--help of each command tells its options, examples and, where it matters, exit codes', async () => {
  const all = await ok(commandLine(['--help']));
  assert.match(all.stdout, /Exit code of every command: 0 done, 1 failed, 2 wrong usage/);
  for (const command of [
    'serve',
    'publish',
    'tail',
    'events',
    'find',
    'topics',
    'stats',
    'groups',
    'stress',
    'verify',
    'backup',
  ]) {
    assert.match(all.stdout, new RegExp(`^ {2}${command} `, 'm'));
  }
  for (const command of ['serve', 'publish', 'tail', 'events', 'find', 'topics', 'stats']) {
    const { stdout } = await ok(commandLine([command, '--help']));
    assert.match(stdout, new RegExp(`^Usage: chronicleweaver ${command} `));
    assert.match(stdout, new RegExp(`\nExamples:\n  \\$ chronicleweaver ${command}`));
  }
  assert.match((await ok(commandLine(['--version']))).stdout, /^\d+\.\d+\.\d+\n$/);
});
