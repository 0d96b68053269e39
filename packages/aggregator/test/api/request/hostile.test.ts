import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { startAggregator } from '../../../src/aggregator.ts';
import { readConfig } from '../../../src/config.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { booksOf } from '../../support/books.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { RawConnection, exchange, requestText } from '../../support/raw-http.ts';
import { type EventsAnswer, TestServer, problemIn } from '../../support/server.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { sharedServer } from '../../support/server.ts';

const service = sharedServer();

const TIMEOUT = { timeout: 120_000 };
const JSON_TYPE = { 'content-type': 'application/json' };
const CLOSE = { connection: 'close' };

function publishText(id: string, headers: Record<string, string> = {}): string {
  return requestText(
    'POST /publish',
    { ...JSON_TYPE, ...headers },
    JSON.stringify(eventWith({ event_id: id })),
  );
}

test(
  'a request inside a request is never executed, however its length is disguised [P-6, ERR-1]',
  TIMEOUT,
  async () => {
    const server = service();
    const before = await booksOf(server);
    const smuggled = publishText('smuggled', CLOSE);
    const head = (...lines: string[]): string =>
      `POST /publish HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n${lines.join('\r\n')}\r\n\r\n`;
    for (const sent of [
      head('content-length: 2', 'transfer-encoding: chunked') + `0\r\n\r\n${smuggled}`,
      head('transfer-encoding: chunked', 'content-length: 5') + `0\r\n\r\n${smuggled}`,
      head('content-length: 2', 'content-length: 0') + `{}${smuggled}`,
      head('content-length: 0, 2') + `{}${smuggled}`,
      head('content-length: +2') + `{}${smuggled}`,
      head('content-length: 0x2') + `{}${smuggled}`,
      head('content-length: 99999999999999999999') + smuggled,
      head('content-length: -1') + smuggled,
      head('content-length : 0') + smuggled,
      head('transfer-encoding: xchunked') + `0\r\n\r\n${smuggled}`,
      head('transfer-encoding: chunked, identity') + `0\r\n\r\n${smuggled}`,
      head('transfer-encoding: identity') + smuggled,
      head('transfer-encoding:\tchunked', 'transfer-encoding: x') + `0\r\n\r\n${smuggled}`,
      head('transfer-encoding: chunked') + `2\r\n{}\r\n0x0\r\n\r\n${smuggled}`,
      head('transfer-encoding: chunked') + `2;\n{}\n0\n\n${smuggled}`,
      head('transfer-encoding: chunked') + `-1\r\n${smuggled}`,
      head('transfer-encoding: chunked') + `fffffffffffffffff\r\n${smuggled}`,
      head('x: y\r\n content-length: 0') + smuggled,
      head('x: y\ncontent-length: 0') + smuggled,
      head('x: y\0', 'content-length: 0') + smuggled,
      `POST /publish HTTP/1.1 \r\nhost: a\r\n\r\n${smuggled}`,
      `\0${smuggled}`,
    ]) {
      const [first, ...more] = await exchange(server.url, sent);
      await problemIn(first!, 400, 'invalid_request').catch((cause: unknown) => {
        throw new Error(JSON.stringify(sent), { cause });
      });
      assert.deepEqual(more, [], sent);
      assert.equal(first!.headers.get('connection'), 'close', sent);
    }
    // HTTP/1.0 has no chunks, so this is a body without a length. It is not read and ends the connection.
    await exchange(
      server.url,
      smuggled.replace('HTTP/1.1', 'HTTP/1.0').replace(/content-length: \d+\r\n/, ''),
    );
    assert.deepEqual(await booksOf(server), before);
  },
);

/** A store whose commits take a while. */
function slowStore(): MemoryStore {
  const store = new MemoryStore();
  const append = store.append.bind(store);
  store.append = async (batches) => {
    await sleep(150);
    return append(batches);
  };
  return store;
}

