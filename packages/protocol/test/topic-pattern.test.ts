import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compileTopicPatterns, topicPatternCovers, topicPatternFault } from '../src/index.ts';

test('`*` takes one word, `>` the rest, anything else only itself', () => {
  const cases: [pattern: string, taken: string[], refused: string[]][] = [
    ['orders', ['orders'], ['orders.eu', 'order', 'ORDERS', 'xorders', '']],
    ['orders.*', ['orders.eu', 'orders.*', 'orders.'], ['orders', 'orders.eu.de', 'order.eu']],
    ['*.eu', ['orders.eu', '.eu'], ['eu', 'a.b.eu']],
    ['*', ['orders', '*', '>'], ['orders.eu']],
    ['orders.>', ['orders.eu', 'orders.eu.de', 'orders..'], ['orders', 'ordersx.eu']],
    ['*.eu.>', ['orders.eu.de', 'a.eu.b.c'], ['orders.eu', 'eu.de', 'a.b.c']],
    ['>', ['orders', 'orders.eu', '.', 'é 😀'], []],
    ['orders*', ['orders*'], ['orders', 'orders1']],
    ['a>', ['a>'], ['ab', 'a.b']],
    ['a..b', ['a..b'], ['a.b', 'a.x.b']],
    ['a.*.b', ['a.x.b', 'a..b'], ['a.b', 'a.x.y.b']],
    ['a.c+', ['a.c+'], ['a.cc', 'a.c']],
    ['__proto__', ['__proto__'], ['constructor']],
  ];
  for (const [pattern, taken, refused] of cases) {
    assert.equal(topicPatternFault(pattern), undefined, pattern);
    const matches = compileTopicPatterns([pattern]);
    for (const topic of taken) assert.ok(matches(topic), `${pattern} takes ${topic}`);
    for (const topic of refused) assert.ok(!matches(topic), `${pattern} does not take ${topic}`);
  }
});

test('one of several patterns is enough, and no patterns match nothing', () => {
  const matches = compileTopicPatterns(['orders', 'billing.*', 'a.>']);
  assert.deepEqual(['orders', 'billing.eu', 'a.b.c', 'billing', 'a'].map(matches), [true, true, true, false, false]); // prettier-ignore
  assert.equal(compileTopicPatterns([])('orders'), false);
});

test('patterns that no topic could match, or that are ambiguous, are faults', () => {
  assert.match(topicPatternFault('')!, /empty/);
  assert.match(topicPatternFault('a\0b')!, /NUL/);
  assert.match(topicPatternFault('a\ud800')!, /surrogate/);
  assert.match(topicPatternFault('>.a')!, /last word/);
  assert.match(topicPatternFault('a.>.>')!, /last word/);
  assert.match(topicPatternFault('a'.repeat(257))!, /256/);
  assert.match(topicPatternFault('😀'.repeat(257))!, /256/);
  assert.equal(topicPatternFault('😀'.repeat(256)), undefined);
});

test('patterns match what the recursive definition matches', () => {
  const word = fc.constantFrom('a', 'b', '', '*', '>', 'é', 'a*');
  const topic = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join('.'));
  const pattern = topic.filter((text) => topicPatternFault(text) === undefined);
  fc.assert(
    fc.property(fc.array(pattern, { maxLength: 4 }), topic, (patterns, topic) => {
      const expected = patterns.some((one) => takesByDefinition(one.split('.'), topic.split('.')));
      assert.equal(compileTopicPatterns(patterns)(topic), expected);
    }),
    { numRuns: 5000 },
  );
});

test('a pattern covers another if it matches everything that the other matches', () => {
  for (const [wide, covered, others] of [
    ['>', ['a', 'a.b', '*', '*.a', '>', 'a.>'], []],
    ['a.>', ['a.b', 'a.*', 'a.b.>', 'a.>'], ['a', '*', '>', '*.b', 'b.>']],
    ['*', ['a', '*'], ['a.b', '>']],
    ['a.*', ['a.b', 'a.*'], ['a.>', 'a', 'a.b.c', '*.*']],
    ['a.b', ['a.b'], ['a.*', 'a.>', 'a']],
  ] as const) {
    for (const narrow of covered) assert.ok(topicPatternCovers(wide, narrow), `${wide} covers ${narrow}`);
    for (const narrow of others)
      assert.ok(!topicPatternCovers(wide, narrow), `${wide} does not cover ${narrow}`);
  }
  const word = fc.constantFrom('a', 'b', '', '*', '>');
  const pattern = fc
    .array(word, { minLength: 1, maxLength: 4 })
    .map((words) => words.join('.'))
    .filter((text) => topicPatternFault(text) === undefined);
  fc.assert(
    fc.property(pattern, pattern, (wide, narrow) => {
      // A word that is in neither distinguishes a wildcard from a literal word.
      const some = narrow.replaceAll('*', 'z');
      const topics = some.endsWith('>') ? [some.replace(/>$/, 'z'), some.replace(/>$/, 'z.z')] : [some];
      assert.equal(topicPatternCovers(wide, narrow), topics.every(compileTopicPatterns([wide])));
    }),
    { numRuns: 3000 },
  );
});

function takesByDefinition([first, ...rest]: string[], words: string[]): boolean {
  if (first === undefined) return words.length === 0;
  const [word, ...left] = words;
  if (word === undefined) return false;
  if (first === '>' && rest.length === 0) return true;
  return (first === '*' || first === word) && takesByDefinition(rest, left);
}

test('the longest pattern against the longest topic is decided at once', () => {
  const matches = compileTopicPatterns([`${'*.'.repeat(127)}>`]);
  const began = performance.now();
  for (let i = 0; i < 1000; i++) assert.ok(!matches('.'.repeat(126)));
  assert.ok(performance.now() - began < 5000);
});
