import type { SeededRandom } from '../lab/random.ts';
import { hostileText, plainText } from './values.ts';

/** JSON as text: much of what is sent is not valid JSON, and what is valid must come back digit for digit. */

/** The JSON of a string, now and then with an escape where none is needed. */
export function stringText(random: SeededRandom, value: string): string {
  const text = JSON.stringify(value);
  if (!random.chance(0.1)) return text;
  return text.replace(/[a-z]/i, (char) =>
    // Never touch the letter of an existing escape.
    text.includes('\\') ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A valid value of any kind, at most `depth` deep, in which no name is repeated. */
function validValue(random: SeededRandom, depth: number): string {
  switch (random.whole(0, depth > 0 ? 7 : 5)) {
    case 0:
      return random.of(['null', 'true', 'false']);
    case 1:
      return random.of(['0', '-0', '1.0', '1E+2', '9007199254740993', '1e400', '-0.000', '7'.repeat(300)]);
    case 2:
      return String(random.whole(0, 1_000_000));
    case 3:
      return stringText(random, plainText(random));
    case 4:
      return JSON.stringify(
        random.of(['\0', '"', '\\', '\u2028', '\u001f', '</script>', '\u202e', '😀'.repeat(50)]),
      );
    case 5:
      return random.of(['"\\u0000"', '"\\ud83d\\ude00"', '"\\/"', '"\\u0041"', '""']);
    case 6:
      return `[${Array.from({ length: random.whole(0, 4) }, () => validValue(random, depth - 1)).join()}]`;
    default:
      return validObject(random, depth);
  }
}

export function validObject(random: SeededRandom, depth: number): string {
  const names = new Set(Array.from({ length: random.whole(0, 5) }, () => memberName(random)));
  return `{${[...names].map((name) => `${JSON.stringify(name)}:${validValue(random, depth - 1)}`).join()}}`;
}

/** Not `message` or `timestamp`: in a payload these have a meaning. */
function memberName(random: SeededRandom): string {
  return random.of([
    'a',
    'b',
    'n',
    '',
    ' ',
    'é',
    '😀',
    '__proto__',
    'constructor',
    'toJSON',
    'then',
    'offset',
    '\0',
    '0',
  ]);
}

/** What to put where a value belongs: values of any kind, huge ones, and text that is not JSON. */
export function hostileValue(random: SeededRandom): string {
  switch (random.whole(0, 9)) {
    case 0:
      return JSON.stringify(hostileText(random));
    case 1:
      // Raw, without escapes: control characters, half surrogate pairs.
      return `"${hostileText(random).replaceAll('"', '')}"`;
    case 2:
      return random.of([
        '1e999999',
        '-1e999999',
        `1${'0'.repeat(100_000)}`,
        `0.${'0'.repeat(10_000)}1`,
        '01',
        '+1',
        '.5',
        '1.',
      ]);
    case 3: {
      const depth = random.of([99, 100, 101, 1000, 20_000] as const);
      return random.chance(0.5)
        ? '['.repeat(depth) + ']'.repeat(depth)
        : '{"a":'.repeat(depth) + '0' + '}'.repeat(depth);
    }
    case 4:
      return random.of([
        'NaN',
        'undefined',
        "'x'",
        '{a:1}',
        '[1,]',
        '{"a":1,}',
        '/*x*/1',
        '"\\x41"',
        '"\\u12"',
        '"\\ud800"',
        '',
      ]);
    case 5: {
      const members = random.of([17, 200, 20_000] as const);
      const twice = random.chance(0.5) ? ',"0":0' : '';
      return `{${Array.from({ length: members }, (_, i) => `"${i}":0`).join()}${twice}}`;
    }
    case 6:
      return random.of([
        '{"__proto__":{"admin":true}}',
        '{"constructor":{"prototype":{"x":1}}}',
        '{"a":1,"a":2}',
        '{"a":1,"\\u0061":2}',
      ]);
    case 7:
      return validObject(random, 3);
    case 8:
      return `"${'x'.repeat(random.of([256, 257, 512, 513, 100_000] as const))}"`;
    default:
      return validValue(random, 2);
  }
}

/** Damages a text the way a broken or malicious client would. */
export function brokenText(random: SeededRandom, text: string): string {
  const at = random.whole(0, text.length);
  switch (random.whole(0, 7)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + text.slice(at + random.whole(1, 10));
    case 2:
      return text.slice(0, at) + hostileText(random) + text.slice(at);
    case 3:
      return `\ufeff${text}`;
    case 4:
      return text + random.of([']', '}', ',', '\0', '{}', 'x', '\ufeff'] as const);
    case 5:
      return text.replaceAll('"', random.of(["'", '', '“'] as const));
    case 6:
      return text.replace(/[,:[\]{}]/g, (mark) =>
        random.chance(0.05) ? random.of([',', ':', '[', ']', '{', '}']) : mark,
      );
    default:
      return ' '.repeat(random.of([1, 100, 100_000] as const)) + text;
  }
}
