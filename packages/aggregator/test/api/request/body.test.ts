import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { withBody } from '../../../src/api/request/body.ts';
import { ByteBudget } from '../../../src/queue/byte-budget.ts';

test('the body of a client that left before anybody received it is refused, not awaited for ever', async (t) => {
  const server = createServer();
  const requested = once(server, 'request');
  server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const leaving = new AbortController();
  const { port } = server.address() as AddressInfo;
  const body = ReadableStream.from([Buffer.from('{')]);
  const url = `http://127.0.0.1:${port}`;
  const asked = fetch(url, { method: 'POST', body, duplex: 'half', signal: leaving.signal });
  const [request] = await requested;
  leaving.abort();
  await assert.rejects(asked);
  await new Promise((resolve) => request.once('close', resolve));
  const budget = new ByteBudget(1000);
  const used = withBody(request, budget, { bytesMax: 100, pauseMs: 100 }, () => assert.fail('it is whole'));
  const refused = await Promise.race([
    used.catch((error: unknown) => error),
    new Promise((resolve) => setTimeout(resolve, 1000, 'nothing')),
  ]);
  assert.match(String(refused), /the connection closed before the body was complete/);
  assert.equal(budget.held, 0);
});
