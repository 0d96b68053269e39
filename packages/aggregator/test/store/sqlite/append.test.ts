import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreError } from '../../../src/store/event-store.ts';
import { openFile } from '../../../src/store/sqlite/open-file.ts';
import { Reader } from '../../../src/store/sqlite/read.ts';
import { UnsettledEvents } from '../../../src/store/sqlite/unsettled-events.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { tempFolder } from '../../support/temp-folder.ts';

test('a writer whose disk failed stops writing: its memory may differ from the file', (t) => {
  const why: string[] = [];
  const file = openFile(join(tempFolder(t), 'events.db'), { stopped: ({ code }) => why.push(code) });
  t.after(() => file.close());
  const hasFailed = (error: unknown): boolean => error instanceof StoreError && error.code === 'failed';
  const ioError = Object.assign(new Error('disk I/O error'), { errcode: 10 });
  assert.throws(() => {
    file.appender.transaction(() => {
      throw ioError;
    });
  }, hasFailed);
  assert.throws(() => file.appender.append(batchOf(eventWith())), hasFailed);
  assert.throws(() => file.appender.probe(), hasFailed);
  assert.deepEqual(why, ['failed'], 'it is reported once');
});

test('topics with a common prefix are counted separately, however many there are [READ-9]', (t) => {
  const file = openFile(join(tempFolder(t), 'events.db'));
  t.after(() => file.close());
  file.db.exec('PRAGMA synchronous = OFF');
  // Enough topics for some to share a slot with the short one, and to alternate with it.
  const others = 8192;
  const events = Array.from({ length: 2 * others }, (_, i) =>
    eventWith({ event_id: `${i}`, topic: i % 2 === 0 ? 'orders' : `orders.${i}` }),
  );
  file.appender.append(batchOf(...events));
  const rows = file.db.prepare('SELECT name, events FROM topic ORDER BY events DESC').all();
  assert.equal(rows.length, others + 1);
  assert.deepEqual({ ...rows[0] }, { name: 'orders', events: others });
});

test('a topic is counted in every commit, however far its row lags behind [READ-9]', (t) => {
  const file = openFile(join(tempFolder(t), 'events.db'));
  t.after(() => file.close());
  const reader = new Reader(file.db);
  for (let events = 1; events <= 40; events++) {
    file.appender.append(batchOf(eventWith({ event_id: `${events}` })));
    const [topic] = reader.topics({});
    assert.deepEqual([topic!.events, topic!.lastOffset], [events, events]);
    assert.deepEqual(reader.snapshot({ topic: 'orders' }), { lastOffset: events, count: events, expired: 0 });
  }
});

test('a small commit writes only the row of its block, and the rows of the books follow later', (t) => {
  const file = openFile(join(tempFolder(t), 'events.db'));
  t.after(() => file.close());
  const books = (): unknown => {
    const [ledger] = file.db.prepare('SELECT received, conflicts, last_offset FROM ledger').all();
    const [topic] = file.db.prepare('SELECT events FROM topic').all();
    return { ...ledger, ...topic };
  };
  const first = eventWith({ event_id: 'first' });
  file.appender.append(batchOf(first));
  const before = books();
  const changes = (): number => Number(file.db.prepare('SELECT total_changes() AS n').get()!['n']);
  const changed = changes();
  file.appender.append(batchOf(eventWith({ event_id: 'second' }), first));
  assert.equal(changes() - changed, 1);
  assert.deepEqual(books(), before);
  assert.equal(file.appender.isSettled, false);
  file.appender.settle();
  assert.deepEqual(books(), { received: 3, conflicts: 0, last_offset: 2, events: 2 });
  assert.ok(file.appender.isSettled);
});

test('the rows of the books lag by a few commits at most, so that a reader of counts has little to add up', (t) => {
  const file = openFile(join(tempFolder(t), 'events.db'));
  t.after(() => file.close());
  const unsettled = new UnsettledEvents(file.db);
  const lags = Array.from({ length: 100 }, (_, i) => {
    file.appender.append(batchOf(eventWith({ event_id: `${i}` })));
    return unsettled.blocks().length;
  });
  assert.equal(Math.max(...lags), 15);
});

test('a topic dropped from memory keeps the counts that its row lacks [READ-9]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openFile(path);
  t.after(() => file.close());
  file.db.exec('PRAGMA synchronous = OFF');
  const many = Array.from({ length: 49_999 }, (_, i) => eventWith({ event_id: 'a', topic: `t${i}` }));
  file.appender.append(batchOf(...many));
  file.appender.append(
    batchOf(eventWith({ event_id: 'b', topic: 't0' }), eventWith({ topic: 'one too many' })),
  );
  for (const id of ['c', 'd']) file.appender.append(batchOf(eventWith({ event_id: id, topic: 't0' })));
  file.appender.settle();
  const [topic] = new Reader(file.db).topics({ topic: 't0' });
  assert.deepEqual([topic!.events, topic!.lastOffset], [4, 50_003]);
});
