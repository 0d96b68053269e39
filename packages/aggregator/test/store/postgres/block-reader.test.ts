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

for (const order of ['asc', 'desc'] as const) {
  test(`blocks that are merged between a look and its fetch are looked for again, ${order}ending [READ-2]`, async (t) => {
    const address = await newLog();
    const merging = { eventsMax: 8, largeEvents: 6, waitingMax: 8 };
    const store = await PostgresStore.open(address, undefined, { allowsLoss: true, merging });
    t.after(() => store.close());
    for (let i = 0; i < 16; i++)
      await store.append([batchOf(...manyEvents(1, () => ({ event_id: `${i}` })))]);
    const client = await beside(t, address);
    let reads = 0;
    const blocks = new BlockReader({
      read: async (work) => {
        reads += 1;
        if (reads === 2) await store.merge();
        return work(client);
      },
    });
    const offsets: number[] = [];
    // From the middle of one merged block to that of the other.
    const query = { order, after: order === 'asc' ? 3 : 13, upTo: 12 };
    for await (const { first, last } of blocks.of(query, undefined)) {
      const part = Array.from({ length: last - first + 1 }, (_, i) => first + i);
      offsets.push(...(order === 'asc' ? part : part.toReversed()));
    }
    const expected = Array.from({ length: 12 }, (_, i) => i + 1);
    assert.deepEqual(offsets, order === 'asc' ? expected.slice(3) : expected.toReversed());
    assert.ok(reads > 3, 'it looked again');
  });
}

test('events here and there are found by one look and one fetch, in merged blocks and in others [READ-2]', async (t) => {
  const address = await newLog();
  const merging = { eventsMax: 8, largeEvents: 6, waitingMax: 8 };
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true, merging });
  t.after(() => store.close());
  const append = async (from: number, to: number, events: number): Promise<void> => {
    for (let i = from; i < to; i++)
      await store.append([batchOf(...manyEvents(events, (n) => ({ event_id: `${i}-${n}` })))]);
  };
  // Three merged ones: two of small ones, and a large one as it was.
  await append(0, 16, 1);
  await append(16, 17, 20);
  await append(17, 18, 1);
  await store.merge();
  await append(18, 40, 2);
  const client = await beside(t, address);
  let [reads, isMerged] = [0, false];
  const blocks = new BlockReader({
    read: async (work) => {
      reads += 1;
      if (reads === 2 && isMerged) await store.merge();
      return work(client);
    },
  });
  const read = async (...offsets: number[]): Promise<number[]> => {
    reads = 0;
    const found: number[] = [];
    for await (const { block, held } of blocks.holding(offsets)) {
      assert.ok(held.every((offset) => offset >= block.firstOffset && offset <= block.lastOffset));
      found.push(...held);
    }
    return found;
  };
  const some = [1, 8, 9, 9, 17, 36, 37, 38, 39, 40, 60, 81];
  assert.deepEqual(await read(...some), some);
  assert.equal(reads, 2);
  assert.deepEqual(await read(8, 81), [8, 81]);
  assert.equal(reads, 1, 'their blocks are kept');
  blocks.forget();
  isMerged = true;
  assert.deepEqual(await read(...some), some);
  assert.ok(reads > 3, 'it looked again for those that were merged meanwhile');
  await assert.rejects(read(1, 82, 83), /there is no block with offset 82/);
  await client.query('DELETE FROM merged_block WHERE first_offset = 9');
  blocks.forget();
  await assert.rejects(read(8, 9, 17), /there is no block with offset 9/);
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

/** A log with appends of 1000 events each, of 2 MB, which pack to a hundredth. */
async function packedLog(t: TestContext, count: number): Promise<Client> {
  const address = await newLog();
  const store = await PostgresStore.open(address, undefined, { allowsLoss: true });
  t.after(() => store.close());
  const payload = { message: 'x'.repeat(2000) };
  for (let i = 0; i < count; i++) {
    const events = manyEvents(1000, (n) => ({ event_id: `${i}-${n}`, payload }));
    await store.append([batchOf(...events)]);
  }
  return beside(t, address);
}

test('texts that pack well are fetched once, not for each of their pages [READ-2]', async (t) => {
  const client = await packedLog(t, 10);
  let reads = 0;
  const blocks = new BlockReader({
    read: (work) => {
      reads += 1;
      return work(client);
    },
  });
  let pages = 0;
  for (let after = 0; after < 10_000; pages++) {
    after = await blocks.during(async () => {
      const end = after + 125;
      for await (const { block, last } of blocks.of({ order: 'asc', after, upTo: 10_000 }, undefined)) {
        block.text(0);
        if (last >= end) break;
      }
      return end;
    });
  }
  assert.equal(pages, 80);
  const { rows } = await client.query<{ count: number }>('SELECT count(*)::int FROM block');
  const fetches = reads - pages;
  // Each page looks for its blocks. The first fetch cannot know how the texts pack.
  assert.ok(fetches <= rows[0]!.count + 1, `${fetches} fetches of ${rows[0]!.count} blocks`);
});

test('memory of blocks is freed when they are forgotten, but not while a read may hold them [READ-2]', async (t) => {
  const client = await packedLog(t, 12);
  const blocks = new BlockReader({ read: (work) => work(client) });
  const first = async (after: number) => {
    for await (const { block } of blocks.of({ order: 'asc', after, upTo: 12_000 }, undefined)) return block;
    throw new Error('there is no block');
  };
  const readAll = async (): Promise<void> => {
    for (let after = 0; after < 12_000; after += 1000)
      await blocks.during(async () => (await first(after)).text(0).length);
  };
  await blocks.during(async () => {
    const held = await first(0);
    await readAll();
    assert.equal(partText(eventsAt(held, [0]), 0, EVENT_ID), '0-0');
  });
  const left = await blocks.during(() => first(0));
  assert.notEqual(left.text(0).length, 0, 'what is kept is not freed');
  await readAll();
  assert.throws(() => left.text(0), /detached/);
});
