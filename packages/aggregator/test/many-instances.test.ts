import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TestContext, test } from 'node:test';
import { STORE } from '../../../lab/test-store.ts';
import { ManyInstances } from '../src/store/memory/many-instances.ts';
import { eventWith, manyEvents } from './support/events.ts';
import { PostgresStore } from '../src/store/postgres/store.ts';
import type { EventStore } from '../src/store/event-store.ts';
import { newLog } from './support/postgres-server.ts';
import { Group } from './support/group.ts';
import { Receiver, SECRET } from './support/receiver.ts';
import { TestServer, problemIn } from './support/server.ts';
import { StreamReader } from './support/stream-reader.ts';

// Several services on one truth, as behind a load balancer. Each is the whole service.

const PRIVATE = { WEBHOOK_ALLOW_PRIVATE: 'true' };

/** What instances can share: a maker of one, which gives what opens it. */
type Truth = () => Promise<() => EventStore | Promise<EventStore>>;

const TRUTHS: Readonly<Record<typeof STORE, Truth>> = {
  sqlite: async () => {
    // A file has one instance: what behaves like a store of many is in memory.
    const truth = new ManyInstances();
    return () => truth.open();
  },
  postgres: async () => {
    const address = await newLog();
    return () => PostgresStore.open(address, undefined, { allowsLoss: true });
  },
};

async function services(t: TestContext, count: number, truth: Truth): Promise<TestServer[]> {
  const open = await truth();
  const timing = { retryMs: [20] } as const;
  return Promise.all(Array.from({ length: count }, () => TestServer.startOn(t, open, PRIVATE, timing)));
}

async function until(what: string, probe: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 60_000;
  while (!(await probe())) {
    assert.ok(performance.now() < giveUpAt, `not within 60 s: ${what}`);
    await sleep(2);
  }
}

/** Tests a behaviour of services on the truth of this run. */
function suite(behaviour: string, run: (t: TestContext, truth: Truth) => Promise<void>): void {
  test(behaviour, (t) => run(t, TRUTHS[STORE]));
}

suite(
  'an event published on any instance is stored once, and followers of all see one order [P-2, P-4, STR-1]',
  async (t, truth) => {
    const all = await services(t, 3, truth);
    const readers = await Promise.all(
      all.map(({ url }, i) =>
        StreamReader.open(`${url}/events/stream?after=earliest${i === 1 ? '&topic=a' : ''}`),
      ),
    );
    const EVENTS = 60;
    // Everybody publishes the same events, each in a different order.
    const verdicts = await Promise.all(
      all.map(async (server, place) => {
        let accepted = 0;
        for (let i = 0; i < EVENTS; i++) {
          const n = (i * 7 + place * 20) % EVENTS;
          const answer = await server.publish(
            eventWith({ event_id: `e-${n}`, topic: n % 3 === 0 ? 'a' : 'b' }),
          );
          accepted += answer.accepted;
        }
        return accepted;
      }),
    );
    assert.equal(
      verdicts.reduce((sum, accepted) => sum + accepted),
      EVENTS,
    );
    const [first, onlyA, third] = readers as [StreamReader, StreamReader, StreamReader];
    await Promise.all([first.until(EVENTS), onlyA.until(EVENTS / 3), third.until(EVENTS)]);
    assert.deepEqual(
      first.offsets,
      Array.from({ length: EVENTS }, (_, i) => i + 1),
    );
    assert.deepEqual(third.texts, first.texts);
    assert.deepEqual(
      onlyA.texts,
      first.texts.filter((text) => text.includes('"topic":"a"')),
    );
    for (const server of all) assert.equal((await server.stats()).unique_processed, EVENTS);
    for (const server of all) {
      // A cursor from another instance is valid here, whether or not its news has arrived.
      const [last] = (await server.publish(eventWith({ event_id: `last of ${server.url}` }))).results!;
      const next = await StreamReader.open(`${all[0]!.url}/events/stream?after=${last!.offset}`);
      await server.publish(eventWith({ event_id: `after it, of ${server.url}` }));
      await next.until(1);
      await next.cut();
    }
    for (const reader of readers) await reader.cut();
  },
);

suite(
  'workers on all instances share a group, and each event is acknowledged once [GRP-4, GRP-5, GRP-7]',
  async (t, truth) => {
    const all = await services(t, 3, truth);
    const groups = all.map(({ url }) => new Group(url));
    await groups[0]!.make({ topics: ['orders'] });
    const EVENTS = 90;
    const seen: number[] = [];
    const worker = async (group: Group): Promise<void> => {
      while (seen.length < EVENTS / 2) {
        const events = await group.pull({ max: 7, wait_ms: 300 });
        seen.push(...events.map(({ offset }) => offset));
        if (events.length > 0) await group.acknowledge(events);
      }
      assert.deepEqual(await group.pull({ wait_ms: 300 }), []);
    };
    const work = Promise.all(groups.map(worker));
    for (let i = 0; i < EVENTS; i++) {
      await all[i % 3]!.publish(eventWith({ event_id: `e-${i}`, topic: i % 2 === 0 ? 'orders' : 'other' }));
    }
    await work;
    assert.equal(seen.length, EVENTS / 2, 'no event is delivered twice');
    assert.deepEqual(seen.toSorted((a, b) => a - b), [...new Set(seen)].toSorted((a, b) => a - b)); // prettier-ignore
    for (const group of groups) {
      const { acknowledged, lag, cursor } = await group.view();
      assert.deepEqual({ acknowledged, lag }, { acknowledged: EVENTS / 2, lag: 0 });
      assert.ok(cursor >= EVENTS - 1);
    }
  },
);

