import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { JsonScanner, JsonSyntaxError, TooDeep } from '../../src/event/json-scanner.ts';

class Compactor extends JsonScanner {
  compact(text: string): { text: string; fault: string | null } {
    const bytes = Buffer.from(text);
    this.begin(bytes);
    this.value(0);
    if (this.peek() !== -1) throw this.unexpected('the end');
    return { text: bytes.toString('utf8', 0, this.write), fault: this.fault };
  }
}

const compact = (text: string, depthMax = 100) => new Compactor(depthMax).compact(text);

/** The tokens of a valid JSON text, in order. Compacting must not change them. */
const tokens = (text: string) => text.match(/"(?:[^"\\]|\\.)*"|[^\s"{}[\]:,]+|[{}[\]:,]/gs) ?? [];

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function scans(text: string): boolean {
  try {
    compact(text);
    return true;
  } catch (error) {
    if (error instanceof JsonSyntaxError) return false;
    throw error;
  }
}

test('JSON of any shape keeps every token and loses the whitespace between them', () => {
  const spaced = fc.tuple(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom('', ' ', '\t', '  '));
  fc.assert(
    fc.property(spaced, ([value, indent]) => {
      const text = JSON.stringify(value, null, indent);
      assert.equal(compact(text).text, JSON.stringify(value));
    }),
    { numRuns: 2000 },
  );
});

test('texts with one byte changed, dropped or inserted are accepted exactly when JSON.parse accepts them', () => {
  const marks = Array.from('{}[]:,"\\ \n\t0129.eE+-truefalsn\u0001ué😀');
  const edited = fc
    .tuple(fc.jsonValue({ maxDepth: 4 }), fc.nat(), fc.constantFrom(...marks, ''), fc.nat(2))
    .map(([value, at, mark, cut]) => {
      const text = JSON.stringify(value, null, at % 3);
      const place = at % (text.length + 1);
      return (text.slice(0, place) + mark + text.slice(place + cut)).toWellFormed();
    });
  fc.assert(
    fc.property(edited, (text) => {
      assert.equal(scans(text), parses(text), JSON.stringify(text));
      if (scans(text)) assert.deepEqual(tokens(compact(text).text), tokens(text));
    }),
    { numRuns: 20_000 },
  );
});

test('corner cases of the grammar are judged as JSON.parse judges them', () => {
  const texts = [
    '', ' ', '0', '-0', '-', '01', '1.', '.5', '1e', '1e+', '1E-07', '-1.0e5', '+1', '0x10', 'NaN', 'nul', 'nulll',
    'true', 'tru', '"', '"a', '"\\', '"\\"', '"\\x"', '"\\u12"', '"\\u12g4"', '"\\u00e9"', '"\t"', '"\u007f"',
    '[', ']', '[,]', '[1,]', '[1 2]', '[[]]', '{', '}', '{,}', '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', "{'a':1}",
    '{"a":1 "b":2}', '{"a":1}}', '[1]x', '"a""b"', '\u00a01', '1\u2028', '[1,2,3', '{"a":[}', '"\\/\\b\\f\\n\\r\\t"',
  ]; // prettier-ignore
  for (const text of texts) assert.equal(scans(text), parses(text), JSON.stringify(text));
});

test('numbers keep their digits', () => {
  const text = '[9007199254740993, 1.0000000000000000001, 1e400, -0.0, 123456789012345678901234567890]';
  assert.equal(compact(text).text, text.replaceAll(' ', ''));
});

test('a repeated name is noticed at any depth, however it is escaped and however large the object', () => {
  const many = Array.from({ length: 40 }, (_, i) => `"k${i}":${i}`).join(',');
  for (const text of [
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"\\u0061":1,"a":2}',
    '[{"x":{"b":1,"c":2,"b":3}}]',
    `{${many},"k3":0}`,
    `{${many},"k39":0}`,
    '{"__proto__":1,"__proto__":2}',
    '{"":1,"":2}',
  ]) {
    assert.match(compact(text).fault ?? '', /appears twice/, text);
  }
  for (const text of [
    '{"a":1,"b":{"a":1}}',
    '[{"a":1},{"a":1}]',
    '{"a":{"b":1},"b":2}',
    `{${many}}`,
    '{"__proto__":1,"constructor":2,"toString":3}',
  ]) {
    assert.equal(compact(text).fault, null, text);
  }
});

test('half a surrogate pair is noticed, a whole one is accepted', () => {
  for (const text of [
    '"\\ud800"',
    '"\\udc00"',
    '"\\ud800\\ud800"',
    '"\\ud800x"',
    '{"\\uDFFF":1}',
    '"\\udc00\\ud800"',
  ]) {
    assert.match(compact(text).fault ?? '', /surrogate/, text);
  }
  assert.equal(compact('"\\ud83d\\ude00 😀"').fault, null);
});

test('nesting up to the limit is read, and a deeper text is refused without exhausting the stack', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  assert.equal(compact(nested(100)).text, nested(100));
  assert.throws(() => compact(nested(101)), TooDeep);
  assert.throws(() => compact('['.repeat(5_000_000)), TooDeep);
  assert.throws(() => compact('{"a":'.repeat(500_000)), TooDeep);
});

test('a syntax error says what was expected, what was found, and where', () => {
  assert.throws(() => compact('{"a":1,}'), {
    message: 'expected a name in double quotes, but found "}" at byte 7',
  });
  assert.throws(() => compact('[1'), { message: 'expected "," or "]", but the text ends at byte 2' });
});
