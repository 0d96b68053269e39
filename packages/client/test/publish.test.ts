import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChronicleWeaver, type NewEvent } from '../src/index.ts';
import { topicOf } from './support/orders.ts';
import { sharedServer } from './support/shared-server.ts';
import { ScriptedServer, accepted, eventsIn } from './support/scripted-server.ts';

const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

const server = await sharedServer();

test('an event without id, time and source gets them, and is found by its id', async (t) => {
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const before = Date.now();
  const result = await chronicle.publish({ topic: t.name, payload: { amount: 12.5 } });
  assert.equal(result.verdict, 'accepted');
  assert.match(result.event_id, UUID);
  const event = await chronicle.find(t.name, result.event_id);
  assert.equal(event?.offset, result.offset);
  assert.equal(event?.source, 'shop');
  assert.deepEqual(event.payload, { amount: 12.5 });
  const at = Date.parse(event.timestamp);
  assert.ok(at >= before && at <= Date.now(), event.timestamp);
});

test('each event gets its own verdict, and the offset of the stored one', async (t) => {
  const order = topicOf(t);
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const fixed = { ...order(1), timestamp: '2025-10-28T10:00:00Z' };
  const results = await chronicle.publish([
    fixed,
    fixed,
    { ...fixed, payload: { n: 2 } },
    { ...fixed, topic: 'other' },
  ]);
  const first = results[0]!.offset;
  assert.deepEqual(
    results.map(({ topic, verdict, offset }) => [topic, verdict, offset]),
    [
      [t.name, 'accepted', first],
      [t.name, 'duplicate', first],
      [t.name, 'conflict', first],
      ['other', 'accepted', first + 1],
    ],
  );
  assert.deepEqual(await chronicle.publish([]), []);
});

test('events that are published one by one are sent together and keep their order', async (t) => {
  const order = topicOf(t);
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop', batchEventsMax: 100 });
  const before = await chronicle.stats();
  const results = await Promise.all(Array.from({ length: 1000 }, (_, n) => chronicle.publish(order(n))));
  assert.deepEqual(
    results.map(({ event_id, offset }) => [event_id, offset]),
    Array.from({ length: 1000 }, (_, n) => [`order-${n}`, before.last_offset + n + 1]),
  );
  const commits = Number((await chronicle.stats())['commits']) - Number(before['commits']);
  assert.ok(commits <= 10, `${commits} commits`);
});

test('a batch leaves at its bound of events or bytes, or after its delay', async (t) => {
  const order = topicOf(t);
  const server = await ScriptedServer.start(t, accepted);
  const sizes = async (options: object, events: NewEvent[]): Promise<number[]> => {
    server.arrived.length = 0;
    await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop', ...options });
    await Promise.all(events.map((event) => chronicle.publish(event)));
    return server.arrived.map((request) => eventsIn(request).length);
  };
  const seven = Array.from({ length: 7 }, (_, n) => order(n));
  assert.deepEqual(await sizes({ batchEventsMax: 3 }, seven), [3, 3, 1]);
  assert.deepEqual(await sizes({}, seven), [7]);
  // Two of these are 6 kB in UTF-8, though half as many characters.
  const large = seven.map((event) => ({ ...event, payload: { text: 'é'.repeat(1500) } }));
  assert.deepEqual(await sizes({ batchBytesMax: 7000 }, large), [2, 2, 2, 1]);
  assert.deepEqual(
    await sizes({ batchBytesMax: 100 }, large.slice(0, 2)),
    [1, 1],
    'a larger event goes alone',
  );
});

test('what cannot be JSON is refused at once and sends nothing', async (t) => {
  const server = await ScriptedServer.start(t, accepted);
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  await assert.rejects(chronicle.publish({ topic: 'orders', payload: { big: 1n } }), TypeError);
  await chronicle.flush();
  assert.equal(server.arrived.length, 0);
});

