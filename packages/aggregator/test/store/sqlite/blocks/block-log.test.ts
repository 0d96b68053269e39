import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Event } from '@chronicleweaver/protocol';
import { StoreError } from '../../../../src/store/event-store.ts';
import { lastOffsetBefore } from '../../../../src/store/sqlite/blocks/offset-by-time.ts';
import {
  FILE_SHAPE,
  type OpenFile,
  type OpenOptions,
  openFile,
} from '../../../../src/store/sqlite/open-file.ts';
import { batchOf, eventWith } from '../../../support/events.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const EVENTS_MAX = 40;

/** A file whose blocks are full after a few dozen events. */
function openSmall(t: TestContext, options: OpenOptions = {}): OpenFile {
  const log = {
    eventsMax: EVENTS_MAX,
    bytesMax: 1_000_000,
    mergedAtOnceBytesMin: 50_000,
    freshBlocksMax: 1000,
  };
  const file = openFile(join(tempFolder(t), 'events.db'), { shape: { ...FILE_SHAPE, log }, ...options });
  t.after(() => file.close());
  return file;
}

/** New events, each with this many additional bytes of text. */
function eventsOf(name: string, ...bytes: number[]): Event[] {
  return bytes.map((length, i) =>
    eventWith({ event_id: `${name}-${i}`, payload: { text: 'x'.repeat(length) } }),
  );
}

function append({ appender }: OpenFile, ...events: Event[]): void {
  appender.append(batchOf(...events));
}

function mergeOnce({ appender, log }: OpenFile): void {
  appender.transaction(() => log.mergeSome(Infinity));
}

function blocksOf({ db }: OpenFile, kind: 'fresh' | 'merged'): number[] {
  const rows = db.prepare(`SELECT events FROM ${kind}_block ORDER BY first_offset`).all();
  return rows.map((row) => Number(row['events']));
}

test('no block holds more events than a reader should unpack, however long their texts are', (t) => {
  const file = openSmall(t);
  // Halved by their bytes, the first block would hold all of the short ones.
  append(file, ...eventsOf('a', ...Array.from({ length: 60 }, (_, i) => (i < 50 ? 10 : 5000))));
  const blocks = [...blocksOf(file, 'fresh'), ...blocksOf(file, 'merged')];
  assert.equal(Math.max(...blocks), EVENTS_MAX);

  for (let i = 0; i < 5; i++) append(file, ...eventsOf(`b-${i}`, ...Array.from({ length: 15 }, () => 10)));
  for (let i = 0; i < 5; i++) mergeOnce(file);
  assert.deepEqual(blocksOf(file, 'fresh'), []);
  assert.ok(Math.max(...blocksOf(file, 'merged')) <= EVENTS_MAX);
});

test('merged events no longer count as fresh: the next merge waits for as many new ones', (t) => {
  const file = openSmall(t);
  for (let i = 0; i < EVENTS_MAX; i++) append(file, ...eventsOf(`a-${i}`, 10));
  for (let i = 0; i < 3; i++) mergeOnce(file);
  for (let i = 0; i < EVENTS_MAX - 1; i++) {
    append(file, ...eventsOf(`b-${i}`, 10));
    assert.equal(file.log.isMergeable, false);
  }
  append(file, ...eventsOf('c', 10));
  assert.equal(file.log.isMergeable, true);
});

test('an append that fails after writing its block leaves nothing for a merge to find [P-3]', (t) => {
  const file = openSmall(t);
  append(file, ...eventsOf('before', 10));
  file.db.exec('PRAGMA busy_timeout = 0');
  const noSpace = Object.assign(new Error('database or disk is full'), { errcode: 13 });
  const texts = Buffer.from('{}');
  assert.throws(
    () =>
      file.appender.transaction(() => {
        file.log.insert(2, {
          topicIds: Int32Array.of(1),
          starts: Int32Array.of(0),
          lengths: Int32Array.of(texts.length),
          texts,
          commits: [{ events: 1, receivedMs: 1 }],
        });
        throw noSpace;
      }),
    (error) => error instanceof StoreError && error.code === 'blocked',
  );
  append(file, ...eventsOf('after', 10));
  mergeOnce(file);
  append(file, ...eventsOf('later', 10));
  mergeOnce(file);
  assert.deepEqual(blocksOf(file, 'merged'), [2, 1]);
});

test('the last offset before a time is that of the last earlier commit, in fresh and merged blocks [GRP-3]', (t) => {
  let nowMs = 0;
  const file = openSmall(t, { now: () => nowMs });
  for (const [atMs, events] of [
    [1000, 2],
    [2000, 1],
    [2000, 3],
    [3000, 1],
  ] as const) {
    nowMs = atMs;
    append(file, ...eventsOf(`${file.appender.lastOffset}`, ...Array.from({ length: events }, () => 10)));
  }
  for (const kind of ['fresh', 'merged']) {
    for (const [timeMs, offset] of [
      [999, 0],
      [1000, 0],
      [1001, 2],
      [2000, 2],
      [2001, 6],
      [3000, 6],
      [3001, 7],
    ] as const) {
      assert.equal(lastOffsetBefore(file.db, timeMs), offset, `before ${timeMs}, ${kind}`);
    }
    mergeOnce(file);
  }
});
