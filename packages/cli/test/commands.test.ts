import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeliveredEvent, Group } from '@chronicleweaver/client';
import { MemoryStore } from '../../aggregator/src/store/memory/store.ts';
import { eventWith, manyEvents } from '../../aggregator/test/support/events.ts';
import { publishExpiring } from '../../aggregator/test/support/letting-go.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { until } from '../../aggregator/test/support/until.ts';
import { sharedServer } from '../../client/test/support/shared-server.ts';
import { type Ran, commandLine, eventText, ok } from './support/command-line.ts';

/** One for all tests, each of which uses topics of its own. */
const server = await sharedServer();
const { url } = server;

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

test("an event's text cannot move the cursor or change colours", async () => {
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

test('tail and events say on stderr what is no longer kept, and find that it was there [RET-27]', async (t) => {
  const store = new MemoryStore();
  const forgetful = await TestServer.startOn(t, () => store);
  await publishExpiring(
    { server: forgetful, store, retention: store.retention },
    manyEvents(5),
    (offset) => offset <= 2 || offset === 5,
  );
  const events = await ok(commandLine(['events', '--url', forgetful.url, '--limit', '1']));
  assert.equal(events.lines.length, 1);
  assert.equal(events.stderr, 'chronicleweaver: 2 events are no longer kept between the offsets 0 and 3\n');
  const rest = await ok(commandLine(['events', '--url', forgetful.url, '--after', '3']));
  assert.equal(rest.stderr, 'chronicleweaver: 1 event is no longer kept beyond offset 3\n');
  const tail = await commandLine(['tail', '--url', forgetful.url, '--after', 'earliest'], '', {
    interrupt: 130,
    interruptAfter: ({ stdout }) =>
      until(
        () => 'a line',
        () => stdout.text.includes('\n'),
      ),
  });
  assert.match(tail.stderr, /^chronicleweaver: 2 events are no longer kept between the offsets 0 and 2\n/);
  const found = await commandLine(['find', 'orders', 'e-1', '--url', forgetful.url]);
  assert.equal(found.code, 1);
  assert.match(found.stderr, /event_expired: .* at offset 1 at /);
});

test('top is the overview, in lines or as JSON, once where nobody watches', async () => {
  await ok(commandLine(['publish', '--url', url], eventText('top.test')));
  await ok(commandLine(['publish', '--url', url], eventText('top.test')));
  const { lines } = await ok(commandLine(['top', '--url', url]));
  assert.match(lines[0]!, /^ChronicleWeaver \d+\.\d+\.\d+ at http:\S+, \w+ \d[^,]*, up /);
  assert.match(lines.join('\n'), /^events\/s +accepted \S+ +duplicate \S+ +conflict \S+/m);
  assert.match(lines.join('\n'), /^commit +p50 .+ p99 /m);
  assert.equal(lines.at(-1), 'nothing is wrong that the service could tell');
  const { stdout } = await ok(commandLine(['top', '--url', url, '--json']));
  const { events_per_second: rates, troubles } = JSON.parse(stdout) as {
    events_per_second: object;
    troubles: [];
  };
  assert.deepEqual([Object.keys(rates), troubles], [['accepted', 'duplicate', 'conflict'], []]);
});

test('topics and stats are tables for people and JSON for programs', async () => {
  const { results } = await server.publish(
    ...manyEvents(12, (i) => ({ topic: i < 10 ? 'table-with-a-long-name' : 'table' })),
  );
  const last = results!.at(-1)!.offset;
  const { lines } = await ok(commandLine(['topics', '--url', url]));
  const [head, ...rows] = lines.map((line) => line.split(/ {2,}/));
  assert.deepEqual(head, ['TOPIC', 'EVENTS', 'EXPIRED', 'FIRST OFFSET', 'LAST OFFSET', 'BYTES']);
  assert.deepEqual(
    rows
      .filter(([topic]) => topic?.startsWith('table'))
      .map(([topic, events, expired, , lastOffset]) => [topic, events, expired, lastOffset]),
    [
      ['table', '2', '0', `${last}`],
      ['table-with-a-long-name', '10', '0', `${last - 2}`],
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
  assert.equal((await groups('replay', 'mailer', `${third}`)).stdout, '1 delivered again, 0 still dead\n');
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
  assert.match(refused.stderr, /hook already exists: give its secrets/);
  await groups(...again, `--push-secret=${secrets[1]!}`);
  const pulled = await commandLine(['groups', 'webhook', 'mailer', ...both, '--url', url]);
  assert.match(pulled.stderr, /the events of mailer are pulled, not sent/);
  assert.equal((await groups('resume', 'hook')).stdout, 'hook is resumed\n');
  assert.equal((await groups('delete', 'mailer')).stdout, 'mailer is deleted\n');
  const gone = await commandLine(['groups', 'show', 'mailer', '--url', url]);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /404 subscription_not_found/);
});

test('wrong usage is reported in one line and exits with 2', async () => {
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

test('groups webhook keeps the format of what is sent', async () => {
  const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
  const definition = {
    topics: ['mail'],
    push: { url: 'https://example.com/', secret, format: 'cloudevents' },
  };
  const put = await fetch(`${url}/subscriptions/formatted`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(definition),
  });
  assert.equal(put.status, 201);
  const change = ['--push=https://example.com/2', `--secret=${secret}`, '--json', '--url', url];
  const { stdout } = await ok(commandLine(['groups', 'webhook', 'formatted', ...change]));
  assert.equal((JSON.parse(stdout) as Group).push!.format, 'cloudevents');
});

test('--help of groups webhook says that each change needs the secrets', async () => {
  const help = (await ok(commandLine(['groups', 'webhook', '--help']))).stdout.replaceAll(/\s+/g, ' ');
  assert.match(help, /needed with every change, also of the address: the service tells nobody those it has/);
  const refused = await commandLine(['groups', 'webhook', 'hook', '--push=https://example.com/3']);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /required option '--secret <secret>' not specified; see --help/);
});

test('--help names every command, and that of a command its options and examples', async () => {
  const all = await ok(commandLine(['--help']));
  for (const command of ['serve', 'publish', 'tail', 'events', 'find', 'topics', 'stats', 'top']) {
    assert.match(all.stdout, new RegExp(`^ {2}${command} `, 'm'));
    const { stdout } = await ok(commandLine([command, '--help']));
    assert.match(stdout, new RegExp(`^Usage: chronicleweaver ${command} `));
    assert.match(stdout, new RegExp(`\nExamples:\n  \\$ chronicleweaver ${command}`));
  }
  for (const command of ['groups', 'stress', 'verify', 'backup', 'keys']) {
    assert.match(all.stdout, new RegExp(`^ {2}${command} `, 'm'));
  }
  assert.match((await ok(commandLine(['--version']))).stdout, /^\d+\.\d+\.\d+\n$/);
});
