import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { SeededRandom } from '../../../lab/random.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { ChronicleWeaver, type StoredEvent, type SubscribeQuery } from '../src/index.ts';
import { CuttingProxy } from './support/cutting-proxy.ts';

const FAST = { backoffMinMs: 1, backoffMaxMs: 20, source: 'shop' };

test(
  'followers whose connections break at random under load see the same events in the same order as GET /events [STR-1, STR-4]',
  { timeout: 60_000 },
  async (t) => {
    const server = await TestServer.start(t);
    const proxy = await CuttingProxy.start(t, () => server.url);
    const random = new SeededRandom(1);
    await using publisher = new ChronicleWeaver({ ...FAST, url: server.url, batchEventsMax: 7 });
    await using follower = new ChronicleWeaver({ ...FAST, url: proxy.url });

    const LAST = 'last';
    const follow = async (query: SubscribeQuery): Promise<StoredEvent[]> => {
      const seen: StoredEvent[] = [];
      for await (const event of follower.subscribe(query)) {
        if (event.event_id === LAST) break;
        seen.push(event);
      }
      return seen;
    };
    const all = follow({ after: 'earliest' });
    const some = follow({ topics: ['orders.*', 'end'], after: 0 });

    const done = new AbortController();
    const cutting = async (): Promise<void> => {
      while (!done.signal.aborted) {
        await sleep(random.whole(0, 15));
        proxy.cut();
      }
    };
    const publishing = async (): Promise<void> => {
      for (let round = 0; round < 16; round++) {
        await Promise.all(
          Array.from({ length: 25 }, (_, i) =>
            publisher.publish({ topic: ['orders.eu', 'orders.us', 'users'][i % 3]!, payload: { round, i } }),
          ),
        );
      }
      done.abort();
      await publisher.publish({ topic: 'end', event_id: LAST, payload: {} });
    };
    await Promise.all([publishing(), cutting()]);

    const stored = (await Array.fromAsync(publisher.read())).slice(0, -1);
    assert.equal(stored.length, 400);
    assert.deepEqual(await all, stored);
    assert.deepEqual(
      await some,
      stored.filter(({ topic }) => topic.startsWith('orders.')),
    );
    t.diagnostic(`${proxy.cuts} cuts`);
    assert.ok(proxy.cuts > 5);
  },
);

test(
  'a follower of new events misses none when the service restarts [STR-5]',
  { timeout: 60_000 },
  async (t) => {
    const server = await TestServer.start(t);
    const proxy = await CuttingProxy.start(t, () => server.url);
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    await using chronicle = new ChronicleWeaver({
      ...FAST,
      url: proxy.url,
      async fetch(input, init) {
        const response = await fetch(input, init);
        if (!response.url.includes('/stream')) return response;
        // The first piece says where the stream begins.
        const reader = response.clone().body!.getReader();
        await reader.read();
        void reader.cancel();
        begin();
        return response;
      },
    });
    await chronicle.publish({ topic: 'orders', event_id: 'before', payload: {} });
    const stream = chronicle.subscribe();
    const first = stream.next();
    await begun;
    await server.restart();
    await chronicle.publish({ topic: 'orders', event_id: 'after', payload: {} });
    assert.equal((await first).value?.event_id, 'after');
    await stream.return();
  },
);
