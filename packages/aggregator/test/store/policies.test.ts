import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, compileTopicPatterns } from '@chronicleweaver/protocol';
import * as fc from 'fast-check';
import { compileBareTopics, exceptionsTo, governedBy, outcomeOfPut } from '../../src/store/policies.ts';
import type { Policy } from '../../src/store/retention-store.ts';
import { compileTopicFilter } from '../../src/store/topic-filter.ts';
import { policyWith } from '../support/letting-go.ts';

/** Every topic of up to four words, of a few. One word stands for all that no pattern spells. */
const TOPICS = [1, 2, 3, 4].flatMap((length) =>
  Array.from({ length: 3 ** length }, (_, i) =>
    Array.from({ length }, (_, at) => ['a', 'b', 'other'][Math.floor(i / 3 ** at) % 3]!).join('.'),
  ),
);

const patterns = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([words, isOpen]) => [...words, ...(isOpen ? ['>'] : [])].join('.'));
const pattern = fc.oneof({ arbitrary: patterns, weight: 9 }, { arbitrary: fc.constant('>'), weight: 1 });

/** Policies that were put one after another; those that contradict another one are not there. */
const policySets = fc
  .array(fc.tuple(fc.uniqueArray(pattern, { minLength: 1, maxLength: 3 }), fc.boolean()), { maxLength: 6 })
  .map((all) =>
    all.reduce<Policy[]>((policies, [topics, isBare], i) => {
      const policy = policyWith({ name: `p-${i}`, topics, keep: isBare ? 'ids' : 'events' });
      return outcomeOfPut(policies, policy).kind === 'created' ? [...policies, policy] : policies;
    }, []),
  );

/** What a pattern matches, by looking. */
function matchedBy(one: string): ReadonlySet<string> {
  return new Set(TOPICS.filter(compileTopicPatterns([one])));
}

test('each topic that a policy matches is governed by one, whose pattern lies within all others that match it [RET-2]', () => {
  fc.assert(
    fc.property(policySets, (policies) => {
      const governs = policies.map((policy) => compileTopicFilter(governedBy(policies, policy)));
      const isBare = compileBareTopics(policies) ?? (() => false);
      const matched = new Map(policies.flatMap(({ topics }) => topics).map((one) => [one, matchedBy(one)]));
      for (const topic of TOPICS) {
        const matching = policies.flatMap((policy) =>
          policy.topics.filter((one) => matched.get(one)!.has(topic)).map((one) => ({ policy, one })),
        );
        const owners = policies.filter((_, i) => governs[i]!(topic));
        assert.equal(owners.length, matching.length === 0 ? 0 : 1, topic);
        const [owner] = owners;
        const own = matching.filter(({ policy }) => policy === owner).map(({ one }) => matched.get(one)!);
        for (const { policy, one } of matching) {
          if (policy === owner) continue;
          assert.ok(own.some((narrow) => narrow.isSubsetOf(matched.get(one)!) && narrow.size < matched.get(one)!.size), `${topic} ${one}`); // prettier-ignore
        }
        assert.equal(isBare(topic), owner?.keep === 'ids');
      }
    }),
    { numRuns: 300 },
  );
});

test('a policy is refused if and only if it shares a topic with another one by patterns of which none lies within the other [RET-2, RET-11]', () => {
  fc.assert(
    fc.property(pattern, pattern, (one, other) => {
      const policies = [policyWith({ name: 'one', topics: [one] })];
      const [first, second] = [matchedBy(one), matchedBy(other)];
      const isNested = first.isSubsetOf(second) !== second.isSubsetOf(first);
      const { kind } = outcomeOfPut(policies, policyWith({ name: 'other', topics: [other] }));
      assert.equal(kind, first.isDisjointFrom(second) || isNested ? 'created' : 'overlaps');
    }),
    { numRuns: 1000 },
  );
});

test('beside as many policies as there may be no other one is put, but each of them can be changed', () => {
  const policies = Array.from({ length: LIMITS.policiesMax }, (_, i) =>
    policyWith({ name: `p-${i}`, topics: [`t-${i}`] }),
  );
  const other = policyWith({ name: 'other', topics: ['other'] });
  assert.equal(outcomeOfPut(policies.slice(1), other).kind, 'created');
  assert.equal(outcomeOfPut(policies, other).kind, 'full');
  assert.equal(outcomeOfPut(policies, { ...policies[7]!, maxEvents: 1 }).kind, 'changed');
});

test('a policy knows its exceptions, and one within an exception is a rule again', () => {
  const rule = policyWith({ name: 'rule', topics: ['>'] });
  const orders = policyWith({ name: 'orders', topics: ['orders.>'] });
  const both = policyWith({ name: 'both', topics: ['orders.eu.*', 'bills'] });
  const policies = [rule, orders, both];
  assert.deepEqual(exceptionsTo(policies, rule), ['orders', 'both']);
  assert.deepEqual(exceptionsTo(policies, orders), ['both']);
  assert.deepEqual(exceptionsTo(policies, both), []);
  assert.deepEqual(governedBy(policies, both), { topicPatterns: [both.topics] });
  const isOf = policies.map((policy) => compileTopicFilter(governedBy(policies, policy)));
  const owners = ['orders', 'orders.eu', 'orders.eu.x', 'orders.eu.x.y', 'bills', 'bills.eu'].map((topic) =>
    policies.filter((_, i) => isOf[i]!(topic)).map(({ name }) => name),
  );
  assert.deepEqual(owners.flat(), ['rule', 'orders', 'both', 'orders', 'both', 'rule']);
});
