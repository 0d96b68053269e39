import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreError } from '../../../src/store/event-store.ts';
import { openFile } from '../../../src/store/sqlite/open-file.ts';
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
  assert.deepEqual(why, ['failed'], 'it is told once');
});

test('topics that begin alike are counted apart, however many there are [READ-9]', (t) => {
  const file = openFile(join(tempFolder(t), 'events.db'));
  t.after(() => file.close());
  file.db.exec('PRAGMA synchronous = OFF');
  // So many that some share the slot of the short one, and alternate with it.
  const others = 8192;
  const events = Array.from({ length: 2 * others }, (_, i) =>
    eventWith({ event_id: `${i}`, topic: i % 2 === 0 ? 'orders' : `orders.${i}` }),
  );
  file.appender.append(batchOf(...events));
  const rows = file.db.prepare('SELECT name, events FROM topic ORDER BY events DESC').all();
  assert.equal(rows.length, others + 1);
  assert.deepEqual({ ...rows[0] }, { name: 'orders', events: others });
});

test('a topic is counted in each of its commits [READ-9]', (t) => {
  const file = openFile(join(tempFolder(t), 'events.db'));
  t.after(() => file.close());
  for (const id of ['a', 'b', 'c']) file.appender.append(batchOf(eventWith({ event_id: id })));
  const [topic] = file.db.prepare('SELECT events, last_offset FROM topic').all();
  assert.deepEqual({ ...topic }, { events: 3, last_offset: 3 });
});
