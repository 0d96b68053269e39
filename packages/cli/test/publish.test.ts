import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { tempFolder } from '../../aggregator/test/support/temp-folder.ts';
import { sharedServer } from '../../client/test/support/shared-server.ts';
import { commandLine, eventText, ok } from './support/command-line.ts';

/** One for all tests, each of which uses topics of its own. */
const { url } = await sharedServer();

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

test('publish names each line that is not stored, and stores the others', async () => {
  const text = eventText('lines');
  const input = Buffer.from(
    [
      text,
      'nope',
      '[1]',
      text.replace('"lines"', '""'),
      text.replace('shop', 'else'),
      '{},{}',
      '{"payload":{"a":"\xff"}}',
      text,
    ].join('\n'),
    'latin1',
  );
  const people = await commandLine(['publish', '--results', '--url', url], input);
  assert.equal(people.code, 1);
  const offset = /^accepted (\d+) lines 1$/.exec(people.lines[0]!)?.[1] ?? assert.fail(people.stdout);
  assert.deepEqual(people.lines.slice(1), [
    `conflict ${offset} lines 1`,
    `duplicate ${offset} lines 1`,
    '3 published: 1 accepted, 2 duplicates, of these 1 conflicts; 5 failed',
  ]);
  const said = people.stderr.trimEnd().split('\n').toSorted();
  const expected = [
    /^line 2: this is not JSON: /,
    /^line 3: this is JSON, but not an object$/,
    /^line 4: topic: /,
    new RegExp(
      `^line 5: conflict: event "1" of topic "lines" is stored with other content at offset ${offset}$`,
    ),
    /^line 6: this is not JSON: /,
    /^line 7: this is not UTF-8$/,
  ];
  assert.equal(said.length, expected.length, people.stderr);
  for (const [i, line] of said.entries()) assert.match(line, expected[i]!);
});

test('publish --json tells each line, each fault and the counts as a line of JSON', async () => {
  const text = eventText('programs');
  const input = [text, 'nope', text.replace('shop', 'else')].join('\n');
  const { code, lines, stderr } = await commandLine(['publish', '--results', '--json', '--url', url], input);
  assert.equal(code, 1);
  const told = lines.map((line) => JSON.parse(line) as { offset?: number });
  const stored = { event_id: '1', topic: 'programs', offset: told[0]!.offset };
  assert.deepEqual(told, [
    { line: 1, verdict: 'accepted', ...stored },
    { line: 3, verdict: 'conflict', ...stored },
    { events: 2, accepted: 1, duplicates: 1, conflicts: 1, failed: 1 },
  ]);
  const faults = stderr
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { error: { line: number; message: string } }).error)
    .toSorted((a, b) => a.line - b.line);
  assert.deepEqual(
    faults.map(({ message: _message, ...fault }) => fault),
    [
      { line: 2, code: 'invalid_line' },
      { line: 3, code: 'conflict', verdict: 'conflict', ...stored },
    ],
  );
});

test('publishing stored events again is no failure, but a conflict among them is', async () => {
  const text = eventText('again');
  await ok(commandLine(['publish', '--url', url], text));
  const again = await commandLine(['publish', '--url', url], text);
  assert.deepEqual([again.code, again.stderr], [0, '']);
  const other = await commandLine(['publish', '--url', url], text.replace('1.50', '2'));
  assert.equal(other.code, 1);
  assert.match(other.stderr, /^line 1: conflict: event "1" of topic "again" is stored .* at offset \d+\n$/);
});

test('publish stops at an error that is not about one line, and says how far it came', async () => {
  const text = eventText('stops');
  const utf16 = await commandLine(['publish', '--url', url], Buffer.from(`\ufeff${text}\n`, 'utf16le'));
  assert.equal(utf16.code, 1);
  assert.match(
    utf16.stderr,
    /; so far 0 published.*\nchronicleweaver: the input is UTF-16: save it as UTF-8\n$/,
  );

  const args = ['publish', '--url', 'http://127.0.0.1:9', '--retry', '0'];
  const nobody = await commandLine(args, `${text}\n${text}\n`);
  assert.equal(nobody.code, 1);
  assert.match(
    nobody.stderr,
    /; so far 0 published.*\nchronicleweaver: POST http:\/\/127.0.0.1:9\/publish: .*\nIs a service running there\?/,
  );

  const missing = await commandLine(['publish', '/no/such/file', '--url', url]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /\nchronicleweaver: ENOENT: .*\/no\/such\/file/);

  const begun = neverEnding(text);
  const interrupted = await commandLine(['publish', '--url', url], begun, {
    interrupt: 143,
    interruptAfter: () => stored('stops'),
  });
  assert.deepEqual(
    [interrupted.code, interrupted.stdout, interrupted.stderr],
    [143, '', 'stopped; so far 1 published: 1 accepted, 0 duplicates, of these 0 conflicts\n'],
  );
});

test('publish whose results nobody reads any more fails if lines are left', async () => {
  const events = (count: number) =>
    Array.from({ length: count }, (_, i) => JSON.stringify({ event_id: `${i}`, payload: {} })).join('\n');
  const args = (topic: string) => ['publish', '--results', '--topic', topic, '--url', url];
  const begun = neverEnding(events(2));
  const left = await commandLine(args('left'), begun, { readerLeaves: true });
  assert.equal(left.code, 1);
  assert.match(left.stderr, /^stopped; so far \d published: /);
  const done = await commandLine(args('all'), events(1), { readerLeaves: true });
  assert.deepEqual([done.code, done.stderr], [0, '']);
});

/** Resolves when the topic has an event. */
async function stored(topic: string): Promise<void> {
  for (;;) {
    const { count } = (await (await fetch(`${url}/events?topic=${topic}`)).json()) as { count: number };
    if (count > 0) return;
    await sleep(10);
  }
}

/** An input that never continues. */
function neverEnding(text: string): PassThrough {
  const input = new PassThrough();
  input.write(`${text}\n`);
  return input;
}