test('a string is sent as is, and refused unless it is the text of exactly one JSON value', async () => {
  await using chronicle = new ChronicleWeaver({ url: server.url, parse: (text) => ({ text }) as never });
  const text =
    '{"timestamp":"2025-10-28","payload":{"9":1e400,"1":0.10,"big":123456789012345678901},"topic":"t","source":"s","event_id":"1"}';
  const others = ['{},{}', text.slice(1), '', '{"topic":'].map((wrong) =>
    assert.rejects(chronicle.publish(wrong), SyntaxError),
  );
  assert.equal((await chronicle.publish(text)).verdict, 'accepted');
  await Promise.all(others);
  const [read] = (await Array.fromAsync(chronicle.read({ topic: 't' }))) as unknown as { text: string }[];
  assert.equal(read?.text.replace(/,"offset":\d+,"received_at":"[^"]*"\}$/, '}'), text);
  assert.deepEqual(await chronicle.find('t', '1'), read);
});

test('an event is sent as it was at the time of the call', async (t) => {
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const payload = { n: 1 };
  const publishing = chronicle.publish({ topic: t.name, event_id: 'order-1', payload });
  payload.n = 2;
  await publishing;
  assert.deepEqual((await chronicle.find(t.name, 'order-1'))?.payload, { n: 1 });
});

test('flush sends at once and waits for every answer; after close every call is refused', async (t) => {
  const order = topicOf(t);
  const chronicle = new ChronicleWeaver({ url: server.url, source: 'shop', batchDelayMs: 60_000 });
  const first = chronicle.publish(order(1));
  const refused = chronicle.publish({ ...order(2), topic: '' });
  refused.catch(() => {});
  await chronicle.flush();
  assert.equal((await first).verdict, 'accepted');
  await assert.rejects(refused, { code: 'invalid_event' });

  const last = chronicle.publish(order(3));
  await chronicle.close();
  assert.equal((await last).verdict, 'accepted');
  await assert.rejects(chronicle.publish(order(4)), { name: 'ChronicleWeaverError', code: 'closed' });
  await assert.rejects(chronicle.stats(), { code: 'closed' });
  await chronicle.close();
});

test('a close with a signal that fires gives up whatever has no answer', async (t) => {
  const order = topicOf(t);
  const server = await ScriptedServer.start(t, () => 'silence');
  const chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const calls = [chronicle.publish(order(1)), chronicle.publish(order(2))];
  const settling = Promise.allSettled(calls);
  const reason = new Error('the deploy goes on');
  await assert.rejects(chronicle.close({ signal: AbortSignal.abort(reason) }), reason);
  for (const one of await settling) assert.equal(one.status === 'rejected' && one.reason, reason);
});

test('a full buffer makes room() wait, or refuses where whenFull says so', async (t) => {
  const order = topicOf(t);
  let answer = (): void => {};
  const held = new Promise<void>((resolve) => (answer = resolve));
  const server = await ScriptedServer.start(t, async (request) => {
    await held;
    return accepted(request);
  });
  const options = { url: server.url, source: 'shop', batchEventsMax: 2, bufferEventsMax: 4 };
  await using waiting = new ChronicleWeaver(options);
  const calls = Array.from({ length: 6 }, (_, n) => waiting.publish(order(n)));
  let hasRoom = false;
  const room = waiting.room().then(() => (hasRoom = true));
  await assert.rejects(waiting.room({ signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' });
  assert.equal(hasRoom, false);

  await using refusing = new ChronicleWeaver({ ...options, whenFull: 'reject' });
  const taken = Array.from({ length: 4 }, (_, n) => refusing.publish(order(n)));
  await assert.rejects(refusing.publish(order(4)), { code: 'buffer_full', message: 'the buffer is full' });

  answer();
  await Promise.all([...calls, ...taken, room]);
  await refusing.publish(order(5));
});

test('a publish that is given up is not sent, or its request is aborted once nobody waits for it', async (t) => {
  const order = topicOf(t);
  const server = await ScriptedServer.start(t, (request) =>
    eventsIn(request)[0]?.event_id === 'order-1' ? 'silence' : accepted(request),
  );
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop', batchDelayMs: 60_000 });
  const buffered = new AbortController();
  const neverSent = chronicle.publish(order(0), { signal: buffered.signal });
  buffered.abort();
  await assert.rejects(neverSent, { name: 'AbortError' });
  await assert.rejects(chronicle.publish(order(0), { signal: AbortSignal.abort() }), { name: 'AbortError' });

  const inFlight = new AbortController();
  const hanging = chronicle.publish(order(1), { signal: inFlight.signal });
  const flushing = chronicle.flush();
  while (server.arrived.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  inFlight.abort();
  await assert.rejects(hanging, { name: 'AbortError' });
  await flushing;

  // The request without an answer delays nobody else.
  const next = chronicle.publish(order(2));
  await chronicle.flush();
  assert.equal((await next).event_id, 'order-2');
  assert.deepEqual(
    server.arrived.flatMap((request) => eventsIn(request).map(({ event_id }) => event_id)),
    ['order-1', 'order-2'],
  );
});

test('an option that would block everything is refused', () => {
  assert.throws(
    () => new ChronicleWeaver({ url: 'http://x', concurrency: 0 }),
    /concurrency must be at least 1/,
  );
  assert.throws(() => new ChronicleWeaver({ url: 'http://x', batchEventsMax: NaN }), /batchEventsMax/);
  assert.throws(() => new ChronicleWeaver({ url: 'http://user:secret@x' }), /no query, fragment or user/);
  assert.throws(() => new ChronicleWeaver({ url: 'localhost:8000' }), /url must be http/);
  assert.throws(() => new ChronicleWeaver({ url: 'http://x', key: 'two\nlines' }), TypeError);
});

test('ids are random even in a browser without randomUUID', async (t) => {
  const server = await ScriptedServer.start(t, accepted);
  Object.defineProperty(crypto, 'randomUUID', { value: undefined, configurable: true });
  t.after(() => Reflect.deleteProperty(crypto, 'randomUUID'));
  await using chronicle = new ChronicleWeaver({ url: server.url, source: 'shop' });
  const ids = (
    await chronicle.publish(Array.from({ length: 100 }, () => ({ topic: 'orders', payload: {} })))
  ).map(({ event_id }) => event_id);
  for (const id of ids) assert.match(id, /^[\da-f]{32}$/);
  assert.equal(new Set(ids).size, 100);
});
