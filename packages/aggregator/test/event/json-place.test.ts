import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { jsonAt, membersIn, parsePointer, textAt, withoutMember } from '../../src/event/json-place.ts';

test('a pointer leads to the value that JSON.parse finds there, and nowhere else', () => {
  const steps = fc.array(fc.oneof(fc.constantFrom('a', '0', '1', '', 'b"', '\\'), fc.string()), {
    maxLength: 3,
  });
  fc.assert(
    fc.property(fc.json(), steps, (text, path) => {
      const value: unknown = JSON.parse(text);
      const json = JSON.stringify(value);
      let expected: unknown = value;
      for (const name of path) {
        const isThere =
          typeof expected === 'object' &&
          expected !== null &&
          Object.hasOwn(expected, name) &&
          (!Array.isArray(expected) || /^(?:0|[1-9]\d*)$/.test(name));
        expected = isThere ? (expected as Record<string, unknown>)[name] : undefined;
      }
      assert.equal(jsonAt(json, path), JSON.stringify(expected));
      if (typeof expected === 'string') assert.equal(textAt(json, path), expected);
    }),
    { numRuns: 500 },
  );
});

test('a member is found whatever stands before it, and numbers keep their digits', () => {
  const json =
    '{"x":{"id":"no","y":["}","]",{"id":1}]},"\\u0069d":90071992547409931,"z":[[],{},[1.0,"\\"a"]]}';
  assert.equal(textAt(json, ['id']), '90071992547409931');
  assert.equal(textAt(json, ['x', 'y', '2', 'id']), '1');
  assert.equal(jsonAt(json, ['z', '2', '0']), '1.0');
  assert.equal(textAt(json, ['z', '2', '1']), '"a');
  for (const path of [['z', '3'], ['z', '00'], ['x', 'id', 'length'], ['y'], ['z', '0', '0']]) {
    assert.equal(jsonAt(json, path), undefined, path.join());
  }
  assert.equal(textAt(json, ['x']), undefined);
});

test('the members of an object are found, and none in anything else', () => {
  const json = '{"a":{"b":1},"\\u0062":"}","__proto__":[1.0]}';
  assert.deepEqual(
    [...membersIn(json)],
    [
      ['a', '{"b":1}'],
      ['b', '"}"'],
      ['__proto__', '[1.0]'],
    ],
  );
  for (const none of ['', '{}', '["a"]', '"a"', '1']) assert.equal(membersIn(none).size, 0);
});

test('a member is left out, with one comma', () => {
  for (const [json, rest] of [
    ['{"a":1,"b":{"a":2},"c":3}', '{"b":{"a":2},"c":3}'],
    ['{"b":{"a":2},"a":[1,"}"],"c":3}', '{"b":{"a":2},"c":3}'],
    ['{"b":{"a":2},"a":"x"}', '{"b":{"a":2}}'],
    ['{"a":1}', '{}'],
    ['{"b":{"a":2}}', '{"b":{"a":2}}'],
    ['{}', '{}'],
    ['["a"]', '["a"]'],
  ] as const) {
    assert.equal(withoutMember(json, 'a'), rest);
  }
});

test('a JSON pointer is read as RFC 6901 writes it', () => {
  assert.deepEqual(parsePointer(''), []);
  assert.deepEqual(parsePointer('/a~1b/~01//0'), ['a/b', '~1', '', '0']);
  for (const wrong of ['a', 'a/b', '/~', '/~2']) assert.equal(parsePointer(wrong), undefined);
});
