import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ExpireQuery } from '../../../src/store/retention-store.ts';
import { Reader } from '../../../src/store/sqlite/read.ts';
import { Retention } from '../../../src/store/sqlite/retention.ts';
import { verifyFile } from '../../../src/store/sqlite/upkeep/verify.ts';
import { type OpenFile, openFile } from '../../../src/store/sqlite/open-file.ts';
import { SMALL, mergeOnce, openSmall } from '../../support/block-log.ts';
import { batchOf, manyEvents } from '../../support/events.ts';
import { policyWith } from '../../support/letting-go.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const NOTHING_YET = { events: 0, bytes: 0, isDone: false, told: null };

function expireAll(retention: Retention, query: ExpireQuery): number {
  for (let events = 0; ;) {
    const some = retention.expire(query);
    events += some.events;
    if (some.isDone) return events;
  }
}

function offsetsIn(file: OpenFile): number[] {
  const page = new Reader(file.db).page({ order: 'asc', after: 0, upTo: 1e9, eventsMax: 100, framing: 'array', placed: true }); // prettier-ignore
  return [...page.offsets!];
}

test('a merge under way does not bring back a text that has expired meanwhile, nor does a block that a reader keeps [RET-3]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openSmall(path);
  const retention = new Retention(file);
  const reader = new Reader(file.db);
  const offsets = (after = 0) => {
    const page = reader.page({ order: 'asc', after, upTo: 1e9, eventsMax: 100, framing: 'array', placed: true }); // prettier-ignore
    return [...page.offsets!];
  };
  const events = manyEvents(9);
  for (let i = 0; i < 9; i += 3) file.appender.append(batchOf(...events.slice(i, i + 3)));
  // All blocks are read, and nothing is packed yet.
  for (let i = 0; i < 4; i++) file.appender.transaction(() => file.log.mergeSome(1));
  assert.ok(file.log.isMerging);
  assert.deepEqual(offsets(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(offsets(6), [7, 8, 9]);
  assert.equal(retention.erase('orders', 'e-9', false)!.wasKept, true);
  assert.deepEqual(offsets(6), [7, 8]);
  mergeOnce(file);
  assert.deepEqual(offsets(), [1, 2, 3, 4, 5, 6, 7, 8]);
  file.close();
  assert.deepEqual(verifyFile(path, undefined, SMALL).problems, []);
});

test('what changes a block between the steps of an expiry is not undone by it [RET-3]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openSmall(path);
  // Each step does as little as it can.
  const retention = new Retention(file, 0);
  const events = manyEvents(12, (i) => ({ topic: i % 2 === 0 ? 'even' : 'odd' }));
  for (let i = 0; i < 12; i += 3) file.appender.append(batchOf(...events.slice(i, i + 3)));
  const upTo = 11;
  assert.deepEqual(retention.expire({ topic: 'odd', upTo }), NOTHING_YET);
  // In the block that was prepared.
  assert.equal(retention.erase('even', 'e-1', false)!.wasKept, true);
  assert.equal(expireAll(retention, { topic: 'odd', upTo }), 5);
  assert.deepEqual(offsetsIn(file), [3, 5, 7, 9, 11, 12]);
  // Prepared as fresh blocks, and merged then.
  assert.deepEqual(retention.expire({ topic: 'even', upTo }), NOTHING_YET);
  assert.deepEqual(retention.expire({ topic: 'even', upTo }), NOTHING_YET);
  mergeOnce(file);
  assert.equal(expireAll(retention, { topic: 'even', upTo }), 5);
  assert.deepEqual(offsetsIn(file), [12]);
  file.close();
  assert.deepEqual(verifyFile(path, undefined, SMALL).problems, []);
});

test('a step lets nothing go beyond its own bound, though more was prepared [RET-22]', (t) => {
  const file = openSmall(join(tempFolder(t), 'events.db'));
  const retention = new Retention(file, 0);
  file.appender.append(batchOf(...manyEvents(3)));
  const query = { topicPatterns: [['>']] };
  assert.deepEqual(retention.expire({ ...query, upTo: 3 }), NOTHING_YET);
  assert.equal(expireAll(retention, { ...query, upTo: 1 }), 1);
  assert.deepEqual(offsetsIn(file), [2, 3]);
  // Of two that take turns both come to an end.
  const done = [false, false];
  for (let step = 0; step < 20; step++) {
    const topicPatterns = [[step % 2 === 0 ? 'orders' : '*']];
    done[step % 2] ||= retention.expire({ topicPatterns, upTo: 2 + (step % 2) }).isDone;
  }
  assert.deepEqual(done, [true, true]);
  assert.deepEqual(offsetsIn(file), []);
  file.close();
});

test('the step that ends an expiry makes the steps before it durable, though it lets nothing go itself [RET-15]', (t) => {
  const file = openSmall(join(tempFolder(t), 'events.db'));
  const retention = new Retention(file, 0);
  const look = file.db.prepare('PRAGMA wal_checkpoint(NOOP)');
  const pages = () => Number(look.get()!['log']);
  for (let i = 0; i < 6; i++) file.appender.append(batchOf(...manyEvents(1, () => ({ event_id: `${i}` }))));
  // The second time it is as after a kill: nothing is left to do, but nobody knows that it is durable.
  for (const expected of [6, 0]) {
    let [events, before, isDone] = [0, 0, false];
    while (!isDone) {
      before = pages();
      const step = retention.expire({ topic: 'orders', upTo: 6 });
      isDone = step.isDone;
      events += step.events;
      if (isDone) assert.equal(step.events, 0);
    }
    assert.equal(events, expected);
    // Only what writes to the log is synced.
    assert.ok(pages() > before);
  }
  file.close();
});

test('a bare event takes less than 40 bytes on disk, its key included [RET-6]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openFile(path);
  file.db.exec('PRAGMA synchronous = OFF');
  new Retention(file).put(policyWith({ keep: 'ids' }));
  const events = 200_000;
  const made = manyEvents(events);
  for (let i = 0; i < events; i += 4000) file.appender.append(batchOf(...made.slice(i, i + 4000)));
  while (file.log.isMergeable) mergeOnce(file);
  while (file.index.isBusy) file.appender.transaction(() => file.index.step(100_000));
  // Free pages take the next events: for some MiB of keys that no run holds yet they do not grow with the log.
  const [pages, free] = ['page_count', 'freelist_count'].map((name) =>
    Number(file.db.prepare(`PRAGMA ${name}`).get()![name]),
  );
  file.close();
  const bytes = ((pages! - free!) * 4096) / events;
  assert.ok(bytes < 40, `${bytes} bytes an event`);
});
