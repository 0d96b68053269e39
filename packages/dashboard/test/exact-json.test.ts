import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { JsonFault, parseExact } from '../src/json/exact-json.ts';
import { field, itemsIn, plainText, roughly, textIn, writeExact } from '../src/json/fields.ts';

test('every number keeps its digits and its spelling', () => {
  for (const number of [
    '12345678901234567890',
    '9007199254740993',
    '-0',
    '1.0',
    '1E+2',
    '0.10000000000000000000000001',
    '1e400',
  ]) {
    const event = parseExact(`{"payload": {"n": ${number}, "list": [${number}]}}`);
    assert.equal(textIn(field(event, 'payload'), 'n'), number);
    assert.equal(writeExact(event), `{"payload":{"n":${number},"list":[${number}]}}`);
  }
});

test('names such as __proto__ and the order of members stay as they were', () => {
  const text = '{"b":1,"__proto__":{"a":2},"10":3,"2":4,"constructor":null}';
  assert.equal(writeExact(parseExact(text)), text);
});

test('it takes what JSON.parse takes, refuses what that refuses, and means the same', () => {
  fc.assert(
    fc.property(fc.json(), fc.string(), fc.nat(), (text, other, at) => {
      const changed = text.slice(0, at % (text.length + 1)) + other + text.slice(at % (text.length + 1));
      for (const one of [text, changed, JSON.stringify(JSON.parse(text), null, 2)]) {
        let expected: unknown;
        try {
          expected = JSON.parse(one);
        } catch {
          assert.throws(() => parseExact(one), JsonFault, one);
          continue;
        }
        assert.deepEqual(JSON.parse(writeExact(parseExact(one))), expected, one);
        assert.deepEqual(JSON.parse(writeExact(parseExact(one), 2)), expected, one);
      }
    }),
  );
});

test('a member that is missing, null or of another kind is no failure: a service of another version may send it', () => {
  const answer = parseExact('{"lag": null, "topics": {"a": 1}, "deep": {"er": "x"}}');
  assert.equal(textIn(answer, 'lag'), '');
  assert.equal(textIn(answer, 'none'), '');
  assert.ok(Number.isNaN(roughly(answer, 'lag')));
  assert.deepEqual(itemsIn(answer, 'topics'), []);
  assert.equal(textIn(field(answer, 'deep'), 'er'), 'x');
  assert.equal(plainText(undefined), '');
});

test('a fault says where it is', () => {
  assert.throws(() => parseExact('{"a": 01}'), /"," or "}".* character 7/);
  assert.throws(() => parseExact('[1,]'), /a value at character 3/);
});
