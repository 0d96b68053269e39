import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchBytes } from '../../src/event/event-batch.ts';
import { PublishQueue, QueueFull } from '../../src/queue/publish-queue.ts';
import type { AppendResult } from '../../src/store/event-store.ts';
import { batchOf, manyEvents } from '../support/events.ts';

const three = batchOf(...manyEvents(3));
const RESULT: AppendResult = {
  accepted: 3,
  duplicates: 0,
  conflicts: 0,
  receivedMs: 0,
  verdicts: new Uint8Array(3),
  offsets: Float64Array.of(1, 2, 3),
  bare: null,
};
const ROOMY = { eventsMax: 1000, bytesMax: 1_000_000 };

test('batches are taken in order and answered when they are settled', async () => {
  const queue = new PublishQueue(ROOMY);
  const answers = [queue.publish(three), queue.publish(three)];
  assert.equal(queue.events, 6);
  assert.equal(queue.bytes, 2 * batchBytes(three));
  const taken = queue.take(1000, 1_000_000);
  assert.equal(taken.length, 2);
  assert.equal(queue.events, 6, 'taken batches count until they are settled');
  taken[0]!.resolve(RESULT);
  taken[1]!.reject(new Error('disk'));
  assert.equal(await answers[0], RESULT);
  await assert.rejects(answers[1]!, { message: 'disk' });
  assert.equal(queue.events, 0);
  assert.equal(queue.bytes, 0);
});

test('a publish above the bound in events is refused completely, and accepted when there is room again [P-7]', async () => {
  const queue = new PublishQueue({ ...ROOMY, eventsMax: 6 });
  const waiting = [queue.publish(three), queue.publish(three)];
  await assert.rejects(queue.publish(three), QueueFull);
  assert.equal(queue.events, 6);
  for (const publish of queue.take(1000, 1_000_000)) publish.resolve(RESULT);
  await Promise.all(waiting);
  const again = queue.publish(three);
  queue.take(1000, 1_000_000)[0]!.resolve(RESULT);
  await again;
});

test('a publish above the bound in bytes is refused, whether or not the others were taken [P-7]', async () => {
  const queue = new PublishQueue({ ...ROOMY, bytesMax: 2 * batchBytes(three) });
  const waiting = [queue.publish(three), queue.publish(three)];
  await assert.rejects(queue.publish(three), QueueFull);
  const taken = queue.take(1000, 1_000_000);
  await assert.rejects(queue.publish(three), QueueFull);
  for (const publish of taken) publish.resolve(RESULT);
  await Promise.all(waiting);
});

test('an empty queue accepts a batch larger than its bounds, which would otherwise be refused for ever', async () => {
  const queue = new PublishQueue({ eventsMax: 1, bytesMax: 1 });
  const answer = queue.publish(three);
  queue.take(1, 1)[0]!.resolve(RESULT);
  assert.equal(await answer, RESULT);
});

test('a take is bounded in events and in bytes, but never empty', async () => {
  const queue = new PublishQueue(ROOMY);
  const answers = Array.from({ length: 5 }, () => queue.publish(three));
  const take = (eventsMax: number, bytesMax: number) => {
    const taken = queue.take(eventsMax, bytesMax);
    for (const publish of taken) publish.resolve(RESULT);
    return taken.length;
  };
  assert.equal(take(6, 1_000_000), 2);
  assert.equal(take(1, 1_000_000), 1);
  assert.equal(take(1000, batchBytes(three)), 1);
  assert.equal(take(1000, 1_000_000), 1);
  await Promise.all(answers);
});

test('an arrival resolves when enough batches wait, or when its time is up', async () => {
  const queue = new PublishQueue(ROOMY);
  let hasArrived = false;
  const arrival = queue.arrival(() => queue.waiting >= 2).then(() => (hasArrived = true));
  const answers = [queue.publish(three)];
  await new Promise(setImmediate);
  assert.equal(hasArrived, false, 'one is not enough');
  answers.push(queue.publish(three));
  await arrival;
  await queue.arrival(() => queue.waiting >= 2);
  await queue.arrival(() => queue.waiting >= 3, 1);
  assert.equal(queue.waiting, 2);
  for (const publish of queue.take(1000, 1_000_000)) publish.resolve(RESULT);
  await Promise.all(answers);
});

test('a closed queue refuses new batches, hands out the waiting ones, and then reports that it is empty', async () => {
  const queue = new PublishQueue(ROOMY);
  const waiting = queue.publish(three);
  queue.close();
  await assert.rejects(queue.publish(three), QueueFull);
  queue.take(1000, 1_000_000)[0]!.resolve(RESULT);
  await waiting;
  assert.deepEqual(queue.take(1000, 1_000_000), []);

  const idle = new PublishQueue(ROOMY);
  const arrival = idle.arrival(() => idle.waiting > 0);
  idle.close();
  await arrival;
  await idle.arrival(() => idle.waiting > 0);
  assert.deepEqual(idle.take(1000, 1_000_000), []);
});
