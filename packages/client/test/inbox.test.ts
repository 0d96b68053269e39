import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { until } from '../../../lab/program.ts';
import { ChronicleWeaver } from '../src/index.ts';
import { groupsOn } from './support/groups.ts';
import { SHOPS, type Shop } from './support/inbox-shops.ts';
import { pathOfRequest } from './support/request-path.ts';
import { sharedServer } from './support/shared-server.ts';

const TIMEOUT = { timeout: 60_000 };
const QUIET = { onError: () => {} };

const server = await sharedServer();
const groupOf = groupsOn(server);
type Group = Awaited<ReturnType<typeof groupOf>>;

const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `e-${i + 1}`);

/** A handler that must not be called. What it throws would only give its event back. */
function uncalled(t: TestContext): () => void {
  const called = t.mock.fn();
  t.after(() => assert.equal(called.mock.callCount(), 0, 'it was called again'));
  return called;
}

/** Runs the shop's inbox until the group has nothing left to do. */
async function drain(
  shop: Shop,
  { chronicle, name, drained }: Group,
  ...[options, before]: [Parameters<Shop['run']>[2]?, Parameters<Shop['run']>[3]?]
): Promise<void> {
  const stop = new AbortController();
  const running = shop.run(chronicle, name, { ...options, signal: stop.signal }, before);
  await Promise.race([running, drained()]);
  stop.abort();
  await running;
}

