import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CuttingProxy } from '../../support/cutting-proxy.ts';
import { TestServer, problemIn, sharedServer } from '../../support/server.ts';
import { SENDERS, slackSignature } from '../../support/senders.ts';
import { TestSources } from '../../support/sources.ts';
import { until } from '../../support/until.ts';

const service = sharedServer();

/** Sends again after each connection that was cut, as a provider does: with another time, and another signature. */
async function sendUntilAnswered(send: (attempt: number) => Promise<Response>): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send(attempt);
    } catch (error) {
      if (attempt === 9) throw error;
    }
  }
}

for (const { kind, secrets, body: bodyOf, headers: headersOf, event } of SENDERS) {
  test(`${kind}: what is cut off and sent again, and what is delivered once more, is stored once [SRC-4, SRC-11]`, async (t) => {
    const server = service();
    const sources = new TestSources(server);
    await sources.make(kind, { kind, topic: `${kind}.{type}`, secrets });
    const proxy = await CuttingProxy.start(t, Number(new URL(server.url).port), `/in/${kind}`);
    const ids = ['evt_1', 'evt_2', 'evt_3', 'evt_4'];
    for (const [i, id] of ids.entries()) {
      proxy.cuts.push(...(['before', 'after', 'late', 'after'] as const).slice(i));
      const body = bodyOf(id);
      const response = await sendUntilAnswered(async (attempt) => {
        const headers = await headersOf(id, body, secrets[attempt % 2]!, Date.now() - attempt * 1000);
        return fetch(`http://127.0.0.1:${proxy.port}/in/${kind}`, { method: 'POST', headers, body });
      });
      assert.equal(response.status, 200, await response.text());
      // Somebody asks for it to be delivered again.
      const headers = await headersOf(id, body, secrets[0], Date.now());
      assert.equal((await sources.deliver(kind, body, headers)).status, 200);
    }
    assert.equal(proxy.done, 10);
    const { topic } = event('');
    const stored = await server.events(`?topic=${topic}`);
    assert.deepEqual(stored.events.map(({ event_id: id }) => id).toSorted(), ids);
    for (const { event_id: id, timestamp, payload } of stored.events) {
      assert.equal(timestamp, event(id).timestamp);
      assert.deepEqual(payload, JSON.parse(event(id).payload));
    }
    const { conflicts } = await server.get<{ conflicts: unknown[] }>(`/conflicts?topic=${topic}`);
    assert.deepEqual(conflicts, []);
  });
}

test('the webhooks of another service like this one are a source, each event of it stored once [SRC-11]', async (t) => {
  const server = service();
  const sources = new TestSources(server);
  const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
  await sources.make('others', {
    kind: 'standard-webhooks',
    topic: 'copied',
    secret,
    timestamp: '/timestamp',
  });
  const other = await TestServer.start(t, { WEBHOOK_ALLOW_PRIVATE: 'true' });
  const proxy = await CuttingProxy.start(t, Number(new URL(server.url).port), '/in/others');
  proxy.cuts.push('after', 'before');
  const group = await fetch(`${other.url}/subscriptions/out`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      topics: ['>'],
      push: { url: `http://127.0.0.1:${proxy.port}/in/others`, secret },
    }),
  });
  assert.equal(group.status, 201, await group.text());
  const timestamp = '2026-01-02T03:04:05Z';
  await other.publish({ event_id: 'e', topic: 'a', source: 'b', payload: { n: 1 }, timestamp });
  await until(
    () => 'it was delivered',
    async () => (await server.events('?topic=copied')).events.length === 1 && proxy.done === 2,
  );
  const { events } = await server.events('?topic=copied');
  assert.equal(events[0]!.timestamp, timestamp);
});

test('Slack is answered what it asks, and nothing else that people would see [SRC-12]', async () => {
  const server = service();
  const sources = new TestSources(server);
  await sources.make('chat', { kind: 'slack', topic: 'chat.{type}', secret: 'shh' });
  const deliver = (body: string, type: string, secret = 'shh') => {
    const time = `${Math.floor(Date.now() / 1000)}`;
    const signature = slackSignature(secret, time, body);
    const headers = { 'x-slack-request-timestamp': time, 'x-slack-signature': signature };
    return sources.deliver('chat', body, { 'content-type': type, ...headers });
  };
  const question = '{"type":"url_verification","challenge":"abc","token":"t"}';
  const answer = await deliver(question, 'application/json');
  assert.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
  assert.equal(await answer.text(), 'abc');
  await problemIn(await deliver(question, 'application/json', 'guess'), 401, 'delivery_refused');
  const command = await deliver('token=t&command=%2Fdo&text=a+b', 'application/x-www-form-urlencoded');
  assert.deepEqual([command.status, await command.text()], [200, '']);
  const { events } = await server.events('?topic=chat.%2Fdo');
  assert.deepEqual(events[0]!.payload, { body: { command: '/do', text: 'a b' } });
});

test('a source of a provider needs a secret, and its topic knows no part but the type [SRC-2, SRC-11]', async () => {
  const sources = new TestSources(service());
  for (const { kind } of SENDERS) {
    const bare = await problemIn(await sources.put('p', { kind, topic: 'x' }), 422, 'invalid_parameter');
    assert.deepEqual(
      bare.errors!.map(({ field }) => field),
      ['secrets'],
    );
    const odd = { kind, topic: '{other}', secret: 'x', id: '/id' };
    const problem = await problemIn(await sources.put('p', odd), 422, 'invalid_parameter');
    assert.deepEqual(
      problem.errors!.map(({ field }) => field),
      ['id'],
    );
  }
  const topic = await sources.put('p', { kind: 'github', topic: '{other}', secret: 'x' });
  assert.match((await problemIn(topic, 422, 'invalid_parameter')).detail, /knows \{type\} alone/);
  const secret = await sources.put('p', { kind: 'standard-webhooks', topic: 'x', secret: 'short' });
  assert.match((await problemIn(secret, 422, 'invalid_parameter')).detail, /takes "whsec_"/);
  for (const kind of ['stripe', 'slack', 'shopify']) {
    const example = await sources.put('p', { kind, topic: 'x', secret: 'whsec_…' });
    assert.match((await problemIn(example, 422, 'invalid_parameter')).detail, /takes the secret as/);
  }
  const shown = await sources.put('s', { kind: 'stripe', topic: 'x', secret: 'x', max_age: '1h' });
  assert.equal(((await shown.json()) as { max_age: string }).max_age, '1h');
});