suite(
  'a lease given on one instance is settled on another, and an event given back goes to any waiting worker [GRP-8, GRP-9]',
  async (t, truth) => {
    const [here, there] = (await services(t, 2, truth)).map((server) => ({
      server,
      group: new Group(server.url),
    }));
    await here!.group.make({ lease_ms: 2000 });
    await there!.server.publish(...manyEvents(3));
    const held = await here!.group.pull({ max: 3, wait_ms: 5000 });
    assert.equal(held.length, 3);
    const waiting = here!.group.pull({ max: 1, wait_ms: 10_000 });
    await there!.group.acknowledge(held.slice(0, 1));
    await there!.group.giveBack(held.slice(1, 2));
    const [returned] = await waiting;
    assert.deepEqual([returned!.offset, returned!.delivery], [2, 2]);
    // The worker with the third event is gone; its lease runs out by the store's clock.
    const [last] = await there!.group.pull({ max: 1, wait_ms: 15_000 });
    assert.deepEqual([last!.offset, last!.delivery], [3, 2]);
  },
);

suite(
  'a group deleted on one instance is gone on all, and a new group with its name is a different one [GRP-16]',
  async (t, truth) => {
    const [here, there] = (await services(t, 2, truth)).map((server) => ({
      server,
      group: new Group(server.url),
    }));
    await here!.group.make({ topics: ['a'] });
    await there!.server.publish(eventWith({ topic: 'a' }));
    const [old] = await there!.group.pull({ wait_ms: 5000 });
    const waiting = there!.group.post('pull', { wait_ms: 20_000 });
    await until('the pull waits', async () => (await there!.group.view()).in_flight === 1);
    assert.equal((await here!.group.delete()).status, 204);
    await problemIn(await waiting, 404, 'subscription_not_found');
    await problemIn(await here!.group.post('pull', {}), 404, 'subscription_not_found');
    await here!.group.make({ topics: ['a'] });
    // The news may not have arrived: that instance must not trust what it knows of the old group.
    const [again] = await there!.group.pull({ wait_ms: 5000 });
    assert.deepEqual([again!.offset, again!.delivery], [1, 1]);
    const late = await there!.group.post('ack', { lease_ids: [old!.lease_id] });
    await problemIn(late, 409, 'lease_unknown');
  },
);

suite(
  "one instance at a time sends a webhook's events, and another continues where it stops [HOOK-3, HOOK-4]",
  async (t, truth) => {
    const all = await services(t, 3, truth);
    const receiver = await Receiver.start(t);
    const group = new Group(all[1]!.url, 'hook');
    await group.make({ push: { url: receiver.url, secret: SECRET } });
    const EVENTS = 30;
    for (let i = 0; i < EVENTS; i++) await all[i % 3]!.publish(eventWith({ event_id: `e-${i}` }));
    await until('all are sent', () => receiver.received.length >= EVENTS);
    assert.deepEqual(
      receiver.offsets,
      Array.from({ length: EVENTS }, (_, i) => i + 1),
    );
    assert.equal(new Set(receiver.received.map(({ id }) => id)).size, EVENTS);

    // Either one of these two sends them, or the third continues at once.
    await all[0]!.close();
    await all[1]!.restart();
    for (let i = 0; i < EVENTS; i++) await all[2]!.publish(eventWith({ event_id: `f-${i}` }));
    await until('the rest is sent', () => receiver.received.length >= 2 * EVENTS);
    assert.deepEqual(
      receiver.offsets,
      Array.from({ length: 2 * EVENTS }, (_, i) => i + 1),
    );
    assert.equal(receiver.faults.length, 0);
  },
);

suite(
  'an instance that starts while another sends an event does not send it, too [HOOK-3, HOOK-4]',
  async (t, truth) => {
    const open = await truth();
    const start = () => TestServer.startOn(t, open, PRIVATE);
    const first = await start();
    let answer = (): void => {};
    const receiver = await Receiver.start(t, ({ event }) =>
      event.offset > 1 ? 200 : (response) => (answer = () => response.writeHead(200).end()),
    );
    const group = new Group(first.url, 'hook');
    await group.make({ push: { url: receiver.url, secret: SECRET } });
    await first.publish(...manyEvents(2));
    await until('the first is on its way', () => receiver.received.length === 1);
    const second = await start();
    // It looks for something to send as soon as it knows the group.
    await second.publish(eventWith({ event_id: 'another' }));
    await until(
      'the second knows the group',
      async () => (await new Group(second.url, 'hook').view()).lag === 3,
    );
    await sleep(100);
    assert.deepEqual(receiver.offsets, [1]);
    answer();
    await until('all are sent', () => receiver.received.length === 3);
    assert.deepEqual(receiver.offsets, [1, 2, 3]);
  },
);

suite('a paused webhook continues when any instance is asked to resume it [HOOK-7]', async (t, truth) => {
  const all = await services(t, 3, truth);
  let isGone = true;
  const receiver = await Receiver.start(t, () => (isGone ? 410 : 200));
  await new Group(all[0]!.url, 'hook').make({ push: { url: receiver.url, secret: SECRET } });
  await all[0]!.publish(eventWith());
  const views = all.map(({ url }) => new Group(url, 'hook'));
  await until('it is paused', async () => (await views[2]!.view()).push?.state === 'paused');
  isGone = false;
  assert.equal((await views[1]!.post('resume')).status, 200);
  await until('it is sent', async () => (await views[1]!.view()).acknowledged === 1);
  assert.equal(new Set(receiver.received.map(({ id }) => id)).size, 1);
});
