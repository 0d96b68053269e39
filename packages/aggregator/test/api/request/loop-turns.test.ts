import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoopTurns, noteConnection } from '../../../src/api/request/loop-turns.ts';

/** Resolves when this turn of the event loop is over. */
const turnEnds = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('bytes that a turn has left are taken at once; later requests wait for the next turn', async () => {
  const turns = new LoopTurns(10);
  assert.equal(turns.take(6), true);
  assert.equal(turns.take(6), true, 'the last may be larger than what is left');
  assert.equal(turns.take(1), false);
  await turnEnds();
  assert.equal(turns.take(10), true);
});

test('waiting callers begin in order, a turn’s worth in each turn, and nobody overtakes them', async () => {
  const turns = new LoopTurns(10);
  assert.equal(turns.take(10), true);
  const begun: number[] = [];
  for (let i = 0; i < 5; i++) turns.later(5, () => begun.push(i));
  assert.deepEqual(begun, []);
  await turnEnds();
  assert.deepEqual(begun, [0, 1]);
  assert.equal(turns.take(1), false);
  await turnEnds();
  assert.deepEqual(begun, [0, 1, 2, 3]);
  await turnEnds();
  assert.deepEqual(begun, [0, 1, 2, 3, 4]);
  assert.equal(turns.take(1), true, 'of the last turn half is left');
});

test('a caller that begins while others wait does not take their share of the turn', async () => {
  const turns = new LoopTurns(10);
  const begun: string[] = [];
  turns.later(2, () => begun.push('first', turns.take(2) ? 'more of the first' : 'the first waits'));
  turns.later(5, () => begun.push('second'));
  await turnEnds();
  assert.deepEqual(begun, ['first', 'the first waits', 'second']);
});

test('a caller with more bytes than a turn gets a turn of its own', async () => {
  const turns = new LoopTurns(10);
  const begun: string[] = [];
  turns.later(1000, () => begun.push('large'));
  turns.later(1, () => begun.push('small'));
  await turnEnds();
  assert.deepEqual(begun, ['large']);
  await turnEnds();
  assert.deepEqual(begun, ['large', 'small']);
});

test('the turn after a new connection is short, so that the next connection is accepted soon', async () => {
  const turns = new LoopTurns(640);
  const begun: number[] = [];
  assert.equal(turns.take(640), true);
  for (let i = 0; i < 5; i++) turns.later(10, () => begun.push(i));
  noteConnection();
  await turnEnds();
  assert.deepEqual(begun, [0]);
  noteConnection();
  await turnEnds();
  assert.deepEqual(begun, [0, 1]);
  await turnEnds();
  assert.deepEqual(begun, [0, 1, 2, 3, 4], 'where none came the turn is a whole one');
});
