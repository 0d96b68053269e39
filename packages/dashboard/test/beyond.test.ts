import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countBeyond } from '../src/groups/beyond.ts';
import { parseExact } from '../src/json/exact-json.ts';
import { itemsIn } from '../src/json/fields.ts';
import { patternsIn } from '../src/live/patterns.ts';

const topics = itemsIn(
  parseExact(`{"topics":[
    {"topic":"orders.eu","events":10,"first_offset":11,"last_offset":20},
    {"topic":"orders.us","events":5,"first_offset":3,"last_offset":9},
    {"topic":"orders","events":0,"first_offset":null,"last_offset":30},
    {"topic":"jobs","events":90071992547409930,"first_offset":2,"last_offset":90071992547409931}]}`),
  'topics',
);

test('what lies beyond an offset is counted where it is certain, and bounded where it is not', () => {
  const count = (offset: bigint, ...patterns: string[]) => countBeyond(topics, patterns, offset);
  assert.deepEqual(count(0n, 'orders.*'), { least: 15n, most: 15n, unsure: [] });
  assert.deepEqual(count(9n, '>').least, 10n);
  assert.deepEqual(count(10n, 'orders.>', 'orders'), { least: 10n, most: 10n, unsure: [] });
  assert.deepEqual(count(7n, 'orders.us'), { least: 0n, most: 2n, unsure: ['orders.us'] });
  assert.deepEqual(count(3n, 'orders.us'), { least: 0n, most: 4n, unsure: ['orders.us'] });
  assert.deepEqual(count(20n, 'orders.eu'), { least: 0n, most: 0n, unsure: [] });
  assert.equal(count(1n, 'jobs').most, 90071992547409930n, 'beyond 2^53, too');
  assert.deepEqual(count(0n, 'a.>.b', ''), { least: 0n, most: 0n, unsure: [] });
});

test('patterns are separated by blanks; quotation marks hold one together', () => {
  assert.deepEqual(patternsIn(' orders.>  "a b.*" payments.* '), ['orders.>', 'a b.*', 'payments.*']);
  assert.deepEqual(patternsIn('  '), []);
});
