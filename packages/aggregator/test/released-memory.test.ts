import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { freeMemory, ownBuffer } from '../src/released-memory.ts';

test('memory is freed if a view covers all of it, or if it was allocated to be freed', () => {
  const whole = new Int32Array(1000);
  freeMemory(whole);
  assert.equal(whole.length, 0);
  const part = ownBuffer(10_000).subarray(10, 20);
  freeMemory(part);
  assert.equal(part.length, 0);
});

test('memory that a view shares with others is left alone', () => {
  const memory = new Uint8Array(100).fill(7);
  freeMemory(memory.subarray(0, 99));
  assert.equal(memory[0], 7);
  const small = Buffer.from('in the pool that Node keeps for small buffers');
  const neighbour = Buffer.from('beside it');
  assert.equal(small.buffer, neighbour.buffer);
  freeMemory(small);
  assert.equal(neighbour.toString(), 'beside it');
});

test('threads that start at the same time both find the function that collects garbage', async () => {
  // This one has loaded the module, and the other is about to ask V8.
  const other = new Worker("process.exitCode = typeof gc === 'function' ? 0 : 1", { eval: true });
  assert.deepEqual(await once(other, 'exit'), [0]);
});
