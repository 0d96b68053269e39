import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { until } from '../../../lab/program.ts';
import { SeededRandom } from '../../../lab/random.ts';
import { manyEvents } from '../../aggregator/test/support/events.ts';
import { ChronicleWeaver, type ConsumeOptions, type Handler } from '../src/index.ts';
import { sharedServer } from './support/shared-server.ts';
import { CuttingProxy } from './support/cutting-proxy.ts';
import { groupsOn } from './support/groups.ts';

const FAST = { backoffMinMs: 1, backoffMaxMs: 20, source: 'shop' };
const TIMEOUT = { timeout: 60_000 };

const server = await sharedServer();
const groupOf = groupsOn(server);

test(
  'events whose handler resolves are acknowledged, one at a time in order [GRP-6, GRP-7]',
  TIMEOUT,
  async (t) => {
    const { first, group, drain } = await groupOf(t, 20);
    const handled: string[] = [];
    await drain(({ event_id, delivery }) => {
      assert.equal(delivery, 1);
      handled.push(event_id);
    });
    assert.deepEqual(
      handled,
      manyEvents(20).map(({ event_id }) => event_id),
    );
    const { cursor, acknowledged, deliveries, in_flight } = await group();
    assert.deepEqual(
      { cursor, acknowledged, deliveries, in_flight },
      { cursor: first + 19, acknowledged: 20, deliveries: 20, in_flight: 0 },
    );
  },
);

test('as many events as `concurrency` says are handled at once, and no more', TIMEOUT, async (t) => {
  const { drain } = await groupOf(t, 60);
  let [working, most] = [0, 0];
  const full = Promise.withResolvers<void>();
  await drain(
    async () => {
      most = Math.max(most, ++working);
      if (most === 8) full.resolve();
      await full.promise;
      // For one too many to come.
      await sleep(20);
      working--;
    },
    { concurrency: 8 },
  );
  assert.equal(most, 8);
});

test(
  'an event whose handler throws is delivered again, is dead after its last delivery, and can be replayed [GRP-9, GRP-12, GRP-13]',
  TIMEOUT,
  async (t) => {
    const { chronicle, name, first, group, drain } = await groupOf(t, 3, { max_deliveries: 2 });
    const seen: [string, number][] = [];
    const told: unknown[] = [];
    const failure = new Error('not today');
    const handler: Handler = ({ event_id, delivery }) => {
      seen.push([event_id, delivery]);
      if (event_id === 'e-2') throw failure;
    };
    const options: ConsumeOptions = {
      nackDelayMs: (delivery) => delivery,
      onError: (error, event) => told.push([error, event?.event_id]),
    };
    await drain(handler, options);
    assert.deepEqual(
      seen.toSorted(([a, i], [b, j]) => a.localeCompare(b) || i - j),
      [
        ['e-1', 1],
        ['e-2', 1],
        ['e-2', 2],
        ['e-3', 1],
      ],
    );
    assert.deepEqual(told, [
      [failure, 'e-2'],
      [failure, 'e-2'],
    ]);
    const dead = await Array.fromAsync(chronicle.groups.dead(name));
    assert.deepEqual(
      dead.map((event) => [event.expired ? null : event.event_id, event.deliveries, event.reason]),
      [['e-2', 2, 'given_back']],
    );

    assert.deepEqual(await chronicle.groups.replay(name, [first, first + 1, first + 2]), {
      replayed: 1,
      dead: 0,
    });
    const again: string[] = [];
    await drain(({ event_id }) => void again.push(event_id));
    assert.deepEqual(again, ['e-2']);
    assert.equal((await group()).dead, 0);
  },
);

