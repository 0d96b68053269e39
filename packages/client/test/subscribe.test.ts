import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { until } from '../../../lab/program.ts';
import { ChronicleWeaver, type Retry, type StoredEvent } from '../src/index.ts';
import { Transport } from '../src/transport.ts';
import { type Arrived, ScriptedServer, problem } from './support/scripted-server.ts';

const FAST = { backoffMinMs: 1, backoffMaxMs: 4 };

function frame(offset: number, end = '\n', name?: string): string {
  const data = JSON.stringify({ offset, payload: { text: `é🚚 ${offset}` } });
  const names = name === undefined ? [] : [`event: ${name}`];
  return [`id: ${offset}`, ...names, `data: ${data}`, '', ''].join(end);
}

/** Sends these pieces one by one, then ends the answer, cuts the connection, or leaves it open. */
function streamOf(
  pieces: readonly (string | Uint8Array)[],
  end: 'cut' | 'end' | 'open',
  headers: Record<string, string> = {},
) {
  return (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream', ...headers });
    const next = (at: number): void => {
      if (at < pieces.length) response.write(pieces[at]!, () => setImmediate(next, at + 1));
      else if (end === 'end') response.end();
      else if (end === 'cut') response.destroy();
    };
    next(0);
  };
}

async function take(events: AsyncIterable<StoredEvent>, count: number): Promise<number[]> {
  const offsets: number[] = [];
  for await (const { offset } of events) {
    offsets.push(offset);
    if (offsets.length === count) break;
  }
  return offsets;
}

const cursorOf = ({ url }: Pick<Arrived, 'url'>): string | null => url.searchParams.get('after');

test('a stream that is cut resumes after its last event, or where it began if there was none', async (t) => {
  const server = await ScriptedServer.start(t, ({ number }) => {
    switch (number) {
      case 1:
        return streamOf(['retry: 1000\nid: 7\n\n'], 'cut');
      case 2:
        return { status: 503, headers: { 'retry-after': '0' } };
      case 3:
        return streamOf(['id: 7\n\n', frame(8), frame(9), frame(10).slice(0, -1)], 'cut');
      case 4:
        return streamOf(['id: 9\n\n', frame(10), ': still here\nid: 15\n\n'], 'end');
      default:
        return streamOf(['id: 15\n\n', frame(16)], 'open');
    }
  });
  const retries: Retry[] = [];
  await using chronicle = new ChronicleWeaver({
    ...FAST,
    url: server.url,
    onRetry: (retry) => retries.push(retry),
  });
  const stream = chronicle.subscribe({ topics: ['orders', 'users.*'] });
  assert.deepEqual(await take(stream, 4), [8, 9, 10, 16]);
  assert.deepEqual(server.arrived.map(cursorOf), [null, '7', '7', '9', '15']);
  for (const { url, method } of server.arrived) {
    assert.equal(`${method} ${url.pathname}`, 'GET /events/stream');
    assert.deepEqual(url.searchParams.getAll('topic'), ['orders', 'users.*']);
  }
  assert.deepEqual(
    retries.map(({ error, attempts }) => [error.code, attempts]),
    [
      ['unreachable', 1],
      ['http_error', 2],
      ['unreachable', 1],
      ['unreachable', 1],
    ],
  );
});

test('a stream begins at the requested cursor', async (t) => {
  const server = await ScriptedServer.start(t, () => streamOf([frame(1)], 'open'));
  await using chronicle = new ChronicleWeaver({ url: server.url });
  for (const after of [0, 41, 'earliest', 'latest', undefined] as const) {
    await take(chronicle.subscribe({ after }), 1);
    assert.equal(cursorOf(server.arrived.at(-1)!), after === undefined ? null : String(after));
  }
});

test('a cut in the middle of a line’s end loses no event: the cursor moves only with a whole message', async (t) => {
  const server = await ScriptedServer.start(t, ({ number }) =>
    number === 1
      ? streamOf(['id: 7\r\n\r\n', 'id: 8\r', '\ndata: {"off'], 'cut')
      : streamOf([frame(8)], 'open'),
  );
  await using chronicle = new ChronicleWeaver({ ...FAST, url: server.url });
  assert.deepEqual(await take(chronicle.subscribe(), 1), [8]);
  assert.deepEqual(server.arrived.map(cursorOf), [null, '7']);
});

