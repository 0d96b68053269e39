import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { until } from '../../../lab/program.ts';
import { tempFolder } from '../../aggregator/test/support/temp-folder.ts';
import { sharedServer } from '../../client/test/support/shared-server.ts';
import { commandLine } from './support/command-line.ts';
import { pipedGroups } from './support/piped-group.ts';

const TIMEOUT = { timeout: 60_000 };

const server = await sharedServer();
const groupWith = pipedGroups(server);

function idsIn(lines: string): string[] {
  return [...lines.matchAll(/^\{"event_id":"(e-\d+)"/gm)].map(([, id]) => id!);
}

test('a pipe to stdout writes each event as it was sent, and acknowledges it', TIMEOUT, async (t) => {
  const { pipe, stored, group } = await groupWith(t, 250);
  const { code, lines, stderr } = await pipe(['--to=stdout']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(lines, await stored());
  assert.match(lines[0]!, /"n":1\.50,"big":123456789012345678901\}/);
  const { acknowledged, redeliveries } = await group.group();
  assert.deepEqual([acknowledged, redeliveries], [250, 0]);
});

test('what a reader that leaves did not get is delivered again', TIMEOUT, async (t) => {
  const { name, group } = await groupWith(t, 3);
  const args = ['pipe', `--group=${name}`, `--url=${server.url}`, '--to=stdout', '--batch=1'];
  const { code, lines } = await commandLine(args, '', { readerLeaves: true });
  assert.equal(code, 0);
  assert.deepEqual(idsIn(lines.join('\n')), ['e-1']);
  const { acknowledged, lag } = await group.group();
  assert.deepEqual([acknowledged, lag], [1, 2]);
});

test('a command gets whole batches, and 0 acknowledges them', TIMEOUT, async (t) => {
  const { pipe, stored } = await groupWith(t, 120);
  const folder = tempFolder(t);
  const command = `cd '${folder}' && cat >> all && wc -l < all >> runs`;
  const { code, stderr } = await pipe([`--exec=${command}`, '--batch=50']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(readFileSync(join(folder, 'all'), 'utf8'), (await stored()).map((line) => `${line}\n`).join('')); // prettier-ignore
  const ends = readFileSync(join(folder, 'runs'), 'utf8').trim().split('\n').map(Number);
  assert.equal(ends.at(-1), 120);
  assert.ok(
    ends.every((end, i) => end - (ends[i - 1] ?? 0) <= 50),
    ends.join(),
  );
});

test('a bad event is given back until it is dead, and takes no other with it', TIMEOUT, async (t) => {
  const { pipe, group } = await groupWith(t, 5, { max_deliveries: 2 });
  const folder = tempFolder(t);
  const command = `cat > '${folder}/batch'; ! grep -q '"n":3.50' '${folder}/batch' && cat '${folder}/batch' >> '${folder}/taken'`;
  const { code, stderr } = await pipe([`--exec=${command}`]);
  assert.equal(code, 0);
  assert.match(stderr, /^chronicleweaver: the command exited with 1; its events are given back$/m);
  const taken = idsIn(readFileSync(join(folder, 'taken'), 'utf8')).toSorted();
  assert.deepEqual(taken, ['e-1', 'e-2', 'e-4', 'e-5']);
  const { acknowledged, dead, lag } = await group.group();
  assert.deepEqual({ acknowledged, dead, lag }, { acknowledged: 4, dead: 1, lag: 0 });
});

test('a command that exits with 75 gets its batch again, and no delivery is counted', TIMEOUT, async (t) => {
  const { pipe, group } = await groupWith(t, 5, { max_deliveries: 1 });
  const folder = tempFolder(t);
  const command = `cd '${folder}' || exit 127; cat >> seen; test -e once && exit 0; touch once; exit 75`;
  const { code, stderr } = await pipe([`--exec=${command}`, '--batch=1']);
  assert.equal(code, 0);
  assert.equal(
    stderr,
    'chronicleweaver: the command exited with 75; trying again until it works\nchronicleweaver: it works again\n',
  );
  const seen = idsIn(readFileSync(join(folder, 'seen'), 'utf8'));
  assert.deepEqual(seen, ['e-1', 'e-1', 'e-2', 'e-3', 'e-4', 'e-5']);
  const { acknowledged, redeliveries, dead } = await group.group();
  assert.deepEqual({ acknowledged, redeliveries, dead }, { acknowledged: 5, redeliveries: 0, dead: 0 });
});

test('a command that cannot be run ends the pipe, and no event is lost', TIMEOUT, async (t) => {
  const { pipe, group } = await groupWith(t, 3);
  const { code, stderr } = await pipe(['--exec=chronicleweaver-has-no-such-command 2>/dev/null'], () => new Promise(() => {})); // prettier-ignore
  assert.equal(code, 1);
  assert.equal(stderr, 'chronicleweaver: the command exited with 127: it cannot be run\n');
  assert.equal((await group.group()).lag, 3);
});

test('a command that takes too long is ended with all that it started', TIMEOUT, async (t) => {
  const { pipe, group } = await groupWith(t, 1, { max_deliveries: 1 });
  const { code, stderr } = await pipe(['--exec=sleep 60 | sleep 60', '--timeout=1s']);
  assert.equal(code, 0);
  assert.equal(stderr, 'chronicleweaver: the command took longer than 1 s; its events are given back\n');
  assert.equal((await group.group()).dead, 1);
});

test('a command may be given more time than a timer can wait', TIMEOUT, async (t) => {
  const { pipe, group } = await groupWith(t, 1, { max_deliveries: 1 });
  const { code, stderr } = await pipe(['--exec=sleep 1', '--timeout=30d']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal((await group.group()).dead, 0);
});

test('a command that takes too long and may not be ended is waited for', TIMEOUT, async (t) => {
  const { pipe, group } = await groupWith(t, 1, { max_deliveries: 1 });
  const tried = join(tempFolder(t), 'tried');
  t.mock.method(process, 'kill', (_: number, signal: NodeJS.Signals) => {
    if (signal === 'SIGKILL') writeFileSync(tried, '');
    throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
  });
  const { code, stderr } = await pipe([`--exec=until test -e ${tried}; do sleep 0.1; done`, '--timeout=1s']);
  assert.equal(code, 0);
  assert.equal(
    stderr,
    'chronicleweaver: the command takes longer than 1 s, and cannot be ended: kill EPERM\n',
  );
  const { lag, dead } = await group.group();
  assert.deepEqual([lag, dead], [0, 0]);
});

test('an interrupted pipe lets its command finish, and acknowledges the batch', TIMEOUT, async (t) => {
  const { pipe, group } = await groupWith(t, 1);
  const folder = tempFolder(t);
  const begun = join(folder, 'begun');
  writeFileSync(begun, '');
  const isBegun = () => until(() => 'the command', () => readFileSync(begun, 'utf8') !== ''); // prettier-ignore
  const { code } = await pipe([`--exec=cat > '${begun}'; sleep 1; touch '${folder}/finished'`], isBegun);
  assert.equal(code, 0);
  readFileSync(join(folder, 'finished'));
  assert.equal((await group.group()).acknowledged, 1);
});

interface Posted {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A receiver that answers as the script says: with a status, or by cutting the connection. */
async function receiverOf(
  t: TestContext,
  script: (posted: Posted, number: number) => number | 'cut' | ((response: ServerResponse) => void),
): Promise<{ url: string; posted: Posted[] }> {
  const posted: Posted[] = [];
  const receiver = createServer((request, response) => {
    void (async () => {
      posted.push({ headers: request.headers, body: await text(request) });
      const answer = script(posted.at(-1)!, posted.length);
      if (answer === 'cut') response.destroy();
      else if (typeof answer === 'function') answer(response);
      else response.writeHead(answer).end('{}');
    })();
  }).listen(0, '127.0.0.1');
  t.after(() => {
    receiver.closeAllConnections();
    receiver.close();
  });
  await until(() => 'the receiver', () => receiver.listening); // prettier-ignore
  return { url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/in`, posted };
}

test('a receiver gets each batch until it has taken it, always under the same key', TIMEOUT, async (t) => {
  const { pipe, stored, group } = await groupWith(t, 1, { max_deliveries: 1 });
  const { url, posted } = await receiverOf(t, (_, number) => ([503, 'cut', 204] as const)[number - 1]!);
  const args = ['--to=http', url, '--header=x-tenant: shop', '--bearer=secret'];
  const { code, stderr } = await pipe(args);
  assert.equal(code, 0, stderr);
  const [line] = await stored();
  assert.deepEqual(posted.map(({ body }) => body), Array(3).fill(`${line}\n`)); // prettier-ignore
  assert.match(posted[0]!.headers['idempotency-key'] as string, /^"[\w-]{43}"$/);
  assert.equal(new Set(posted.map(({ headers }) => headers['idempotency-key'])).size, 1);
  const { 'content-type': type, 'x-tenant': tenant, authorization } = posted[2]!.headers;
  assert.deepEqual([type, tenant, authorization], ['application/x-ndjson', 'shop', 'Bearer secret']);
  assert.equal((await group.group()).acknowledged, 1);
});

test('a receiver that refuses an event gets the others', TIMEOUT, async (t) => {
  const { pipe, group } = await groupWith(t, 4, { max_deliveries: 2 });
  const { url, posted } = await receiverOf(t, ({ body }) => (body.includes('"n":2.50') ? 422 : 200));
  assert.equal((await pipe(['--to=http', url])).code, 0);
  const { acknowledged, dead } = await group.group();
  assert.deepEqual({ acknowledged, dead }, { acknowledged: 3, dead: 1 });
  const alone = posted.findLast(({ body }) => body.includes('"n":2.50'));
  assert.deepEqual(idsIn(alone!.body), ['e-2']);
});

test('a receiver that does not know us, or sends us elsewhere, ends the pipe', TIMEOUT, async (t) => {
  for (const status of [401, 302, 404]) {
    const { pipe, group } = await groupWith(t, 2);
    const { url, posted } = await receiverOf(
      t,
      () => (response) => response.writeHead(status, { location: 'http://127.0.0.1:9/' }).end(),
    );
    const { code, stderr } = await pipe(['--to=http', url], () => new Promise(() => {}));
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^chronicleweaver: the receiver answered ${status}, which says`));
    assert.equal(posted.length, 1);
    assert.ok((await group.group()).lag > 0);
  }
});

test('what a pipe cannot mean is refused before anything is done', async () => {
  for (const [args, message] of [
    [['--to=stdout'], /required option '--group <name>' not specified/],
    [['--group=g'], /takes either --exec or --to/],
    [['--group=g', '--exec=cat', '--to=stdout'], /takes either --exec or --to/],
    [['--group=g', '--to=file'], /takes the path of a file after --to file/],
    [['--group=g', '--to=http'], /takes an address after --to http/],
    [['--group=g', '--to=http', 'ftp://x'], /--to http takes an address/],
    [['--group=g', '--to=stdout', 'x'], /takes nothing after --to stdout/],
    [['--group=g', '--exec=cat', 'x'], /takes nothing after --exec/],
    [['--group=g', '--to=stdout', '--rotate-size=1MB'], /--rotate-size means nothing here/],
    [['--group=g', '--to=file', 'x', '--keep=1'], /--keep means nothing here/],
    [
      ['--group=g', '--to=http', 'http://x', '--header=secret'],
      /--header takes a header such as 'x-tenant: shop'/,
    ],
    [['--group=g', '--to=file', 'x', '--rotate-every=soon'], /--rotate-every takes a duration/],
    [['--group=g', '--to=file', '/dev/null'], /\/dev\/null is not a file/],
  ] as const) {
    const { code, stderr } = await commandLine(['pipe', '--url=http://127.0.0.1:9', ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  }
});

test('a pipe of a group that does not exist ends with what the service says', async () => {
  const { code, stderr } = await commandLine(['pipe', '--group=none', '--to=stdout', `--url=${server.url}`]);
  assert.equal(code, 1);
  assert.match(stderr, /404 subscription_not_found/);
});
