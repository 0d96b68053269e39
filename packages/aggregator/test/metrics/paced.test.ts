import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { type TestContext, test } from 'node:test';
import { Paced } from '../../src/metrics/paced.ts';

test('questions during a look get its answer, and questions soon after it the same one [MET-6]', async () => {
  let looks = 0;
  const paced = new Paced(async () => {
    looks += 1;
    await delay(20);
    return looks;
  });
  assert.deepEqual(await Promise.all([paced.value(), paced.value()]), [1, 1]);
  assert.equal(await paced.value(), 1);
});

test('after ten times as long as a look took there is a new one [MET-6]', async (t: TestContext) => {
  let looks = 0;
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const paced = new Paced(async () => {
    nowMs += 7;
    return ++looks;
  });
  assert.equal(await paced.value(), 1);
  nowMs += 69;
  assert.equal(await paced.value(), 1);
  nowMs += 1;
  assert.equal(await paced.value(), 2);
});

test('a look that fails or takes too long has found nothing, and a later one may find something [MET-6]', async (t: TestContext) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const answers = [
    Promise.reject(new Error('gone')),
    Promise.withResolvers<string>(),
    Promise.resolve('new'),
  ];
  const [gone, late, now] = answers as [Promise<string>, PromiseWithResolvers<string>, Promise<string>];
  const next = [gone, late.promise, now];
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs++);
  const paced = new Paced(() => next.shift()!);
  assert.equal(await paced.value(), null);
  nowMs += 100;
  const waiting = paced.value();
  t.mock.timers.tick(5000);
  assert.equal(await waiting, null);
  late.resolve('old');
  await new Promise(setImmediate);
  assert.equal(await paced.value(), 'old');
  nowMs += 1000;
  assert.equal(await paced.value(), 'new');
});
