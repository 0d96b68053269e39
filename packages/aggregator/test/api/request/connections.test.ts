import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import { pino } from 'pino';
import { connectionsAllowed } from '../../../src/api/request/connections.ts';
import type { Timeouts } from '../../../src/api/request/timeouts.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { RawConnection, exchange, requestText } from '../../support/raw-http.ts';
import { type EventsAnswer, TestServer, problemIn } from '../../support/server.ts';

const TIMEOUT = { timeout: 120_000 };
const JSON_TYPE = { 'content-type': 'application/json' };
const HEALTH = requestText('GET /health');

function publishText(id: string, headers: Record<string, string> = {}): string {
  return requestText(
    'POST /publish',
    { ...JSON_TYPE, ...headers },
    JSON.stringify(eventWith({ event_id: id })),
  );
}

test(
  'a request that does not arrive in time gets an answer, wherever it stopped, and the connection closes [SYS-6]',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(
      t,
      {},
      { headersMs: 200, requestMs: 400, keepAliveMs: 100, checkedEveryMs: 50 },
    );
    const body = { ...JSON_TYPE, 'content-length': '100' };
    await Promise.all(
      [
        '',
        'GET',
        HEALTH.slice(0, -2),
        requestText('POST /publish', body),
        `${requestText('POST /publish', body)}{"events":`,
        `${requestText('POST /publish', { ...JSON_TYPE, 'transfer-encoding': 'chunked' })}5\r\n{"`,
      ].map(async (sent) => {
        const connection = await RawConnection.open(t, server.url);
        connection.send(sent);
        await problemIn(await connection.response(), 408, 'request_timeout');
        assert.equal(await connection.closed(), '', sent);
      }),
    );
    // One header at a time, each in time: the sum counts.
    const loris = await RawConnection.open(t, server.url);
    const closed = loris.closed();
    for (let i = 0; !loris.isClosed; i++) {
      loris.send(i === 0 ? 'GET /health HTTP/1.1\r\n' : `x-${i}: y\r\n`);
      await delay(20);
    }
    assert.match(await closed, /^HTTP\/1\.1 408 /);
    assert.equal((await server.stats()).received, 0);
  },
);

test('an idle connection closes without an answer [SYS-6]', TIMEOUT, async (t) => {
  const server = await TestServer.start(t, {}, { keepAliveMs: 100 });
  const connection = await RawConnection.open(t, server.url);
  for (let i = 0; i < 2; i++) {
    connection.send(HEALTH);
    assert.equal((await connection.response()).status, 200);
  }
  assert.equal(await connection.closed(), '');
});

test(
  'a reader may take as long as it likes, even one whose request is incomplete [SYS-6, READ-2]',
  TIMEOUT,
  async (t) => {
    const timeouts: Partial<Timeouts> = {};
    const server = await TestServer.start(t, {}, timeouts);
    const message = 'x'.repeat(1000);
    for (let i = 0; i < 15; i++) {
      await server.publish(...manyEvents(1000, (n) => ({ event_id: `${i}-${n}`, payload: { message } })));
    }
    // Not before the bodies have arrived, which takes a busy machine its time.
    Object.assign(timeouts, {
      headersMs: 1500,
      requestMs: 1500,
      keepAliveMs: 100,
      bodyPauseMs: 1500,
      checkedEveryMs: 50,
    } satisfies Partial<Timeouts>);
    await server.restart();
    const read = async (request: string): Promise<void> => {
      const connection = await RawConnection.open(t, server.url);
      connection.pause();
      connection.send(request);
      await delay(3_000);
      connection.resume();
      const [head = '', ...chunks] = split(await connection.closed());
      assert.match(head, /^HTTP\/1\.1 200 /);
      const { count, events } = JSON.parse(chunks.join('')) as EventsAnswer;
      assert.deepEqual([count, events.length], [15_000, 15_000]);
    };
    await Promise.all([
      read(requestText('GET /events', { connection: 'close' })),
      read(`${requestText('GET /events', { 'content-length': '10' })}half`),
      read(`${requestText('GET /events')}RUBBISH\r\n\r\n`),
    ]);
  },
);

/** The head of the first response, and the chunks of its body up to the last. */
function split(answered: string): string[] {
  const bodyStart = answered.indexOf('\r\n\r\n') + 4;
  const parts = [answered.slice(0, bodyStart)];
  for (let at = bodyStart; ;) {
    const sizeEnd = answered.indexOf('\r\n', at);
    const size = parseInt(answered.slice(at, sizeEnd), 16);
    assert.ok(size >= 0, 'the answer was cut short');
    if (size === 0) return parts;
    parts.push(answered.slice(sizeEnd + 2, sizeEnd + 2 + size));
    at = sizeEnd + 2 + size + 2;
  }
}

