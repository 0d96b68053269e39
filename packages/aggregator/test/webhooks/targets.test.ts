import assert from 'node:assert/strict';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { test } from 'node:test';
import { selfSigned } from '../support/certificate.ts';
import { eventWith, manyEvents } from '../support/events.ts';
import { Group } from '../support/group.ts';
import { Receiver, SECRET } from '../support/receiver.ts';
import { problemIn } from '../support/server.ts';
import { until } from '../support/until.ts';
import { pushOf, serverWith, settled, webhook } from '../support/webhook.ts';

test('a target fails if it does not answer in time, cuts the connection, or does not exist [HOOK-4]', async (t) => {
  // Enough for the last attempt, which is answered.
  const server = await serverWith(t, { answerMs: 1000 });
  const faults = [() => undefined, (response: { destroy(): void }) => response.destroy()];
  const receiver = await Receiver.start(t, () => faults.shift() ?? 200);
  await server.publish(eventWith());
  const group = await webhook(server, receiver.url, { max_deliveries: 1000 });
  await settled(group, 1);
  assert.equal(receiver.received.length, 3);

  const gone = new Group(server.url, 'gone');
  const port = receiver.port;
  await gone.make({
    push: { url: `http://127.0.0.1:${port === 1 ? 2 : 1}/`, secret: SECRET },
    max_deliveries: 1000,
  });
  await until(() => 'a refusal', async () => pushOf(await gone.view()).last_failure !== null); // prettier-ignore
  assert.match(pushOf(await gone.view()).last_failure!, /ECONNREFUSED/);
});

test('a redirect is not followed [HOOK-8]', async (t) => {
  const server = await serverWith(t);
  const other = await Receiver.start(t);
  const receiver = await Receiver.start(t, () => (response) => {
    response.writeHead(307, { location: other.url }).end();
  });
  await server.publish(eventWith());
  const group = await webhook(server, receiver.url, { max_deliveries: 1000 });
  await until(() => 'a failure', async () => pushOf(await group.view()).last_failure !== null); // prettier-ignore
  assert.equal(pushOf(await group.view()).last_failure, 'HTTP 307: redirects are not followed');
  assert.equal(other.connections, 0);
});

test('over https messages go only to a trusted certificate [HOOK-8]', async (t) => {
  const identity = selfSigned();
  const server = await serverWith(t, { retryMs: [3_600_000] });
  const receiver = await Receiver.start(t, () => 200, identity);
  await server.publish(eventWith());
  const group = await webhook(server, receiver.url);
  await until(() => 'a failure', async () => pushOf(await group.view()).last_failure !== null); // prettier-ignore
  assert.match(pushOf(await group.view()).last_failure!, /self-signed certificate/);
  assert.equal(receiver.received.length, 0);

  const trusted = getCACertificates('default');
  t.after(() => setDefaultCACertificates(trusted));
  setDefaultCACertificates([...trusted, identity.cert]);
  await group.post('resume');
  await settled(group, 1);
  assert.deepEqual(receiver.offsets, [1]);
});

test('a large answer is not read to its end, and still counts as a success [HOOK-4]', async (t) => {
  const server = await serverWith(t);
  const receiver = await Receiver.start(t, () => (response) => {
    response.writeHead(200);
    const more = (): void => {
      while (response.write(Buffer.alloc(64 * 1024)));
    };
    response.on('drain', more);
    more();
  });
  await server.publish(...manyEvents(2));
  await settled(await webhook(server, receiver.url), 2);
});

test('targets on this machine or its network are not connected to unless allowed, by address or by name [HOOK-8]', async (t) => {
  const server = await serverWith(t, {}, {});
  const receiver = await Receiver.start(t);
  await server.publish(eventWith());
  for (const host of ['127.0.0.1', '2130706433', '[::ffff:127.0.0.1]', '169.254.169.254', '[::1]']) {
    const push = { url: `http://${host}:${receiver.port}/`, secret: SECRET };
    const put = await new Group(server.url, 'literal').put({ topics: ['>'], push });
    const problem = await problemIn(put, 422, 'invalid_parameter');
    assert.equal(problem.errors![0]!.field, 'push.url', host);
  }
  const group = await webhook(server, `http://localhost:${receiver.port}/`);
  await until(() => 'a failure', async () => pushOf(await group.view()).last_failure !== null); // prettier-ignore
  assert.match(pushOf(await group.view()).last_failure!, /localhost is at an address that is not public/);
  assert.equal(receiver.connections, 0);
  await server.close();
});
