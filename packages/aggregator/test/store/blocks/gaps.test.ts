import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMerged } from '../../../src/store/blocks/block-encoder.ts';
import { BARE, Block, EXPIRED } from '../../../src/store/blocks/block-format.ts';
import { BlockScan, PageInProgress } from '../../../src/store/blocks/block-scan.ts';
import { type PageQuery, START } from '../../../src/store/event-store.ts';
import { StoredEventWriter, framedEvent, framedGap } from '../../../src/store/stored-event.ts';

const TEXT = '{"a":1}';

/** A block with an event for each letter: kept, expired, bare, or kept on another topic. */
function blockOf(firstOffset: number, letters: string): Block {
  const lengths = Array.from(letters, (letter) => ({ e: EXPIRED, b: BARE })[letter] ?? TEXT.length);
  const texts = lengths.filter((length) => length === TEXT.length);
  let start = 0;
  return new Block(
    firstOffset,
    encodeMerged({
      topicIds: Int32Array.from(letters, (letter) => (letter === 'o' ? 2 : 1)),
      starts: Int32Array.from(lengths, (length) => {
        const at = start;
        if (length === TEXT.length) start += length;
        return at;
      }),
      lengths: Int32Array.from(lengths),
      texts: Buffer.from(TEXT.repeat(texts.length)),
      commits: [{ events: letters.length, receivedMs: 1000 }],
    }),
  );
}

/** One page of two blocks, as the stores on a disk read it. */
function read(letters: string, query: Partial<PageQuery>) {
  const { order = 'asc' } = query;
  const whole: PageQuery = {
    order,
    after: START[order],
    upTo: 1e9,
    eventsMax: 100,
    framing: 'stream',
    ...query,
  };
  const half = letters.length >> 1;
  const blocks = [blockOf(1, letters.slice(0, half)), blockOf(half + 1, letters.slice(half))];
  if (order === 'desc') blocks.reverse();
  const page = new PageInProgress(whole, new StoredEventWriter());
  const scan = new BlockScan(whole, new Set([1]), page.visit, page.pass);
  const [low, high] = order === 'asc' ? [whole.after + 1, 1e9] : [1, whole.after - 1];
  let goesOn = true;
  for (const block of blocks) {
    const [first, last] = [Math.max(low, block.firstOffset), Math.min(high, block.lastOffset)];
    goesOn &&= scan.goesOn(block, first, last);
  }
  const { bytes, count, expired, resumeAfter } = page.end({
    expired: scan.expired,
    resumeAfter: goesOn ? null : scan.resumeAfter,
  });
  return { text: Buffer.from(bytes).toString(), count, expired, resumeAfter };
}

function event(offset: number): string {
  return framedEvent(TEXT, offset, 1000, 'stream');
}

test('each run of expired events is told in its place, whatever lies among them [RET-25]', () => {
  const told = (letters: string, query: Partial<PageQuery> = {}) => read(letters, { gaps: 'told', ...query });
  assert.deepEqual(told('kk'), { text: event(1) + event(2), count: 2, expired: 0, resumeAfter: null });
  assert.deepEqual(told('eeekbeokeb'), {
    text: framedGap(3, 0, 3) + event(4) + framedGap(1, 4, 6) + event(8) + framedGap(1, 8, 9),
    count: 2,
    expired: 5,
    resumeAfter: null,
  });
  assert.equal(told('kbbk').text, event(1) + event(4), 'bare events make no gap');
  assert.equal(told('keeek', { after: 2 }).text, framedGap(2, 2, 4) + event(5));
  // The page ends before the third event, behind what has expired before it.
  assert.deepEqual(told('keekek', { eventsMax: 2 }), {
    text: event(1) + framedGap(2, 1, 3) + event(4) + framedGap(1, 4, 5),
    count: 2,
    expired: 3,
    resumeAfter: 5,
  });
});

test('kept and expired events are kept apart if that is asked for, in either order [RET-24]', () => {
  const pages = (letters: string, order: 'asc' | 'desc', eventsMax = 100) => {
    const all = [];
    for (let after: number | null = START[order]; after !== null;) {
      const { count, expired, resumeAfter } = read(letters, { gaps: 'apart', order, after, eventsMax });
      all.push([count, expired, resumeAfter]);
      after = resumeAfter;
    }
    return all;
  };
  assert.deepEqual(pages('eebekokke', 'asc'), [
    [0, 3, 4],
    [3, 0, 8],
    [0, 1, null],
  ]);
  assert.deepEqual(pages('eebekokke', 'desc'), [
    [0, 1, 9],
    [3, 0, 5],
    [0, 3, null],
  ]);
  assert.deepEqual(pages('ekkk', 'asc', 2), [
    [0, 1, 1],
    [2, 0, 3],
    [1, 0, null],
  ]);
});