test(
  'requests before garbage on the same connection are answered first, as if nothing followed [ERR-6, P-6]',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(t);
    const responses = await exchange(
      server.url,
      `${publishText('a')}${HEALTH}${publishText('b')}RUBBISH\r\n\r\n${publishText('c')}`,
    );
    assert.deepEqual(
      responses.map(({ status }) => status),
      [200, 200, 200, 400],
    );
    await problemIn(responses[3]!, 400, 'invalid_request');
    assert.deepEqual(
      (await server.events()).events.map(({ event_id: id }) => id),
      ['a', 'b'],
    );

    // However much garbage it is, and however long the earlier answers are, nothing of them is lost.
    const message = 'x'.repeat(900_000);
    await server.publish(
      ...[1, 2, 3].map((i) => eventWith({ event_id: `large-${i}`, payload: { message } })),
    );
    const [large, told] = await exchange(
      server.url,
      `${requestText('GET /events?limit=10')}RUBBISH${' '.repeat(3_000_000)}`,
    );
    assert.equal(((await large!.json()) as EventsAnswer).count, 5);
    await problemIn(told!, 400, 'invalid_request');

    // Even if it arrives piece by piece, it is refused once, and the rest is dropped.
    const warnings: Error[] = [];
    const warn = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warn);
    t.after(() => process.off('warning', warn));
    const slow = await RawConnection.open(t, server.url);
    slow.pause();
    slow.send(`${requestText('GET /events?limit=10')}RUBBISH`);
    for (let i = 0; i < 20; i++) {
      slow.send('RUBBISH');
      await delay(5);
    }
    slow.resume();
    const answered = await slow.closed();
    assert.equal(answered.split('HTTP/1.1 400').length, 2);
    assert.deepEqual(warnings, []);

    // The body of the second request breaks off in a chunk; the first is still reported as successful.
    const broken = requestText('POST /publish', { ...JSON_TYPE, 'transfer-encoding': 'chunked' });
    const [first, second] = await exchange(server.url, `${publishText('d')}${broken}5\r\n{"eve\r\nzz\r\n`);
    assert.equal(first!.status, 200);
    await problemIn(second!, 400, 'invalid_request');
  },
);

test('a body is requested only if it will be read [PUB-11]', TIMEOUT, async (t) => {
  const server = await TestServer.start(t);
  const EXPECT = { expect: '100-Continue', 'content-length': '100' };
  for (const [target, headers, status, code] of [
    ['POST /publish', { ...JSON_TYPE, 'content-length': '999999999' }, 413, 'body_too_large'],
    ['POST /publish', { 'content-type': 'text/plain' }, 415, 'unsupported_media_type'],
    ['POST /publish', { ...JSON_TYPE, 'content-encoding': 'lzma' }, 415, 'unsupported_media_type'],
    ['POST /nowhere', {}, 404, 'not_found'],
    ['POST /events', {}, 405, 'method_not_allowed'],
  ] as const) {
    const [response] = await exchange(server.url, requestText(target, { ...EXPECT, ...headers }));
    await problemIn(response!, status, code);
  }
  const connection = await RawConnection.open(t, server.url);
  const [head = '', body = ''] = publishText('e', { expect: '100-continue' }).split('\r\n\r\n');
  connection.send(`${head}\r\n\r\n`);
  await connection.received('HTTP/1.1 100 Continue\r\n\r\n');
  connection.send(body);
  assert.equal((await connection.response()).status, 200);

  const [unknown] = await exchange(
    server.url,
    requestText('GET /health', { expect: 'miracles', connection: 'close' }),
  );
  assert.equal(unknown!.status, 200);
});

test(
  'CONNECT, and HTTP/1.1 without a Host, are refused with a problem; HTTP/1.0 needs none [ERR-1]',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(t);
    const [connect] = await exchange(
      server.url,
      'CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n',
    );
    await problemIn(connect!, 405, 'method_not_allowed');
    // Whatever follows is read and dropped, so that its client gets to read the refusal.
    const eager = await exchange(
      server.url,
      'CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n',
      Buffer.alloc(8_000_000),
    );
    await problemIn(eager[0]!, 405, 'method_not_allowed');
    const tunnel = 'CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n';
    const [published, refused] = await exchange(server.url, publishText('e') + tunnel);
    assert.equal(published!.status, 200, 'earlier requests are answered first');
    await problemIn(refused!, 405, 'method_not_allowed');
    for (let i = 0; i < 5; i++) {
      const leaving = await RawConnection.open(t, server.url);
      leaving.send(publishText(`e-${i}`) + tunnel);
      leaving.reset();
    }
    const [hostless] = await exchange(server.url, 'GET /health HTTP/1.1\r\nconnection: close\r\n\r\n');
    await problemIn(hostless!, 400, 'invalid_request');
    const [old] = await exchange(server.url, 'GET /health HTTP/1.0\r\n\r\n');
    assert.equal(old!.status, 200);
  },
);

test('connections are limited so that the store has enough open files left [SYS-7]', () => {
  const limit = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).stdout.trim();
  // Elsewhere the limit is not known.
  const isKnown = process.platform === 'linux' && limit !== 'unlimited';
  const filesMax = isKnown ? Number(limit) : Infinity;
  const silent = pino({ level: 'silent' });
  assert.equal(connectionsAllowed(1000, silent), Math.min(1000, filesMax - 64));
  assert.equal(connectionsAllowed(filesMax - 64, silent), filesMax - 64);
  assert.equal(connectionsAllowed(filesMax - 63, silent), filesMax - 64);
});

test('connections beyond the limit are closed at once, and others stay open [SYS-7]', TIMEOUT, async (t) => {
  const server = await TestServer.start(t, { CONNECTIONS_MAX: '3' });
  const taken = await Promise.all(Array.from({ length: 3 }, () => RawConnection.open(t, server.url)));
  for (const connection of taken) {
    connection.send(HEALTH);
    assert.equal((await connection.response()).status, 200);
  }
  for (let i = 0; i < 5; i++) {
    const beyond = await RawConnection.open(t, server.url);
    beyond.send(HEALTH);
    assert.equal(await beyond.closed(), '');
  }
  taken[0]!.send(publishText('e'));
  assert.equal((await taken[0]!.response()).status, 200);
  taken[1]!.leave();
  const [again] = await untilTaken(server.url);
  assert.equal(again!.status, 200);
  for (const connection of taken) connection.leave();
});

/** Repeats the request until its connection is accepted: the server notices a closed one only a moment later. */
async function untilTaken(url: string): Promise<Response[]> {
  for (;;) {
    const responses = await exchange(url, requestText('GET /health', { connection: 'close' })).catch(
      () => [],
    );
    if (responses.length > 0) return responses;
  }
}