test('events are read wherever the bytes are split and however the lines end', async (t) => {
  for (const end of ['\n', '\r\n', '\r']) {
    const bytes = Buffer.from(`: hello${end}${end}${frame(1, end)}${frame(2, end)}${frame(3, end)}${end}`);
    for (const size of [1, 7, bytes.length]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      const server = await ScriptedServer.start(t, () => streamOf(pieces, 'open'));
      await using chronicle = new ChronicleWeaver({ url: server.url });
      const seen: StoredEvent[] = [];
      for await (const event of chronicle.subscribe()) if (seen.push(event) === 3) break;
      assert.deepEqual(
        seen.map(({ payload }) => payload['text']),
        ['é🚚 1', 'é🚚 2', 'é🚚 3'],
      );
    }
  }
});

test('a refusal ends the stream with its code', async (t) => {
  const server = await ScriptedServer.start(t, () => problem(409, 'cursor_beyond_end'));
  await using chronicle = new ChronicleWeaver({ ...FAST, url: server.url });
  await assert.rejects(take(chronicle.subscribe({ after: 99 }), 1), {
    code: 'cursor_beyond_end',
    status: 409,
  });
  assert.equal(server.arrived.length, 1);
});

test('a follower resumes within its epoch, and ends if the log that its cursor is from was replaced by a copy', async (t) => {
  const epoch = (name: string) => ({ 'chronicle-epoch': name });
  const server = await ScriptedServer.start(t, ({ number: count }) =>
    count < 3 ? streamOf([frame(count)], 'cut', epoch(`epoch-${count}`)) : problem(409, 'log_restored'),
  );
  await using chronicle = new ChronicleWeaver({ ...FAST, url: server.url });
  const events = chronicle.subscribe({ after: 0, epoch: 'epoch-0' });
  assert.equal((await events.next()).value?.offset, 1);
  assert.equal((await events.next()).value?.offset, 2);
  await assert.rejects(events.next(), { code: 'log_restored', status: 409 });
  const asked = server.arrived.map(({ url }) => [cursorOf({ url }), url.searchParams.get('epoch')]);
  assert.deepEqual(asked, [
    ['0', 'epoch-0'],
    ['1', 'epoch-1'],
    ['2', 'epoch-2'],
  ]);
});

test('a connection that has gone silent counts as dead', async (t) => {
  const server = await ScriptedServer.start(t, () => streamOf([': hello\n\n'], 'open'));
  const transport = new Transport({ url: server.url }, new AbortController().signal);
  const chunks = transport.stream('/events/stream', {}, 500, undefined, () => {});
  assert.equal((await chunks.next()).value, ': hello\n\n');
  await assert.rejects(chunks.next(), { name: 'ConnectionError', code: 'timeout', retryable: true });
});

test('leaving the loop ends its connection, and so does a signal or a close while it waits', async (t) => {
  let open = 0;
  const server = await ScriptedServer.start(t, () => (response) => {
    open++;
    response.on('close', () => open--);
    streamOf([frame(1)], 'open')(response);
  });
  const allClosed = (): Promise<void> =>
    until(
      () => `${open} connections are open`,
      () => open === 0,
    );
  const chronicle = new ChronicleWeaver({ url: server.url });
  await take(chronicle.subscribe(), 1);
  await allClosed();

  const stop = new AbortController();
  const reason = new Error('enough');
  await assert.rejects(async () => {
    for await (const _ of chronicle.subscribe({}, { signal: stop.signal }))
      setImmediate(() => stop.abort(reason));
  }, reason);
  await allClosed();

  for await (const _ of chronicle.subscribe()) setImmediate(() => void chronicle.close());
  await allClosed();
  assert.throws(() => chronicle.subscribe(), { code: 'closed' });
});

test('a signal or a close ends a stream that is waiting to reconnect', async (t) => {
  const server = await ScriptedServer.start(t, () => ({ status: 503, headers: { 'retry-after': '60' } }));
  const chronicle = new ChronicleWeaver({ url: server.url });
  const reason = new Error('enough');
  const stop = new AbortController();
  const stopped = take(chronicle.subscribe({}, { signal: stop.signal }), 1);
  const closed = take(chronicle.subscribe(), 1);
  await until(
    () => 'two requests',
    () => server.arrived.length >= 2,
  );
  stop.abort(reason);
  await assert.rejects(stopped, reason);
  await chronicle.close();
  assert.deepEqual(await closed, []);
});

test('events without a name, and those that older services name event, are read; other names are ignored', async (t) => {
  const server = await ScriptedServer.start(t, () =>
    streamOf(['id: 7\n\n', frame(8), frame(9, '\n', 'event'), frame(10, '\n', 'other'), frame(11)], 'open'),
  );
  await using chronicle = new ChronicleWeaver({ ...FAST, url: server.url });
  assert.deepEqual(await take(chronicle.subscribe(), 3), [8, 9, 11]);
});