test(
  'an onError that throws ends the consumer, which rejects with that once what it has in hand is done [GRP-9]',
  TIMEOUT,
  async (t) => {
    const { chronicle, name, group } = await groupOf(t, 20);
    const enough = new Error('enough');
    let [working, begun, done] = [0, 0, 0];
    const handler = async (): Promise<void> => {
      begun += 1;
      working += 1;
      try {
        // Another one is in hand.
        if (working === 2) throw new Error('not today');
        await sleep(50);
        done += 1;
      } finally {
        working -= 1;
      }
    };
    const onError = (): void => {
      throw enough;
    };
    await assert.rejects(
      chronicle.consume(name, handler, { concurrency: 2, onError }),
      (error) => error === enough,
    );
    assert.ok(done > 0, 'one was in hand');
    assert.equal(begun, done + 1);
    const { acknowledged, in_flight, returned } = await group();
    assert.deepEqual(
      { acknowledged, in_flight, returned },
      { acknowledged: done, in_flight: 0, returned: 1 },
    );
  },
);

test('a nackDelayMs that throws is told to onError', TIMEOUT, async (t) => {
  const { chronicle, name } = await groupOf(t, 1);
  const told: unknown[] = [];
  const stop = new AbortController();
  const wrong = new Error('no delay');
  await chronicle.consume(
    name,
    () => {
      throw new Error('not today');
    },
    {
      signal: stop.signal,
      nackDelayMs: () => {
        throw wrong;
      },
      onError: (error) => {
        told.push(error);
        if (error === wrong) stop.abort();
      },
    },
  );
  assert.deepEqual(told.map(String), ['Error: not today', 'Error: no delay']);
});

test('a handler that takes longer than its lease keeps it [GRP-10]', TIMEOUT, async (t) => {
  const { first, group, drain } = await groupOf(t, 2, { lease_ms: 2000 });
  const seen: number[] = [];
  await drain(
    async ({ offset }, { signal }) => {
      seen.push(offset);
      await sleep(3500);
      assert.equal(signal.aborted, false);
    },
    { concurrency: 2 },
  );
  assert.deepEqual(seen, [first, first + 1]);
  assert.equal((await group()).redeliveries, 0);
});

test(
  'a handler that gives up because its lease is lost does not give the event back [GRP-11]',
  TIMEOUT,
  async (t) => {
    const { chronicle, name, drain } = await groupOf(t, 1, { lease_ms: 1500 });
    const told: unknown[] = [];
    let isFirst = true;
    await drain(
      async (_event, { signal }) => {
        if (!isFirst) return;
        isFirst = false;
        await chronicle.groups.seek(name, { offset: 'earliest' });
        await until(
          () => 'the loss to be told',
          () => signal.aborted,
        );
        throw new Error('given up');
      },
      { onError: (error) => told.push(error) },
    );
    // From the extension and from the handler. Giving back a lost lease would be refused, and reported here as well.
    assert.deepEqual(
      told.map((error) => (error as { code?: string }).code ?? (error as Error).message),
      ['lease_expired', 'given up'],
    );
  },
);

test('the handler and onError learn of a lost lease [GRP-11, GRP-14]', TIMEOUT, async (t) => {
  const { chronicle, name, drain } = await groupOf(t, 1, { lease_ms: 1500 });
  const told: unknown[] = [];
  const reasons: unknown[] = [];
  await drain(
    async ({ delivery }, { signal }) => {
      if (delivery > 1 || reasons.length > 0) return;
      await chronicle.groups.seek(name, { offset: 'earliest' });
      await until(
        () => 'the loss to be told',
        () => signal.aborted,
      );
      reasons.push(signal.reason);
    },
    { onError: (error) => told.push(error) },
  );
  assert.ok(reasons.length === 1);
  assert.deepEqual((reasons[0] as { code: string }).code, 'lease_expired');
  // From the extension, and from the acknowledgement after the handler finished all the same.
  assert.deepEqual(
    told.map((error) => (error as { code: string }).code),
    ['lease_expired', 'lease_expired'],
  );
});

