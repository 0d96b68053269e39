import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BARE, Block, EXPIRED } from '../../../src/store/blocks/block-format.ts';
import { encodeFresh, encodeMerged } from '../../../src/store/blocks/block-encoder.ts';
import { BlockMerge } from '../../../src/store/blocks/block-merge.ts';

const TEXTS = ['{"a":1}', '', '{"b":22}', '', '{"c":333}'];
const LENGTHS = [7, EXPIRED, 8, BARE, 9];

/** A block of five events on two topics, of which the second one has expired and the fourth is bare. */
function eventsOfBlock() {
  return {
    topicIds: Int32Array.of(1, 2, 2, 1, 1),
    starts: Int32Array.from(TEXTS, (_, i) => TEXTS.slice(0, i).join('').length),
    lengths: Int32Array.from(LENGTHS),
    texts: Buffer.from(TEXTS.join('')),
    commits: [{ events: 5, receivedMs: 1000 }],
  };
}

/** What a block says of each event. */
function toldBy(block: Block): unknown {
  return Array.from({ length: block.count }, (_, i) => [
    block.isKept(i),
    block.textLength(i),
    Buffer.from(block.text(i)).toString(),
  ]);
}

const TOLD = TEXTS.map((text, i) => [text !== '', LENGTHS[i], text]);

test('a block of either kind tells which texts it lacks, and why', () => {
  for (const row of [encodeFresh(eventsOfBlock()), encodeMerged(eventsOfBlock())]) {
    const block = new Block(1, row);
    assert.deepEqual(toldBy(block), TOLD);
    assert.equal(block.textBytes, 24);
  }
});

test('a merge keeps what is said of texts that are gone', () => {
  const blocks = [1, 6].map((firstOffset) => new Block(firstOffset, encodeFresh(eventsOfBlock())));
  const merge = new BlockMerge(blocks.values(), { eventsMax: 10, bytesMax: 1000 });
  while (merge.row === null) merge.step();
  assert.deepEqual(toldBy(new Block(1, merge.row)), [...TOLD, ...TOLD]);
});

test('a block without any text can be written, read and merged', () => {
  const events = { ...eventsOfBlock(), lengths: new Int32Array(5).fill(EXPIRED), texts: new Uint8Array(0) };
  const merge = new BlockMerge([new Block(1, encodeFresh(events))].values(), {
    eventsMax: 10,
    bytesMax: 1000,
  });
  while (merge.row === null) merge.step();
  for (const row of [encodeMerged(events), merge.row]) {
    const block = new Block(1, row);
    assert.equal(row.body.length, 0);
    assert.equal(block.textBytes, 0);
    assert.ok(Array.from({ length: 5 }, (_, i) => block.isKept(i)).every((isKept) => !isKept));
  }
});
