import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Client } from 'pg';
import { EVENT_ID, partText } from '../../../src/event/event-batch.ts';
import { eventsAt } from '../../../src/store/blocks/block-events.ts';
import { BlockReader } from '../../../src/store/postgres/block-reader.ts';
import { FirstKept } from '../../../src/store/postgres/kept.ts';
import { topicCounts } from '../../../src/store/postgres/topic-counts.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, manyEvents } from '../../support/events.ts';
import { beside, newLog } from '../../support/postgres-server.ts';

test('a read finds its blocks though another one has what was kept forgotten meanwhile [READ-2]', async (t) => {
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true });
  t.after(() => store.close());
  for (let i = 0; i < 3; i++)
    await store.append([batchOf(...manyEvents(2, (n) => ({ event_id: `${i}-${n}` })))]);
  const client = await beside(t, address);
  let reads = 0;
  const blocks: BlockReader = new BlockReader({
    read: async (work) => {
      reads += 1;
      // After both looks, and the fetch of the first block.
      if (reads === 4) blocks.forget();
      return work(client);
    },
  });
  const read = async (upTo: number): Promise<number[]> => {
    const firsts: number[] = [];
    for await (const { first } of blocks.of({ order: 'asc', after: 0, upTo }, undefined)) firsts.push(first);
    return firsts;
  };
  assert.deepEqual(await read(2), [1]);
  assert.deepEqual(await read(6), [1, 3, 5]);
  assert.equal(reads, 4);
});

/** A connection to a log with these appends, each of these topics. */
async function logOf(t: TestContext, name: string, ...appends: readonly string[][]): Promise<Client> {
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true });
  t.after(() => store.close());
  for (const [i, topics] of appends.entries()) {
    const events = manyEvents(topics.length, (n) => ({ topic: topics[n]!, event_id: `${name}-${i}-${n}` }));
    await store.append([batchOf(...events)]);
  }
  return beside(t, address);
}

test('a read under way when the log goes back leaves nothing of it to those that come later [EPO-4]', async (t) => {
  const before = await logOf(t, 'before', ['a', 'a'], ['a', 'a']);
  const after = await logOf(t, 'after', ['a', 'a'], ['a', 'a']);
  let [client, reads] = [before, 0];
  const blocks: BlockReader = new BlockReader({
    read: async (work) => {
      reads += 1;
      // The session was lost, and the next one begins at another server.
      if (reads === 4) {
        blocks.forget();
        client = after;
      }
      return work(client);
    },
  });
  const read = async (upTo: number): Promise<string[]> => {
    const ids: string[] = [];
    for await (const { block } of blocks.of({ order: 'asc', after: 0, upTo }, undefined)) {
      const events = eventsAt(block, [0, 1]);
      ids.push(partText(events, 0, EVENT_ID), partText(events, 1, EVENT_ID));
    }
    return ids;
  };
  assert.deepEqual(await read(2), ['before-0-0', 'before-0-1']);
  await read(4);
  assert.ok(reads >= 4, 'the log went back');
  assert.deepEqual(await read(4), ['after-0-0', 'after-0-1', 'after-1-0', 'after-1-1']);
});

test('where a topic begins is not remembered from a log that has gone back meanwhile [EPO-4]', async (t) => {
  const before = await logOf(t, 'before', ['a', 'a'], ['b']);
  const after = await logOf(t, 'after', ['c', 'd']);
  let [client, isLost] = [before, false];
  const firsts: FirstKept = new FirstKept({
    read: async (work) => {
      const result = await work(client);
      if (isLost && client === before) {
        firsts.forget();
        client = after;
      }
      return result;
    },
  });
  const counts = await topicCounts(before, undefined);
  const [a, b] = counts;
  await firsts.of([a!]);
  isLost = true;
  await firsts.of([b!]);
  const [c, d] = await topicCounts(after, undefined);
  assert.deepEqual([c!.topicId, d!.topicId], [a!.topicId, b!.topicId], 'both logs have given the same ids');
  assert.deepEqual([...(await firsts.of([c!, d!])).values()], [1, 2]);
});
