import assert from 'node:assert/strict';
import { type PageQuery, START } from '../../src/store/event-store.ts';
import { batchOf, manyEvents } from '../support/events.ts';
import { policyWith } from '../support/letting-go.ts';
import { storeSuites } from '../support/store-suites.ts';

/** A letter for each event: kept, expired, bare, or kept on another topic. */
const LETTERS = 'eeekbeokebkkoe';

for (const suite of storeSuites()) {
  suite('what has expired is told in its place, or kept apart [RET-24, RET-25]', async (store) => {
    const { retention } = store;
    await retention.put(policyWith({ topics: ['bare'], keep: 'ids' }));
    const topicOf = { b: 'bare', o: 'other' } as Readonly<Record<string, string>>;
    await store.append([
      batchOf(...manyEvents(LETTERS.length, (i) => ({ topic: topicOf[LETTERS[i]!] ?? 'a' }))),
    ]);
    for (const [i, letter] of Array.from(LETTERS).entries()) {
      if (letter === 'e') await retention.erase('a', `e-${i + 1}`, false);
    }
    const query: PageQuery = {
      topicPatterns: [['a', 'bare']],
      order: 'asc',
      after: 0,
      upTo: LETTERS.length,
      eventsMax: 100,
      framing: 'stream',
    };
    const told = await store.read({ ...query, gaps: 'told' });
    assert.deepEqual([told.count, told.expired, told.resumeAfter], [4, 6, null]);
    const text = Buffer.from(told.bytes)
      .toString()
      .replaceAll(/^data: \{"event_id.*\n/gm, '');
    const gap = (expired: number, after: number, next: number) =>
      `event: gap\nid: ${next}\ndata: {"expired":${expired},"after":${after},"next":${next}}\n\n`;
    assert.equal(
      text,
      `${gap(3, 0, 3)}id: 4\n\n${gap(1, 4, 6)}id: 8\n\n${gap(1, 8, 9)}id: 11\n\nid: 12\n\n${gap(1, 12, 14)}`,
    );
    for (const [order, expected] of [
      ['asc', '0+3 1+0 0+1 1+0 0+1 2+0 0+1'],
      ['desc', '0+1 2+0 0+1 1+0 0+1 1+0 0+3'],
    ] as const) {
      const pages: string[] = [];
      for (let after: number | null = START[order]; after !== null;) {
        const page = await store.read({ ...query, order, after, framing: 'array', gaps: 'apart' });
        if (page.count + page.expired > 0) pages.push(`${page.count}+${page.expired}`);
        after = page.resumeAfter;
      }
      assert.equal(pages.join(' '), expected);
    }
  });
}
