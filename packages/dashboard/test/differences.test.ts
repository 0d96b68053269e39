import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differencesOf } from '../src/duplicates/differences.ts';
import { durationWords } from '../src/duplicates/windows.ts';
import { parseExact } from '../src/json/exact-json.ts';

const differences = (kept: string, dropped: string) => differencesOf(parseExact(kept), parseExact(dropped));

test('two versions of an event differ where their tokens do', () => {
  const kept =
    '{"topic":"a","payload":{"n":1.0,"big":12345678901234567890,"list":[1,{"x":"y"}],"gone":true},"offset":3}';
  const dropped =
    '{"topic":"a","payload":{"n":1,"big":12345678901234567891,"list":[1,{"x":"z"}],"a b":null}}';
  assert.deepEqual(differences(kept, dropped), [
    { path: 'payload.n', kept: '1.0', dropped: '1' },
    { path: 'payload.big', kept: '12345678901234567890', dropped: '12345678901234567891' },
    { path: 'payload.list[1].x', kept: '"y"', dropped: '"z"' },
    { path: 'payload.gone', kept: 'true', dropped: undefined },
    { path: 'payload["a b"]', kept: undefined, dropped: 'null' },
  ]);
});

test('a different order of a payload is a difference, one of an event is none', () => {
  assert.deepEqual(differences('{"source":"s","topic":"a"}', '{"topic":"a","source":"s"}'), []);
  const [found] = differences('{"payload":{"a":1,"b":2}}', '{"payload":{"b":2,"a":1}}');
  assert.equal(found?.path, 'the order of members');
});

test('durations are told in words', () => {
  assert.deepEqual(['1s', '2m', '1h', '1d12h', '30d', ''].map(durationWords), [
    '1 second',
    '2 minutes',
    '1 hour',
    '1 day 12 hours',
    '30 days',
    '',
  ]);
});
