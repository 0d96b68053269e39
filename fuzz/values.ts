import type { SeededRandom } from '../lab/random.ts';

/** Texts known to break programs: paths, SQL, headers, prototypes, encodings, numbers, patterns, times. */
const TEXTS: readonly [string, ...string[]] = [
  '',
  ' ',
  '.',
  '..',
  '../',
  '../../../../etc/passwd',
  '..%2f..%2fetc%2fpasswd',
  '%2e%2e',
  '..\\..\\windows',
  '/',
  '//',
  '%',
  '%00',
  '%zz',
  '\0',
  'a\0b',
  "'",
  "' OR '1'='1",
  `"; DROP TABLE block; --`,
  '`',
  '\r\nX-Injected: yes',
  '\nX-Injected: yes',
  '\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
  '\u0085\u2028\u2029',
  '\u202egnp.exe',
  '\u200b',
  '\ufeff',
  '\ufffe\uffff',
  '😀',
  '👩‍👩‍👧‍👦',
  'é',
  'e\u0301',
  'ı',
  'ß',
  '漢字',
  '\ud800',
  '\udfff',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'null',
  'undefined',
  'true',
  'NaN',
  'Infinity',
  '-Infinity',
  '0',
  '-0',
  '-1',
  '00',
  '+1',
  '1.0',
  '1e3',
  '1e999999',
  '0x10',
  '9007199254740991',
  '9007199254740993',
  '18446744073709551616',
  '9'.repeat(400),
  '${7*7}',
  '{{7*7}}',
  '$(id)',
  '; id',
  '<script>alert(1)</script>',
  '*',
  '>',
  'a.*',
  'a.>',
  '>.a',
  'a..b',
  '**',
  '2025-10-28',
  '2025-10-28T10:00:00Z',
  '2025-02-30',
  '9999-12-31T23:59:60Z',
  `2025-10-28T10:00:00.${'0'.repeat(5000)}Z`,
  `2025-10-28${' '.repeat(5000)}`,
  '1'.repeat(64),
  'asc',
  'earliest',
  'latest',
  'orders',
];

/** Lengths around the limits of names and of request heads. */
const LENGTHS = [1, 127, 128, 129, 255, 256, 257, 511, 512, 513, 2048, 6145] as const;
const CHARS = ['x', 'é', '漢', '😀', '.', '%', '"', '\\', 'a.'] as const;

/** A text that may cause trouble. */
export function hostileText(random: SeededRandom): string {
  if (random.chance(0.2)) return random.of(CHARS).repeat(random.of(LENGTHS));
  if (random.chance(0.2)) return hostileText(random) + hostileText(random);
  if (random.chance(0.1)) return randomText(random, random.whole(1, 40));
  return random.of(TEXTS);
}

/** Characters from all of Unicode, now and then half a surrogate pair. */
function randomText(random: SeededRandom, chars: number): string {
  const ceilings = [0x7f, 0xff, 0xffff, 0x10ffff] as const;
  return String.fromCodePoint(...Array.from({ length: chars }, () => random.whole(0, random.of(ceilings))));
}

/** A text that is valid in any name. */
export function plainText(random: SeededRandom): string {
  return random.of([
    'orders',
    'web',
    'a',
    'sensor.7',
    'Größe',
    '日本',
    '😀',
    'x y',
    "it's",
    'a/b',
    '100%',
    '__proto__',
  ]);
}

/** Percent-encodes what a path or a query must encode, and sometimes more. */
export function escaped(random: SeededRandom, text: string): string {
  // Half a surrogate pair has no UTF-8 and becomes U+FFFD.
  const percent = (char: string): string =>
    [...Buffer.from(char)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  const written = (char: string): string =>
    /[\w.~-]/.test(char) && !random.chance(0.05) ? char : percent(char);
  return Array.from(text, written).join('');
}