for (const [database, open] of SHOPS) {
  test(`${database}: each event has its effect once, noted in the same transaction`, TIMEOUT, async (t) => {
    const shop = await open(t);
    const group = await groupOf(t, 12);
    await drain(shop, group, { concurrency: 4 });
    assert.deepEqual(await shop.effects(), ids(12));
    assert.equal(await shop.balance(), 12);
    assert.deepEqual(
      await shop.notes(),
      ids(12).map((event_id, i) => ({ event_id, event_offset: group.first + i, repeats: 0 })),
    );
    const { acknowledged, deliveries } = await group.group();
    assert.deepEqual([acknowledged, deliveries], [12, 12]);
  });

  test(
    `${database}: an event that comes again is found done and acknowledged, and its handler is not called`,
    TIMEOUT,
    async (t) => {
      const called = uncalled(t);
      const shop = await open(t);
      const group = await groupOf(t, 3);
      await drain(shop, group);
      await group.chronicle.groups.seek(group.name, { offset: 'earliest' });
      await drain(shop, group, {}, called);
      assert.deepEqual(await shop.effects(), ids(3));
      assert.deepEqual(
        (await shop.notes()).map(({ repeats }) => repeats),
        [1, 1, 1],
      );
      const { acknowledged, dead } = await group.group();
      assert.deepEqual([acknowledged, dead], [6, 0]);
    },
  );

  test(
    `${database}: a throw leaves neither effect nor note, and gives the event back as consume does`,
    TIMEOUT,
    async (t) => {
      const shop = await open(t);
      const group = await groupOf(t, 3, { max_deliveries: 3 });
      const told: unknown[] = [];
      const delays: number[] = [];
      await drain(
        shop,
        group,
        {
          onError: (error, event) => told.push((error as Error).message, event?.event_id),
          nackDelayMs: (delivery) => delays.push(delivery),
        },
        ({ event_id, delivery }) => {
          if (event_id === 'e-2' || (event_id === 'e-3' && delivery === 1)) throw new Error('not now');
        },
      );
      assert.deepEqual(await shop.effects(), ['e-1', 'e-3']);
      assert.deepEqual(
        (await shop.notes()).map(({ event_id }) => event_id),
        ['e-1', 'e-3'],
      );
      assert.deepEqual(
        delays.toSorted((a, b) => a - b),
        [1, 1, 2, 3],
      );
      assert.equal(told.filter((one) => one === 'not now').length, 4);
      const { acknowledged, dead } = await group.group();
      assert.deepEqual([acknowledged, dead], [2, 1]);
    },
  );

  test(
    `${database}: events that share a transaction have one effect each, and one that fails does not take the others with it`,
    TIMEOUT,
    async (t) => {
      const shop = await open(t);
      const group = await groupOf(t, 30);
      const calls: string[] = [];
      await drain(
        shop,
        group,
        { concurrency: 16, transactionEventsMax: 8, nackDelayMs: () => 0, ...QUIET },
        ({ event_id, delivery }) => {
          calls.push(event_id);
          if (event_id === 'e-20' && delivery === 1) throw new Error('not now');
        },
      );
      assert.deepEqual(await shop.effects(), ids(30));
      assert.equal(await shop.balance(), 30);
      assert.ok(calls.length > 31, `${calls.length} calls: e-20 had a transaction with others`);
      const { acknowledged, deliveries } = await group.group();
      assert.deepEqual([acknowledged, deliveries], [30, 31]);
    },
  );

  test(
    `${database}: a row goes once it is old and its event is settled, and that of a dead event stays for its replay`,
    TIMEOUT,
    async (t) => {
      const called = uncalled(t);
      const shop = await open(t);
      const group = await groupOf(t, 4, { max_deliveries: 1 });
      const { chronicle, name, first } = group;
      // Done, but given back instead of acknowledged: the events are dead although they had their effects.
      const deaf = new ChronicleWeaver({
        url: server.url,
        fetch: (input, init) =>
          fetch(
            pathOfRequest(input).endsWith('/ack')
              ? server.url + pathOfRequest(input).replace(/ack$/, 'nack')
              : input,
            init,
          ),
      });
      const stop = new AbortController();
      const running = shop.run(deaf, name, { signal: stop.signal });
      await until(
        () => 'all are dead',
        async () => (await group.group()).dead === 4,
      );
      stop.abort();
      await running;
      await deaf.close();
      assert.deepEqual(await shop.effects(), ids(4));

      // Two of them are delivered again and settled, so only the rows of the other two may still be needed.
      await chronicle.groups.replay(name, [first, first + 2]);
      await drain(shop, group);
      const notes = (rows: Awaited<ReturnType<Shop['notes']>>) => rows.map(({ event_id }) => event_id);
      const gone = async (left: number): Promise<void> => {
        const ending = new AbortController();
        const removing = shop.run(chronicle, name, { signal: ending.signal });
        await until(
          () => `${left} rows`,
          async () => (await shop.notes()).length === left,
        );
        ending.abort();
        await removing;
      };
      await shop.age("event_id <> 'e-3'");
      await gone(3);
      assert.deepEqual(
        notes(await shop.notes()),
        ['e-2', 'e-3', 'e-4'],
        'one that is settled but young stays',
      );
      await shop.age();
      await gone(2);
      assert.deepEqual(notes(await shop.notes()), ['e-2', 'e-4']);

      await chronicle.groups.replay(name);
      await drain(shop, group, {}, called);
      assert.deepEqual(await shop.effects(), ids(4));
      await gone(0);
    },
  );

  test(
    `${database}: the row of an event that is not settled stays, however old it is`,
    TIMEOUT,
    async (t) => {
      const called = uncalled(t);
      const shop = await open(t);
      const group = await groupOf(t, 3);
      const { chronicle, name, first } = group;
      await drain(shop, group);
      await chronicle.groups.seek(name, { offset: 'earliest' });
      const [leased, ...others] = await chronicle.groups.pull(name);
      await chronicle.groups.ack(
        name,
        others.map(({ lease_id: leaseId }) => leaseId),
      );
      await shop.sql(`INSERT INTO chronicle_inbox (group_name, topic, event_id, event_offset)
                      VALUES ('${name}', 'of the past', 'e-0', ${first - 1})`);
      await shop.age();
      const stop = new AbortController();
      const running = shop.run(chronicle, name, { signal: stop.signal }, called);
      await until(
        () => 'the settled row to go',
        async () => (await shop.notes())[0]?.event_id !== 'e-0',
      );
      await chronicle.groups.nack(name, [leased!.lease_id]);
      await group.drained();
      stop.abort();
      await running;
      assert.deepEqual(await shop.effects(), ids(3));
    },
  );

  test(
    `${database}: an event that is published again after a restore of the service, at another offset, is found done`,
    TIMEOUT,
    async (t) => {
      const called = uncalled(t);
      const shop = await open(t);
      const group = await groupOf(t, 2);
      await drain(shop, group);
      // As if the events had been elsewhere in the log's former life.
      await shop.sql('UPDATE chronicle_inbox SET event_offset = event_offset + 1000');
      await group.chronicle.groups.seek(group.name, { offset: 'earliest' });
      await drain(shop, group, {}, called);
      assert.deepEqual(
        (await shop.notes()).map(({ event_offset }) => event_offset),
        [group.first, group.first + 1],
      );
    },
  );

  test(`${database}: close() ends it once the events in hand are done`, TIMEOUT, async (t) => {
    const shop = await open(t);
    const { name, group } = await groupOf(t, 5);
    const chronicle = new ChronicleWeaver({ url: server.url });
    let closing: Promise<void> | undefined;
    await shop.run(chronicle, name, {}, () => void (closing ??= chronicle.close()));
    await closing;
    const { acknowledged, in_flight } = await group();
    assert.deepEqual([acknowledged, in_flight], [(await shop.effects()).length, 0]);
  });

  test(`${database}: what is not meant as a table, or as a limit, is refused before anything happens`, async (t) => {
    const shop = await open(t);
    const { chronicle, name } = await groupOf(t, 0);
    for (const table of ['', 'a b', '1a', 'a"b', 'x;y', 'a.b.c', 'ä', 'a'.repeat(51)]) {
      await assert.rejects(shop.run(chronicle, name, { table }), TypeError, table);
    }
    await assert.rejects(shop.run(chronicle, name, { keepMs: 1000 }), RangeError);
    await assert.rejects(shop.run(chronicle, name, { transactionEventsMax: 0 }), RangeError);
    await shop.sql('CREATE TABLE another (id INTEGER)');
    await assert.rejects(shop.run(chronicle, name, { table: 'another' }), {
      code: 'inbox_table',
      message: /another table has this name/,
    });
    await assert.rejects(shop.run(chronicle, 'nobody'), { code: 'subscription_not_found' });
  });
}
