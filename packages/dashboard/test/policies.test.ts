import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExact } from '../src/json/exact-json.ts';
import { textIn } from '../src/json/fields.ts';
import { keptWords, policyFinder } from '../src/topics/policies.ts';

const POLICIES = parseExact(`{"count":4,"policies":[
  {"name":"all","topics":[">"],"keep":"events","max_age":"90d","max_bytes":10000000000,"max_events":null},
  {"name":"eu","topics":["orders.eu","orders.eu.>"],"keep":"events","max_age":null,"max_bytes":null,"max_events":1000},
  {"name":"orders","topics":["orders.>"],"keep":"events","max_age":"1d12h","max_bytes":null,"max_events":null},
  {"name":"metrics","topics":["metrics.*"],"keep":"ids","max_age":null,"max_bytes":null,"max_events":null}]}`);

test('a topic obeys the policy with the narrowest pattern that matches it [RET-2]', () => {
  const policyOf = policyFinder(POLICIES);
  const governing = (topic: string): string => textIn(policyOf(topic), 'name');
  for (const [topic, name] of [
    ['orders.eu', 'eu'],
    ['orders.eu.paid', 'eu'],
    ['orders.us', 'orders'],
    ['orders', 'all'],
    ['metrics.cpu', 'metrics'],
    ['metrics.cpu.0', 'all'],
  ] as const) {
    assert.equal(governing(topic), name, topic);
  }
  assert.equal(policyFinder(parseExact('{"message":"of another version"}'))('orders'), undefined);
});

test('what a policy keeps is told in words', () => {
  const policyOf = policyFinder(POLICIES);
  assert.deepEqual(
    ['x', 'orders.eu', 'orders.us', 'metrics.cpu'].map((topic) => keptWords(policyOf(topic)!)),
    ['90 days, 10.0 GB', '1,000 events', '1 day 12 hours', 'ids alone'],
  );
});