test(
  'a signal or a close lets running handlers finish, and acknowledges their events',
  TIMEOUT,
  async (t) => {
    const { name, group } = await groupOf(t, 10);
    for (const end of ['signal', 'close'] as const) {
      const worker = new ChronicleWeaver({ ...FAST, url: server.url });
      const stop = new AbortController();
      let [begun, finished] = [0, 0];
      let finish = (): void => {};
      const held = new Promise<void>((resolve) => (finish = resolve));
      const consuming = worker.consume(
        name,
        async () => {
          begun++;
          await held;
          finished++;
        },
        { concurrency: 2, signal: stop.signal },
      );
      await until(
        () => 'two handlers',
        () => begun === 2,
      );
      const before = (await group()).acknowledged;
      const closing = end === 'close' ? worker.close() : stop.abort();
      finish();
      await Promise.all([consuming, closing]);
      assert.deepEqual([begun, finished, (await group()).acknowledged - before], [2, 2, 2]);
      await worker.close();
    }
  },
);

test(
  'two workers whose connections keep breaking handle every event and acknowledge it once [GRP-8, GRP-17]',
  TIMEOUT,
  async (t) => {
    const { name, first, group, drained } = await groupOf(t, 300, { lease_ms: 1000, max_deliveries: 1000 });
    const proxy = await CuttingProxy.start(t, () => server.url);
    const random = new SeededRandom(7);
    const done = new Map<number, number>();
    const stop = new AbortController();
    const workers = [1, 2].map(() => new ChronicleWeaver({ ...FAST, url: proxy.url }));
    const consuming = workers.map((worker) =>
      worker.consume(
        name,
        async ({ offset }) => {
          await sleep(random.whole(0, 3));
          if (random.chance(0.05)) throw new Error('now and then');
          done.set(offset, (done.get(offset) ?? 0) + 1);
        },
        { concurrency: 10, signal: stop.signal, nackDelayMs: () => 0, onError: () => {} },
      ),
    );
    const cutting = async (): Promise<void> => {
      while (proxy.cuts < 20) {
        await sleep(random.whole(0, 20));
        proxy.cut();
      }
    };
    await cutting();
    await drained();
    stop.abort();
    await Promise.all(consuming);
    await Promise.all(workers.map((worker) => worker.close()));
    assert.equal(done.size, 300);
    const { acknowledged, dead, cursor } = await group();
    assert.deepEqual({ acknowledged, dead, cursor }, { acknowledged: 300, dead: 0, cursor: first + 299 });
  },
);

test(
  'a group that does not exist, or is deleted, ends its consumer with an error code [GRP-1, GRP-16]',
  TIMEOUT,
  async (t) => {
    const { chronicle, name } = await groupOf(t, 0);
    const nothing: Handler = () => {};
    await assert.rejects(chronicle.consume('nobody', nothing), {
      code: 'subscription_not_found',
      status: 404,
    });
    const consuming = chronicle.consume(name, nothing);
    // The refusal can arrive before the answer to the deletion.
    const refused = assert.rejects(consuming, { code: 'subscription_not_found' });
    await sleep(50);
    await chronicle.groups.delete(name);
    await refused;
  },
);

test('once it has ended, nothing is told of an extension that had no answer yet', TIMEOUT, async (t) => {
  const { name, drained } = await groupOf(t, 1, { lease_ms: 600 });
  const asked = Promise.withResolvers<void>();
  const chronicle = new ChronicleWeaver({
    ...FAST,
    url: server.url,
    fetch: async (input, init) => {
      if (!new Request(input).url.endsWith('/extend')) return fetch(input, init);
      asked.resolve();
      return new Promise((_, reject) => {
        init!.signal!.addEventListener('abort', () => reject(init!.signal!.reason));
      });
    },
  });
  const told: unknown[] = [];
  const stop = new AbortController();
  const onError = (error: unknown) => told.push(error);
  const consuming = chronicle.consume(name, () => asked.promise, { signal: stop.signal, onError });
  await drained();
  stop.abort();
  await consuming;
  await chronicle.close();
  await sleep(10);
  assert.deepEqual(told, []);
});
