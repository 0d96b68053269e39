import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { AnswersUnderWay } from '../../../src/api/read/answers-under-way.ts';
import { MemoryStore } from '../../../src/store/memory/store.ts';
import { JSON_FORM } from '../../../src/api/read/forms.ts';
import { wholeAnswer } from '../../../src/api/read/whole-answer.ts';
import { type EventPage, type PageQuery, START } from '../../../src/store/event-store.ts';
import { batchOf, manyEvents } from '../../support/events.ts';

test('retention is told the lowest offset that an answer still needs, until the answer ends [RET-22]', () => {
  const underWay = new AnswersUnderWay();
  assert.equal(underWay.lowest, Infinity);
  const [first, second] = [underWay.begin(5), underWay.begin(3)];
  assert.equal(underWay.lowest, 3);
  second.moved(9);
  assert.equal(underWay.lowest, 5);
  first.end();
  assert.equal(underWay.lowest, 9);
  second.end();
  assert.equal(underWay.lowest, Infinity);
});

test('a reader that stalls, or takes for ever, does not hold retention for ever [RET-22]', () => {
  let nowMs = 0;
  const underWay = new AnswersUnderWay({ heldMsMax: 100, stalledMsMax: 30, now: () => nowMs });
  const answer = underWay.begin(1);
  nowMs = 29;
  assert.equal(underWay.lowest, 1);
  nowMs = 30;
  assert.equal(underWay.lowest, Infinity, 'it has stalled');
  answer.moved(2);
  assert.equal(underWay.lowest, 2, 'it goes on');
  for (nowMs = 50; nowMs < 100; nowMs += 20) answer.moved(3);
  assert.equal(underWay.lowest, Infinity, 'it has taken too long');
});

test('a snapshot waits for the step of retention that is under way, and the next step for the answer [RET-22]', async () => {
  const underWay = new AnswersUnderWay();
  const { promise: stepDone, resolve: endStep } = Promise.withResolvers<void>();
  let below = 0;
  const step = underWay.letGo((limit) => {
    below = limit;
    return stepDone;
  });
  assert.equal(below, Infinity);
  const answer = underWay.begin(7);
  let isFree = false;
  const free = underWay.earlierSteps().then(() => (isFree = true));
  await underWay.letGo(async (limit) => {
    below = limit;
  });
  assert.equal(below, 7);
  assert.equal(isFree, false);
  endStep();
  await Promise.all([step, free]);
  answer.end();
  await assert.rejects(
    underWay.letGo(() => Promise.reject(new Error('a disk'))),
    /a disk/,
  );
  await underWay.earlierSteps();
});

class StoreOfShortPages extends MemoryStore {
  override read(query: PageQuery): Promise<EventPage> {
    return super.read({ ...query, eventsMax: 2 });
  }
}

test('a whole answer needs what it has not read yet, in either order, and then nothing [RET-22]', async () => {
  const log = new StoreOfShortPages();
  await log.append([batchOf(...manyEvents(6))]);
  for (const [order, needed] of [
    ['asc', [1, 3, 5, Infinity, Infinity]],
    ['desc', [1, 1, 1, Infinity, Infinity]],
  ] as const) {
    const underWay = new AnswersUnderWay();
    const query: PageQuery = {
      order,
      after: START[order],
      upTo: Number.MAX_SAFE_INTEGER,
      eventsMax: Number.MAX_SAFE_INTEGER,
      framing: 'array',
    };
    const { pieces } = await wholeAnswer(log, query, JSON_FORM, underWay.begin(1), pino({ level: 'silent' }));
    const lowest: number[] = [];
    while ((await pieces.next()).done !== true) lowest.push(underWay.lowest);
    assert.deepEqual(lowest, needed);
  }
});
