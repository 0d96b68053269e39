import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredEvent } from '@chronicleweaver/protocol';
import { ACCEPTED, CONFLICT, DUPLICATE, StoreError } from '../../src/store/event-store.ts';
import { batchOf, eventWith, manyEvents } from '../support/events.ts';
import { all, storeSuites } from '../support/store-suites.ts';
import { STORES, storeFolders } from '../support/stores.ts';

test('every store runs this suite', () => {
  for (const folder of storeFolders()) assert.ok(folder in STORES, `${folder} is not in support/stores.ts`);
});

for (const suite of storeSuites()) {
  suite('an empty store has empty books', async (store) => {
    const stats = await store.stats();
    assert.deepEqual(
      { ...stats, storedBytes: 0, walBytes: 0 },
      {
        received: 0,
        accepted: 0,
        duplicates: 0,
        conflicts: 0,
        expired: 0,
        bare: 0,
        forgotten: 0,
        firstOffset: 0,
        lastOffset: 0,
        topics: [],
        storedBytes: 0,
        walBytes: 0,
      },
    );
    assert.deepEqual(await store.topics(), []);
    assert.equal((await all(store)).length, 0);
    assert.equal(await store.find('orders', 'e-1'), undefined);
  });

  suite('events get offsets from 1 in the order they came [P-4]', async (store) => {
    const [first, second] = await store.append([
      batchOf(...manyEvents(3)),
      batchOf(eventWith({ event_id: 'x' })),
    ]);
    assert.deepEqual([...first!.offsets], [1, 2, 3]);
    assert.deepEqual([...second!.offsets], [4]);
    assert.deepEqual(first!.verdicts, Uint8Array.of(ACCEPTED, ACCEPTED, ACCEPTED));
    const events = await all(store);
    assert.deepEqual(
      events.map(({ offset, event_id }) => [offset, event_id]),
      [[1, 'e-1'], [2, 'e-2'], [3, 'e-3'], [4, 'x']], // prettier-ignore
    );
  });

  suite('an append returns the received_at of its events [READ-1]', async (store) => {
    const [first] = await store.append([batchOf(eventWith())]);
    const [kept] = await all(store);
    assert.equal(new Date(first!.receivedMs).toISOString(), kept!.received_at);
  });

  suite('commit times never go back with the clock [READ-1]', async (store, clock) => {
    await store.append([batchOf(eventWith({ event_id: 'before' }))]);
    const beforeMs = clock.ms;
    clock.ms -= 60_000;
    const [set] = await store.append([batchOf(eventWith({ event_id: 'set back' }))]);
    assert.equal(set!.receivedMs, beforeMs);
    clock.ms += 61_000;
    const [later] = await store.append([batchOf(eventWith({ event_id: 'later' }))]);
    assert.equal(later!.receivedMs, beforeMs + 1000);
    assert.deepEqual(
      (await all(store)).map(({ received_at: at }) => Date.parse(at)),
      [beforeMs, beforeMs, beforeMs + 1000],
    );
  });

  suite('a watcher eventually hears of every committed event', async (store) => {
    await store.append([batchOf(...manyEvents(3))]);
    let end = 0;
    const stop = store.watch(0, (news) => {
      assert.ok(news.after < news.lastOffset);
      end = Math.max(end, news.lastOffset);
    });
    assert.equal(end, 3, 'earlier commits are reported at once');
    for (let i = 0; i < 9; i++) await store.append([batchOf(eventWith({ event_id: `${i}` }))]);
    for (let turn = 0; turn < 40; turn++) await new Promise(setImmediate);
    assert.equal(end, 12);
    await store.append([batchOf(eventWith({ event_id: '0' }))]);
    stop();
    await store.append([batchOf(eventWith({ event_id: 'last' }))]);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.equal(end, 12);
  });

  suite(
    'a second event with the same key is dropped with the offset of the first, in the same append or a later one [P-2]',
    async (store) => {
      const [one, two] = await store.append([
        batchOf(eventWith(), eventWith(), eventWith({ topic: 'other' })),
        batchOf(eventWith()),
      ]);
      assert.deepEqual([...one!.verdicts], [ACCEPTED, DUPLICATE, ACCEPTED]);
      assert.deepEqual([...one!.offsets], [1, 1, 2]);
      assert.deepEqual([...two!.verdicts], [DUPLICATE]);
      assert.deepEqual([...two!.offsets], [1]);
      const [later] = await store.append([batchOf(eventWith({ event_id: 'new' }), eventWith())]);
      assert.deepEqual([...later!.offsets], [3, 1]);
      assert.equal((await all(store)).length, 3);
    },
  );

  suite(
    'a different source, timestamp or payload under the same key is a conflict and changes nothing [PUB-6]',
    async (store) => {
      await store.append([batchOf(eventWith())]);
      const [result] = await store.append([
        batchOf(
          eventWith({ source: 'app' }),
          eventWith({ timestamp: '2025-10-28T10:00:00+00:00' }),
          eventWith({ payload: { amount: 12.5, message: 'order placed' } }),
          eventWith(),
        ),
      ]);
      assert.deepEqual([...result!.verdicts], [CONFLICT, CONFLICT, CONFLICT, DUPLICATE]);
      assert.deepEqual(
        { accepted: result!.accepted, duplicates: result!.duplicates, conflicts: result!.conflicts },
        { accepted: 0, duplicates: 4, conflicts: 3 },
      );
      const [kept] = await all(store);
      assert.equal(kept!.source, 'web');
      const stats = await store.stats();
      assert.equal(stats.received, 5);
      assert.equal(stats.accepted, 1);
      assert.equal(stats.duplicates, 4);
      assert.equal(stats.conflicts, 3);
    },
  );

  suite('keys are different even if topic and id together read the same', async (store) => {
    const keys = [['a', 'bc'], ['ab', 'c'], ['a', 'b\u0001c'], ['a\u0001b', 'c'], ['A', 'bc'], ['é', 'x'], ['e\u0301', 'x']]; // prettier-ignore
    const [result] = await store.append([
      batchOf(...keys.map(([topic, event_id]) => eventWith({ topic: topic!, event_id: event_id! }))),
    ]);
    assert.equal(result!.accepted, keys.length);
    for (const [topic, event_id] of keys) {
      assert.equal(
        (JSON.parse((await store.find(topic!, event_id!)) as string) as StoredEvent).event_id,
        event_id,
      );
    }
  });

  suite('find returns a stored event, and nothing for a missing one [READ-8]', async (store) => {
    await store.append([batchOf(eventWith({ event_id: 'a "b" / ü' }))]);
    const found = JSON.parse((await store.find('orders', 'a "b" / ü')) as string) as StoredEvent;
    const { offset, received_at, ...sent } = found;
    assert.equal(offset, 1);
    assert.ok(Math.abs(Date.parse(received_at) - Date.now()) < 60_000);
    assert.deepEqual(sent, eventWith({ event_id: 'a "b" / ü' }));
    assert.equal(await store.find('orders', 'a'), undefined);
    assert.equal(await store.find('other', 'a "b" / ü'), undefined);
  });

  suite('topics are listed in byte order, with their counts and last offsets [READ-9]', async (store) => {
    const names = ['b', 'a', 'b', 'Z', '😀', '\uffee', 'a'];
    await store.append([batchOf(...names.map((topic, i) => eventWith({ topic, event_id: `${i}` })))]);
    const topics = await store.topics();
    assert.deepEqual(
      topics.map(({ topic, events, lastOffset }) => ({ topic, events, lastOffset })),
      [
        { topic: 'Z', events: 1, lastOffset: 4 },
        { topic: 'a', events: 2, lastOffset: 7 },
        { topic: 'b', events: 2, lastOffset: 3 },
        { topic: '\uffee', events: 1, lastOffset: 6 },
        { topic: '😀', events: 1, lastOffset: 5 },
      ],
    );
    assert.deepEqual((await store.stats()).topics, ['Z', 'a', 'b', '\uffee', '😀']);
  });

  suite('text is returned byte for byte, except for whitespace between tokens [EVT-6]', async (store) => {
    const event = eventWith({ payload: { n: 1, text: 'é 😀 \u0000 "\\' } });
    await store.append([batchOf(event)]);
    const page = await store.read({ order: 'asc', after: 0, upTo: 1, eventsMax: 1, framing: 'array' });
    const text = Buffer.from(page.bytes).toString();
    assert.ok(text.startsWith(JSON.stringify(event).slice(0, -1) + ',"offset":1,"received_at":"'), text);
    assert.ok(text.endsWith('"},'), text);
  });

  suite('concurrent appends are judged one after the other [P-2]', async (store) => {
    const results = await Promise.all(
      Array.from({ length: 20 }, () => store.append([batchOf(...manyEvents(5))])),
    );
    const accepted = results.flat().reduce((sum, result) => sum + result.accepted, 0);
    assert.equal(accepted, 5);
    const stats = await store.stats();
    assert.equal(stats.received, 100);
    assert.equal(stats.received, stats.accepted + stats.duplicates);
  });

  suite('a closed store refuses and does not hang', async (store) => {
    await store.append([batchOf(eventWith())]);
    await store.close();
    await assert.rejects(
      store.append([batchOf(eventWith())]),
      (error) => error instanceof StoreError && error.code === 'closed',
    );
    await assert.rejects(store.probe(), StoreError);
  });

  suite('whoever closes a store that is being closed waits until it is', async (store) => {
    await store.append([batchOf(eventWith())]);
    const closed: string[] = [];
    await Promise.all([
      store.close().then(() => closed.push('first')),
      store.close().then(() => closed.push('second')),
    ]);
    assert.deepEqual(closed, ['first', 'second']);
    await store.close();
  });
}