test(
  'what follows a request to upgrade is never taken for another request, and the client learns that it was not read [PUB-10]',
  TIMEOUT,
  async (t) => {
    // Also where the rest comes while the commit still takes its time.
    const server = await TestServer.startOn(t, slowStore);
    const upgrade = { upgrade: 'websocket', connection: 'Upgrade' };
    const [first, second] = [publishText('first', upgrade), publishText('second')];
    const body = requestText('GET /health');
    const [head] = publishText('x').split('\r\n\r\n');
    for (const behind of [
      second,
      second.slice(0, 40),
      `${head!.replace(/length: \d+/, `length: ${body.length}`)}\r\n\r\n`,
    ]) {
      const connection = await RawConnection.open(t, server.url);
      connection.send(first + behind);
      // The rest of what was cut, or what looks like a body.
      setTimeout(() => connection.send(behind === second ? second : body), 50);
      const answer = await connection.response();
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get('connection'), 'close');
      assert.equal(await connection.closed(), '', behind);
    }
    assert.equal((await server.events()).count, 1);
  },
);

test(
  'a client that sends a refused body to its end gets the answer, also if the connection ends with it [ERR-1, PUB-9]',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(t);
    const body = 'x'.repeat(17 * 1024 * 1024);
    for (const [target, status] of [
      ['POST /publish', 413],
      ['POST /nowhere', 404],
      ['PUT /events', 405],
    ] as const) {
      for (let time = 0; time < 3; time++) {
        const answers = await exchange(server.url, requestText(target, { ...JSON_TYPE, ...CLOSE }, body));
        assert.deepEqual(
          answers.map((answer) => answer.status),
          [status],
          target,
        );
      }
    }
  },
);

test('a client that asks for HTTP/2 in every request keeps its connection', TIMEOUT, async (t) => {
  const server = await TestServer.start(t);
  const upgrade = {
    upgrade: 'h2c',
    'http2-settings': 'AAMAAABkAAQAAP__',
    connection: 'Upgrade, HTTP2-Settings',
  };
  const connection = await RawConnection.open(t, server.url);
  for (const id of ['a', 'b', 'c']) {
    const text = publishText(id, upgrade);
    const bodyAt = text.indexOf('\r\n\r\n') + 4;
    connection.send(text.slice(0, bodyAt));
    await sleep(20);
    connection.send(text.slice(bodyAt));
    assert.equal((await connection.response()).status, 200);
  }
  assert.equal((await server.events()).count, 3);
});

