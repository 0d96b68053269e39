import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DeliveredEvent, Group } from '@chronicleweaver/client';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { eventWith, manyEvents } from '../../aggregator/test/support/events.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { sharedServer } from '../../client/test/support/shared-server.ts';
import { tempFolder } from '../../aggregator/test/support/temp-folder.ts';
import { type Ran, commandLine } from './support/command-line.ts';

/** One for all tests, each of which uses topics of its own. */
const server = await sharedServer();
const { url } = server;

/** The text of an event, with numbers that JavaScript would change. */
function eventText(topic: string): string {
  return `{"timestamp":"2025-10-28","payload":{"n":1.50,"big":123456789012345678901},"topic":"${topic}","source":"shop","event_id":"1"}`;
}

async function ok(ran: Promise<Ran>): Promise<Ran> {
  const result = await ran;
  assert.equal(result.code, 0, result.stderr);
  return result;
}

test('publish fills in what a line leaves out and keeps what it has, digit for digit', async () => {
  const text = eventText('fill');
  const input = `${text}\n\n  {"topic":"fill","payload":{}}  \r\n{"payload":{"a":1}}\n{"event_id":"x","payload":{}}`;
  const { stdout } = await ok(
    commandLine(['publish', '--url', url, '--topic', 'spare', '--source', 'me'], input),
  );
  assert.equal(stdout, '4 published: 4 accepted, 0 duplicates, of these 0 conflicts\n');

  const filled = await ok(commandLine(['events', '--url', url, '--topic', 'fill', '--json']));
  assert.equal(filled.lines[0]!.replace(/,"offset":\d+,"received_at":"[^"]*"\}$/, '}'), text);
  const spare = await ok(commandLine(['events', '--url', url, '--topic', 'spare', '--json']));
  const [, second, third, fourth] = [...filled.lines, ...spare.lines].map(
    (line) => JSON.parse(line) as StoredEvent,
  );
  assert.deepEqual(
    [second?.source, third?.source, third?.payload, fourth?.event_id],
    ['me', 'me', { a: 1 }, 'x'],
  );
  assert.match(second!.event_id, /^[\da-f-]{36}$/);
  assert.ok(Math.abs(Date.parse(second!.timestamp) - Date.now()) < 60_000);
});

test('publish ignores a byte order mark in front of any line', async (t) => {
  const file = join(tempFolder(t), 'marked.ndjson');
  const lines = [1, 2, 3].map((n) => `\ufeff{"event_id":"${n}","payload":{}}\r\n`);
  writeFileSync(file, `${lines.join('')}\ufeff\r\n\ufeff`);
  const { stdout } = await ok(commandLine(['publish', file, '--topic', 'marked', '--url', url]));
  assert.match(stdout, /^3 published: 3 accepted/);
});

test('publish takes payloads, files and what events has printed', async (t) => {
  const file = join(tempFolder(t), 'payloads.ndjson');
  writeFileSync(file, '{"offset":1}\n{}\n');
  await ok(commandLine(['publish', file, '--payloads', '--topic', 'payloads', '--url', url]));
  const stored = await ok(commandLine(['events', '--url', url, '--topic', 'payloads', '--json']));
  assert.deepEqual(
    stored.lines.map((line) => (JSON.parse(line) as StoredEvent).payload),
    [{ offset: 1 }, {}],
  );

  const other = await TestServer.start(t);
  const again = async () => {
    const args = ['publish', '--stored', '--json', '--url', other.url];
    return JSON.parse((await ok(commandLine(args, stored.stdout))).stdout) as unknown;
  };
  const counts = { events: 2, conflicts: 0, failed: 0 };
  assert.deepEqual(await again(), { ...counts, accepted: 2, duplicates: 0 });
  assert.deepEqual(await again(), { ...counts, accepted: 0, duplicates: 2 });
});

test('publish names each line that is not stored, stores the others, and says so by its exit code', async () => {
  const text = eventText('lines');
  const input = [
    text,
    'nope',
    '[1]',
    text.replace('"lines"', '""'),
    text.replace('shop', 'else'),
    '{},{}',
  ].join('\n');
  const { code, lines, stderr } = await commandLine(['publish', '--results', '--json', '--url', url], input);
  assert.equal(code, 1);
  const told = lines.map((line) => JSON.parse(line) as { offset?: number });
  const stored = { event_id: '1', topic: 'lines', offset: told[0]!.offset };
  assert.deepEqual(told, [
    { line: 1, verdict: 'accepted', ...stored },
    { line: 5, verdict: 'conflict', ...stored },
    { events: 2, accepted: 1, duplicates: 1, conflicts: 1, failed: 4 },
  ]);
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

test('publish stops at what is not about one line', async () => {
  const text = eventText('stops');
  const bytes = Buffer.from(`${text}\n{"a":"\xff"}\n`, 'latin1');
  const binary = await commandLine(['publish', '--url', url], bytes);
  assert.equal(binary.code, 1);
  assert.match(binary.stderr, /^chronicleweaver: line 1 or a later one is not UTF-8: save it as UTF-8\n$/);

  const utf16 = await commandLine(['publish', '--url', url], Buffer.from(`\ufeff${text}\n`, 'utf16le'));
  assert.equal(utf16.code, 1);
  assert.equal(utf16.stderr, 'chronicleweaver: the input is UTF-16: save it as UTF-8\n');

  const args = ['publish', '--url', 'http://127.0.0.1:9', '--retry', '0'];
  const nobody = await commandLine(args, `${text}\n${text}\n`);
  assert.equal(nobody.code, 1);
  assert.match(
    nobody.stderr,
    /^chronicleweaver: POST http:\/\/127.0.0.1:9\/publish: .*\nIs a service running there\?/,
  );

  const missing = await commandLine(['publish', '/no/such/file', '--url', url]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^chronicleweaver: ENOENT: .*\/no\/such\/file/);
});

test('events prints a line an event, within its conditions', async () => {
  const { results } = await server.publish(
    eventWith({ event_id: 'a', topic: 'print', payload: { message: 'hello', n: 1 } }),
    eventWith({ event_id: 'b', topic: 'print', payload: { only: true } }),
    eventWith({ event_id: 'c', topic: 'print', payload: { message: 'just this' } }),
    eventWith({ event_id: 'd', topic: 'print', payload: {} }),
  );
  const [a, b, c, d] = results!.map(({ offset }) => offset);
  const { stdout } = await ok(commandLine(['events', '--url', url, '--topic', 'print']));
  assert.equal(
    stdout,
    `${a} 2025-10-28T10:00:00Z print web hello {"n":1}\n` +
      `${b} 2025-10-28T10:00:00Z print web {"only":true}\n` +
      `${c} 2025-10-28T10:00:00Z print web just this\n` +
      `${d} 2025-10-28T10:00:00Z print web\n`,
  );
  const { lines } = await ok(
    commandLine(['events', '--url', url, '--topic=print', '--order=desc', `--after=${d}`, '--limit=1']),
  );
  assert.deepEqual(lines, [`${c} 2025-10-28T10:00:00Z print web just this`]);
  const refused = await commandLine(['events', '--url', url, '--from=yesterday', '--json']);
  assert.equal(refused.code, 1);
  assert.equal((JSON.parse(refused.stderr) as { error: { code: string } }).error.code, 'invalid_parameter');
});

test('what an event says cannot move the cursor or change colours', async () => {
  const evil = '\u001b]0;title\u0007\u009b31m\u202e\r\n';
  await server.publish(
    eventWith({ event_id: evil, topic: evil, source: evil, payload: { message: evil, [evil]: evil } }),
  );
  for (const args of [['events', '--topic', evil], ['topics'], ['find', evil, evil]]) {
    const { stdout } = await ok(commandLine([...args, '--url', url]));
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    assert.match(stdout, /\\u001b\]0;title\\u0007\\u009b31m\\u202e(\\u000d\\u000a|\\r\\n)/);
  }
});

test('find prints the event, or exits with 1', async () => {
  await ok(commandLine(['publish', '--url', url], eventText('find')));
  const { stdout } = await ok(commandLine(['find', 'find', '1', '--url', url]));
  assert.match(
    stdout,
    /^\{\n {2}"timestamp": "2025-10-28",\n {2}"payload": \{\n {4}"n": 1.50,\n {4}"big": 123456789012345678901\n/,
  );
  const { lines } = await ok(commandLine(['find', 'find', '1', '--url', url, '--json']));
  assert.match(lines[0]!, /^\{"timestamp":"2025-10-28","payload":\{"n":1.50,.*"offset":\d+,/);
  const missing = await commandLine(['find', 'find', '2', '--url', url]);
  assert.deepEqual(
    [missing.code, missing.stdout, missing.stderr],
    [1, '', 'chronicleweaver: topic "find" has no event "2"\n'],
  );
});

test('topics and stats are tables for people and JSON for programs', async () => {
  const { results } = await server.publish(
    ...manyEvents(12, (i) => ({ topic: i < 10 ? 'table-with-a-long-name' : 'table' })),
  );
  const last = results!.at(-1)!.offset;
  const { lines } = await ok(commandLine(['topics', '--url', url]));
  const [head, ...rows] = lines.map((line) => line.split(/ {2,}/));
  assert.deepEqual(head, ['TOPIC', 'EVENTS', 'LAST OFFSET']);
  assert.deepEqual(
    rows.filter(([topic]) => topic?.startsWith('table')),
    [
      ['table', '2', `${last}`],
      ['table-with-a-long-name', '10', `${last - 2}`],
    ],
  );
  const topics = await ok(commandLine(['topics', '--url', url, '--json']));
  assert.ok((JSON.parse(topics.stdout) as { topic: string }[]).some(({ topic }) => topic === 'table'));
  const { stdout } = await ok(commandLine(['stats', '--url', url]));
  assert.match(stdout, new RegExp(`^last_offset +${last}$`, 'm'));
  const stats = await ok(commandLine(['stats', '--url', url, '--json']));
  assert.equal((JSON.parse(stats.stdout) as { last_offset: number }).last_offset, last);
});

test('groups are made, shown and worked on by hand', async () => {
  const groups = async (...args: string[]): Promise<Ran> =>
    ok(commandLine(['groups', ...args, '--url', url]));
  const { results } = await server.publish(...manyEvents(4, () => ({ topic: 'mail' })));
  const [, second, third] = results!.map(({ offset }) => offset);
  const created = await groups(
    'create',
    'mailer',
    '--topic=mail',
    '--topic=post',
    `--start=${second}`,
    '--max-deliveries=1',
  );
  assert.match(
    created.stdout,
    new RegExp(`^name +mailer\ntopics +mail post\nstart +${second}\nlease_ms +30000\nmax_deliveries +1\n`),
  );
  const list = await groups('list');
  assert.match(
    list.stdout,
    /^GROUP +LAG +IN FLIGHT +DEAD +CURSOR +TOPICS\nmailer +3 +0 +0 +\d+ +mail post\n$/,
  );

  const [first] = (await groups('pull', 'mailer', '--json')).lines.map(
    (line) => JSON.parse(line) as DeliveredEvent,
  );
  assert.deepEqual([first?.offset, first?.delivery], [second, 1]);
  assert.equal((await groups('ack', 'mailer', first!.lease_id)).stdout, 'acknowledged: 1\n');
  const [lease, ...rest] = (await groups('pull', 'mailer', '--wait', '1')).lines[0]!.split(' ');
  assert.deepEqual(rest.slice(0, 2), ['1', `${third}`]);
  await groups('nack', 'mailer', lease!);
  const dead = await groups('dead', 'mailer');
  assert.match(dead.stdout, new RegExp(`^${third} .* \\(given_back at delivery 1, .*\\)\n$`));
  assert.equal((await groups('replay', 'mailer', `${third}`)).stdout, '1 delivered again, 0 dead still\n');
  assert.equal((await groups('pull', 'mailer', '--max=9', '--ack')).lines.length, 2);
  assert.equal((JSON.parse((await groups('show', 'mailer', '--json')).stdout) as Group).lag, 0);
  assert.equal((await groups('seek', 'mailer', 'earliest')).stdout, 'cursor: 0\n');
  assert.equal((await groups('seek', 'mailer', '2025-01-01', '--json')).stdout, '{"cursor":0}\n');
  const pushed = await groups('create', 'hook', '--topic=mail', '--push=https://example.com/hook');
  assert.match(pushed.stdout, /^push +\{"url":"https:\/\/example.com\/hook","secrets":1,"state":"active",/m);
  assert.match(pushed.stderr, /^secret: whsec_[\w+/]{43}=\n$/);
  const secrets = [1, 2].map((n) => `whsec_${Buffer.alloc(32, n).toString('base64')}`);
  const both = secrets.map((secret) => `--secret=${secret}`);
  const rotated = await groups('webhook', 'hook', ...both, '--json');
  const { url: target, secrets: count } = (JSON.parse(rotated.stdout) as Group).push!;
  assert.deepEqual([target, count], ['https://example.com/hook', 2]);
  const moved = await groups('webhook', 'hook', both[1]!, '--push=https://example.com/2');
  assert.match(moved.stdout, /^push +\{"url":"https:\/\/example.com\/2","secrets":1,/m);
  assert.ok(!(rotated.stdout + moved.stdout).includes('whsec_'));
  const again = ['create', 'hook', '--topic=mail', '--push=https://example.com/2'];
  const refused = await commandLine(['groups', ...again, '--url', url]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /hook is there already: give its secrets/);
  await groups(...again, `--push-secret=${secrets[1]!}`);
  const pulled = await commandLine(['groups', 'webhook', 'mailer', ...both, '--url', url]);
  assert.match(pulled.stderr, /the events of mailer are pulled, not sent/);
  assert.equal((await groups('resume', 'hook')).stdout, 'hook goes on\n');
  assert.equal((await groups('delete', 'mailer')).stdout, 'mailer is deleted\n');
  const gone = await commandLine(['groups', 'show', 'mailer', '--url', url]);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /404 subscription_not_found/);
});

test('wrong usage is told in a line and exits with 2', async () => {
  const wrong: [string[], RegExp][] = [
    [['nope'], /unknown command 'nope'/],
    [['events', '--nope'], /unknown option '--nope'/],
    [['events', '--limit', '0'], /--limit takes a whole number from 1 on, not "0"/],
    [['events', '--order', 'up'], /--order takes one of asc, desc, not "up"/],
    [['events', '--url', 'localhost'], /--url takes an address such as/],
    [['tail', '--after', 'now'], /--after takes an offset, earliest or latest/],
    [['groups', 'seek', 'g', 'yesterday'], /<place> takes an offset, earliest, latest or a time/],
    [['groups', 'create', 'g'], /required option '--topic <pattern>'/],
    [['find', 'orders'], /missing required argument 'event_id'/],
  ];
  for (const [args, expected] of wrong) {
    const { code, stdout, stderr } = await commandLine(args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, expected);
    assert.match(stderr, /^chronicleweaver: [^\n]*\n$/);
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
