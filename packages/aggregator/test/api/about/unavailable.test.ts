import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Event } from '@chronicleweaver/protocol';
import { STORE } from '../../../../../lab/test-store.ts';
import { changeBehind } from '../../support/behind.ts';
import { eventWith, manyEvents } from '../../support/events.ts';
import { exchange, requestText } from '../../support/raw-http.ts';
import { TestServer, problemIn } from '../../support/server.ts';

const JSON_TYPE = { 'content-type': 'application/json' };

const publishText = (event: Event, headers: Record<string, string> = {}) =>
  requestText('POST /publish', { ...JSON_TYPE, ...headers }, JSON.stringify(event));

test('a publish that does not fit into the queue gets 503 with Retry-After, stores nothing, and may be sent again [ERR-5, P-7, PUB-10]', async (t) => {
  const server = await TestServer.start(t, { QUEUE_EVENTS_MAX: '1' });
  const [first, second] = manyEvents(2);
  // In one write on one connection, so that the second arrives before the first can be committed.
  const [taken, refused] = await exchange(
    server.url,
    publishText(first!) + publishText(second!, { connection: 'close' }),
  );
  assert.equal(taken!.status, 200);
  assert.match(refused!.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
  await problemIn(refused!, 503, 'queue_full');
  const stats = await server.stats();
  assert.deepEqual([stats.received, stats.duplicated_dropped], [1, 0]);
  assert.equal((await server.publish(second!)).accepted, 1);
  assert.equal((await server.events()).count, 2);
});

test('while the store cannot commit, publishes and /ready get 503 with Retry-After, and the process stays alive [ERR-5, SYS-2, SYS-1]', async (t) => {
  const server = await TestServer.start(t);
  await server.publish(eventWith());
  await changeBehind(server, {
    sqlite: `
      CREATE TRIGGER ledger_broken BEFORE UPDATE ON ledger BEGIN SELECT RAISE(ABORT, 'broken'); END;
      CREATE TRIGGER block_broken BEFORE INSERT ON fresh_block BEGIN SELECT RAISE(ABORT, 'broken'); END`,
    // A session begins with a commit that counts `ranges`, and one may begin for a read.
    postgres: `
      CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;
      CREATE TRIGGER broken BEFORE UPDATE ON head FOR EACH ROW WHEN (NEW.ranges = OLD.ranges) EXECUTE FUNCTION broken()`,
  });
  for (const response of [
    await server.post({ events: manyEvents(5) }),
    await fetch(`${server.url}/ready`),
    await server.post(eventWith({ event_id: 'new' })),
  ]) {
    assert.match(response.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
    const { detail } = await problemIn(response, 503, 'store_unavailable');
    if (STORE === 'sqlite') assert.match(detail, /: broken; the disk is not at fault: restart the service/);
  }
  assert.deepEqual(await server.get('/health'), { message: 'healthy' });
  assert.deepEqual(await server.get('/'), { message: 'ChronicleWeaver is running...' });
  assert.deepEqual([(await server.stats()).received, (await server.events()).count], [1, 1]);

  // The next start writes by itself: it brings the ledger up to date.
  await changeBehind(server, {
    sqlite: 'DROP TRIGGER ledger_broken; DROP TRIGGER block_broken',
    postgres: 'DROP TRIGGER broken ON head',
  });
  await server.restart();
  assert.deepEqual(await server.get('/ready'), { message: 'ready', store: STORE });
  assert.deepEqual([(await server.stats()).received, (await server.events()).count], [1, 1]);
  assert.equal((await server.publish(...manyEvents(5))).accepted, 4);
});

test('during a stop requests that have begun are answered, and later ones get 503 [ERR-5, P-1]', async (t) => {
  const server = await TestServer.start(t);
  const { hostname, port } = new URL(server.url);
  const begun = publishText(eventWith());
  const responses: Buffer[] = [];
  const socket = connect(Number(port), hostname);
  socket.on('data', (piece: Buffer) => responses.push(piece));
  const ended = new Promise<void>((resolve, reject) =>
    socket.on('close', () => resolve()).on('error', reject),
  );
  socket.write(begun.slice(0, -10));
  while ((await server.get<{ message: string }>('/health')).message !== 'healthy') await wait(1);
  const restarted = server.restart();
  await untilRefused();
  socket.write(begun.slice(-10) + publishText(eventWith({ event_id: 'late' })));
  await ended;
  await restarted;
  const text = Buffer.concat(responses).toString();
  const [, second] = text.split(/(?=HTTP\/1\.1 )/);
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.match(second!, /^HTTP\/1\.1 503 /);
  assert.match(second!, /\r\nretry-after: [1-9]/);
  assert.match(second!, /\r\nconnection: close/i);
  assert.match(second!, /\r\ncontent-type: application\/problem\+json[^]*"code":"shutting_down"/);
  const { events } = await server.events();
  assert.deepEqual(
    events.map(({ event_id: id }) => id),
    ['e-1'],
  );

  async function untilRefused(): Promise<void> {
    for (;;) {
      const isOpen = await new Promise<boolean>((resolve) => {
        const probe = connect(Number(port), hostname, () => resolve(true));
        probe.on('error', () => resolve(false));
        probe.unref().end();
      });
      if (!isOpen) return;
      await wait(1);
    }
  }
});