test(
  'all legitimate forms of HTTP are understood: 1.0, pipelined, chunked, upgrade, absolute address',
  TIMEOUT,
  async (t) => {
    const server = await TestServer.start(t);
    const [old] = await exchange(server.url, publishText('1.0').replace('HTTP/1.1', 'HTTP/1.0'));
    assert.equal(old!.status, 200);

    const many = Array.from({ length: 20 }, (_, i) =>
      i % 3 === 0
        ? publishText(`pipelined-${i}`)
        : i % 3 === 1
          ? requestText('GET /events/orders/none')
          : requestText('DELETE /stats'),
    );
    const answers = await exchange(server.url, ...many, requestText('GET /health', CLOSE));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [...many.map((_, i) => [200, 404, 405][i % 3]), 200],
    );

    const body = JSON.stringify(eventWith({ event_id: 'chunked' }));
    const chunks = Array.from(body, (char) => `1;name="value"\r\n${char}\r\n`).join('');
    const [chunked] = await exchange(
      server.url,
      `${requestText('POST /publish', { ...JSON_TYPE, ...CLOSE, 'transfer-encoding': 'Chunked' })}${chunks}000\r\nx-trailer: y\r\n\r\n`,
    );
    assert.equal(chunked!.status, 200);

    for (const [target, headers] of [
      ['GET /health', { upgrade: 'websocket', connection: 'upgrade, close' }],
      ['GET /health', { upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__', connection: 'upgrade, close' }],
      ['GET http://elsewhere.example/health', CLOSE],
      ['GET /health', { ...CLOSE, 'x-http-method-override': 'DELETE', 'transfer-encoding': '' }],
    ] as const) {
      const sent = requestText(target, headers).replace('transfer-encoding: \r\n', '');
      const [response] = await exchange(server.url, sent);
      assert.equal(response!.status, 200, sent);
      assert.equal(await response!.text(), '{"message":"healthy"}');
    }
    for (const path of ['/health', '/publish', '/events']) {
      const [traced] = await exchange(
        server.url,
        requestText(`TRACE ${path}`, { ...CLOSE, cookie: 'secret' }),
      );
      assert.ok(!(await traced!.clone().text()).includes('secret'));
      await problemIn(traced!, 405, 'method_not_allowed');
    }
    assert.equal((await server.events()).count, 9);
  },
);

test('a name never becomes a header, another response or another line of the log', TIMEOUT, async (t) => {
  const lines: string[] = [];
  const stream = new Writable({
    write(line: Buffer, _encoding, done) {
      lines.push(line.toString());
      done();
    },
  });
  const config = readConfig({ APP_PORT: '0', DEDUPLICATION_DB_PATH: join(tempFolder(t), 'events.db') });
  const aggregator = await startAggregator(config, pino({ level: 'debug' }, stream));
  t.after(() => aggregator.close());
  const { url } = aggregator;
  const EVIL = [
    '\r\nx-injected: yes',
    '\n{"level":60,"msg":"forged"}',
    '\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
    '>; rel="next", <http://evil.example/',
    '\u2028\u0085\u001b[31m\u202e"',
  ];
  for (const topic of EVIL) {
    const events = [1, 2, 3].map((i) => eventWith({ event_id: `${topic}${i}`, topic, source: topic }));
    for (let again = 0; again < 2; again++) {
      const response = await fetch(`${url}/publish`, {
        method: 'POST',
        headers: JSON_TYPE,
        body: JSON.stringify({ events }),
      });
      assert.equal(response.status, 200);
    }
    const query = `topic=${encodeURIComponent(topic)}&source=${encodeURIComponent(topic)}`;
    let next: string | null = `/events?limit=1&${query}`;
    let pages = 0;
    for (; next !== null; pages++) {
      const page: Response = await fetch(url + next);
      assert.equal(page.headers.get('x-injected'), null);
      assert.equal(((await page.json()) as EventsAnswer).count, 1);
      const link: string | null = page.headers.get('link');
      assert.match(link ?? '<>; rel="next"', /^<[^<>"\s]*>; rel="next"$/);
      next = link === null ? null : /^<(.*)>/.exec(link)![1]!;
    }
    assert.equal(pages, 3);
    const name = encodeURIComponent(topic);
    for (const path of [`/events/${name}/none`, `/${name}`, `/events?${name}=1`, `/events?limit=${name}`]) {
      const response = await fetch(url + path);
      assert.ok(response.status === 404 || response.status === 422, path);
      assert.equal(response.headers.get('x-injected'), null);
      await problemIn(response, response.status, ((await response.clone().json()) as { code: string }).code);
    }
  }
  const logged = lines.map((line) => JSON.parse(line) as { level: number; msg: string });
  assert.equal(logged.filter(({ msg }) => msg === 'event dropped').length, 3 * EVIL.length);
  assert.ok(logged.every(({ level }) => level <= 30));
  assert.ok(lines.every((line) => line.endsWith('\n') && line.indexOf('\n') === line.length - 1));
});

test('long, almost valid input is judged quickly: no pattern backtracks', TIMEOUT, async () => {
  const server = service();
  const before = await booksOf(server);
  const long = 15_000;
  const judge = async (what: string, ask: () => Promise<Response>): Promise<void> => {
    const startMs = performance.now();
    const response = await ask();
    await response.arrayBuffer();
    const tookMs = performance.now() - startMs;
    // A pattern that backtracks would take hours.
    assert.ok(tookMs < 20_000, `${what} took ${Math.round(tookMs)} ms`);
  };
  for (const time of [
    `2025-10-28T10:00:00.${'0'.repeat(long)}x`,
    `2025-10-28${' '.repeat(long)}`,
    '2025-'.repeat(long / 5),
    '0'.repeat(long),
    `2025-10-28T10:00:00+${'0'.repeat(long)}`,
  ]) {
    await judge('a timestamp', () =>
      server.post(eventWith({ timestamp: time, payload: { timestamp: time } })),
    );
    await judge('a parameter', () =>
      fetch(`${server.url}/events?from=${encodeURIComponent(time.slice(0, 4000))}`),
    );
  }
  for (const [name, value] of [
    ['accept', `${'application/json;q=0.1, '.repeat(long / 24)}x`],
    ['accept', `${' '.repeat(long)}x`],
    ['accept', 'a/'.repeat(long / 2)],
    ['accept', `${';'.repeat(long)}=`],
    ['content-type', `application/json;${' '.repeat(long)}x`],
    ['content-type', `application/json${'; charset'.repeat(long / 9)}`],
    ['content-type', `application/json;${' charset = ; charset ='.repeat(long / 22)}`],
    ['content-type', `application/${'a.'.repeat(long / 2)}`],
    ['content-type', `application/${'a+'.repeat(long / 2)}json`],
    ['content-encoding', 'gzip,'.repeat(long / 5)],
    ['expect', `${'1'.repeat(long)}100-continu`],
    ['range', `bytes=${'0-1,'.repeat(long / 4)}`],
    ['if-none-match', '"x",'.repeat(long / 4)],
    ['authorization', `Bearer ${' '.repeat(long)}`],
    ['cookie', 'a=b;'.repeat(long / 4)],
  ] as const) {
    const headers = { ...CLOSE, [name]: value };
    await judge(`${name}: ${value.slice(0, 40)}`, async () => {
      const get = requestText('GET /events?limit=1', headers);
      await exchange(server.url, get);
      await exchange(server.url, requestText('GET /docs/static/swagger-ui.css', headers));
      const [response] = await exchange(
        server.url,
        requestText('POST /publish', { ...JSON_TYPE, ...headers }, '{'),
      );
      return response!;
    });
  }
  assert.deepEqual(await booksOf(server), before);
});

test('numbers as large as an event are returned digit by digit [EVT-6]', TIMEOUT, async () => {
  const server = service();
  const numbers = ['1e999999', '-1e-999999', `1${'0'.repeat(1_000_000)}`, `0.${'0'.repeat(1_000_000)}1`];
  for (const [i, number] of numbers.entries()) {
    const event = JSON.stringify(eventWith({ event_id: `n-${i}`, payload: { n: 0 } })).replace(
      '"n":0',
      `"n":${number}`,
    );
    assert.equal((await server.post(event)).status, 200);
    const response = await fetch(`${server.url}/events/orders/n-${i}`);
    assert.ok((await response.text()).startsWith(event.slice(0, -1)), number.slice(0, 20));
  }
});

test('names of prototypes are ordinary names, even in parameters [ERR-4, EVT-6]', TIMEOUT, async (t) => {
  const server = await TestServer.start(t);
  const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '__defineGetter__'];
  await server.publish(
    ...manyEvents(NAMES.length, (i) => ({ event_id: NAMES[i]!, topic: NAMES[i]!, source: NAMES[i]! })),
  );
  for (const name of NAMES) {
    assert.equal((await server.events(`?topic=${name}&source=${name}`)).count, 1);
    for (const query of [`${name}=1`, `${name}[x]=1`, `topic[${name}]=1`, `${name}=1&${name}=2`]) {
      await problemIn(await fetch(`${server.url}/events?${query}`), 422, 'invalid_parameter');
    }
    await problemIn(await server.post(`{"${name}":{"polluted":true}}`), 422, 'invalid_event');
  }
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  assert.deepEqual((await server.stats()).topics.toSorted(), NAMES.toSorted());
});
