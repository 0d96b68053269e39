import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { ACCEPTED } from '../../../src/store/event-store.ts';
import { Block, type BlockRow } from '../../../src/store/blocks/block-format.ts';
import { openFile } from '../../../src/store/sqlite/open-file.ts';
import { Reader } from '../../../src/store/sqlite/read.ts';
import { verifyFile } from '../../../src/store/sqlite/upkeep/verify.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { logOf, mergeOnce } from '../../support/block-log.ts';

test('a topic is read from merged blocks without unpacking other topics [READ-3]', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openFile(path);
  const filler = 'x'.repeat(300);
  const events = Array.from({ length: 6000 }, (_, i) =>
    eventWith({ event_id: `${i}`, topic: `t${i % 6}`, payload: { i, filler: filler + i } }),
  );
  for (let i = 0; i < events.length; i += 500) file.appender.append(batchOf(...events.slice(i, i + 500)));
  while (file.log.isMergeable) mergeOnce(file);
  file.close();
  const db = new DatabaseSync(path, { readOnly: true });
  t.after(() => db.close());
  const row = db.prepare('SELECT * FROM block WHERE first_offset = 1').get() as unknown as BlockRow;
  const block = new Block(1, row);
  assert.ok(block.count > 1000);
  for (let i = 3; i < block.count; i += 6)
    assert.match(Buffer.from(block.text(i)).toString(), /"topic":"t3"/);
  assert.equal(block.unpackedChunks, 1);
  for (let i = 0; i < block.count; i++) block.text(i);
  assert.equal(block.unpackedChunks, 6);
  const topic = logOf(path, { topic: 't3' });
  assert.deepEqual(
    topic.map(({ offset }) => offset),
    events.flatMap((event, i) => (event.topic === 't3' ? [i + 1] : [])),
  );
});

test('topics that match a pattern are read from the merged blocks that hold them, without unpacking others', (t) => {
  const path = join(tempFolder(t), 'events.db');
  const file = openFile(path);
  const rare = new Set([99, 100, 9000, 12_400, 16_400]);
  const events = Array.from({ length: 16_500 }, (_, i) =>
    eventWith({ event_id: `${i}`, topic: rare.has(i) ? `rare.r${i % 3}` : `common.c${i % 5}` }),
  );
  for (let i = 0; i < events.length; i += 500) file.appender.append(batchOf(...events.slice(i, i + 500)));
  while (file.log.isMergeable) mergeOnce(file);
  file.appender.transaction(() => {
    const held = `SELECT block_topic.first_offset FROM block_topic JOIN topic USING (topic_id) WHERE name GLOB 'rare.*'`;
    // Reads of these blocks get the wrong bytes, so that looking into one of them throws.
    const { changes } = file.db
      .prepare(`UPDATE merged_block SET directory = zeroblob(1) WHERE first_offset NOT IN (${held})`)
      .run();
    assert.equal(changes, 1);
  });
  file.close();
  const offsets = [...rare].map((i) => i + 1);
  const db = new DatabaseSync(path, { readOnly: true });
  t.after(() => db.close());
  const reader = new Reader(db);
  const query = { topicPatterns: [['rare.>']], upTo: 1e9, eventsMax: 2, framing: 'lines' } as const;
  for (const order of ['asc', 'desc'] as const) {
    const read: number[] = [];
    let after: number | null = order === 'asc' ? 0 : 1e9;
    while (after !== null) {
      const page = reader.page({ ...query, order, after });
      for (const line of Buffer.from(page.bytes).toString().split('\n').slice(0, -1)) {
        read.push((JSON.parse(line) as { offset: number }).offset);
      }
      after = page.resumeAfter;
    }
    assert.deepEqual(read, order === 'asc' ? offsets : offsets.toReversed());
  }
});

test('the smallest and the largest events, on thousands of topics, are read back unchanged', (t) => {
  const path = join(tempFolder(t), 'sizes.db');
  const file = openFile(path);
  const large = 'ü'.repeat(500_000);
  const events = [
    eventWith({ event_id: '1', topic: 't', source: 's', payload: {} }),
    eventWith({ event_id: 'large', payload: { large } }),
    ...Array.from({ length: 10_000 }, (_, i) =>
      eventWith({ event_id: 'same', topic: `topic.${i % 2}.${i}` }),
    ),
    eventWith({ event_id: 'large 2', payload: { large } }),
  ];
  const { verdicts } = file.appender.append(batchOf(...events));
  assert.ok(verdicts.every((verdict) => verdict === ACCEPTED));
  for (let merge = 0; merge < 3; merge++) mergeOnce(file);
  file.close();
  const stored = logOf(path).map(({ received_at: _received, offset: _offset, ...event }) => event);
  assert.deepEqual(stored, events);
  const half = logOf(path, { topicPatterns: [['topic.1.*']] }).map(({ topic }) => topic);
  assert.deepEqual(half, events.flatMap(({ topic }) => (topic.startsWith('topic.1.') ? [topic] : []))); // prettier-ignore
  assert.deepEqual(verifyFile(path).problems, []);
});
