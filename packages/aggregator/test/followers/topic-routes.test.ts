import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compileTopicFilter } from '../../src/store/topic-filter.ts';
import { TopicRoutes } from '../../src/followers/topic-routes.ts';

const aWord = fc.constantFrom('a', 'b', '', '*x', '>y');
const words = { minLength: 1, maxLength: 11 };
const aTopic = fc.array(fc.oneof(aWord, fc.constantFrom('*', '>')), words).map((all) => all.join('.'));
const aPattern = fc
  .tuple(fc.array(fc.oneof({ weight: 3, arbitrary: aWord }, fc.constant('*')), words), fc.boolean())
  .map(([all, isOpen]) => [...all.slice(0, isOpen ? -1 : undefined), ...(isOpen ? ['>'] : [])].join('.'));
const aFilter = fc.oneof(
  aTopic.map((topic) => ({ topic })),
  fc.array(fc.array(aPattern, { minLength: 1, maxLength: 3 }), { maxLength: 2 }).map((topicPatterns) => ({ topicPatterns })), // prettier-ignore
);

test('a topic finds every filter that matches it, until the filter is removed', () => {
  fc.assert(
    fc.property(
      fc.array(aFilter, { maxLength: 12 }),
      fc.array(aTopic, { minLength: 1 }),
      (filters, topics) => {
        const routes = new TopicRoutes<number>();
        for (const [i, filter] of filters.entries()) routes.add(filter, i);
        for (const [i, filter] of filters.entries()) {
          for (const topic of topics) {
            const candidates = routes.candidates(topic);
            for (const [j, other] of filters.entries()) {
              if (j < i) assert.ok(!candidates.has(j), 'a removed filter is found');
              else if (compileTopicFilter(other)(topic))
                assert.ok(candidates.has(j), `${topic} does not find ${j}`);
            }
          }
          routes.delete(filter, i);
        }
        for (const topic of topics) assert.equal(routes.candidates(topic).size, 0);
      },
    ),
    { numRuns: 300 },
  );
});

test('a topic finds few of many filters', () => {
  const routes = new TopicRoutes<number>();
  for (let i = 0; i < 1000; i++) routes.add({ topicPatterns: [[`site.${i}.>`, `*.*.x${i}`]] }, i);
  assert.deepEqual([...routes.candidates('site.7.door')], [7]);
  assert.deepEqual([...routes.candidates('other.7.x12')], [12]);
  assert.equal(routes.candidates('other').size, 0);
});

test('topics and patterns with very many words are found as well', () => {
  const long = Array.from({ length: 100 }, () => 'a').join('.');
  for (const filter of [{ topic: long }, { topicPatterns: [[long]] }, { topicPatterns: [[`*.${long}.>`]] }]) {
    const routes = new TopicRoutes<string>();
    routes.add(filter, 'long');
    assert.equal(routes.candidates('topic' in filter ? long : `${long}.a.a`).size, 1);
    routes.delete(filter, 'long');
    assert.equal(routes.candidates(long).size, 0);
  }
});
