import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROBLEMS } from '@chronicleweaver/protocol';
import { filesOf, tableRows, textOf } from '../lab/repository.ts';

/** This file cites ids that do not exist. */
const THIS_FILE = 'tests/protocol-rules.test.ts';

/** The ids that a text gives to rules, in order. */
function definedIn(protocol: string): string[] {
  return [...protocol.matchAll(/^- \*\*\[([A-Z]+-\d+)\]/gm)].map(([, id]) => id!);
}

/** Anything in brackets that looks like a citation, with any prefix: `[P-1, PUB-3]`. */
function citedIn(text: string): string[] {
  return [...text.matchAll(/\[([A-Z]+-\d+(?:,\s*[A-Z]+-\d+)*)\]/g)].flatMap(([, ids]) => ids!.split(/,\s*/));
}

/** Every id of a rule's prefix, in brackets or not. */
function mentionedIn(text: string, prefixes: ReadonlySet<string>): string[] {
  const ids = text.matchAll(/(?<![\w-])([A-Z]+)-\d+(?![\w-])/g);
  return [...ids].filter(([, prefix]) => prefixes.has(prefix!)).map(([id]) => id);
}

const defined = definedIn(textOf('PROTOCOL.md'));
const rules = new Set(defined);
const prefixes = new Set(defined.map((id) => id.split('-')[0]!));

test('each rule of the protocol has a unique id', () => {
  assert.ok(defined.length > 30, `only ${defined.length} rules were found`);
  assert.deepEqual(
    defined.filter((id, i) => defined.indexOf(id) !== i),
    [],
  );
});

test('every rule that code, tests and documents cite is in the protocol', () => {
  const files = filesOf(
    'packages/*/{src,test}/**/*.ts',
    '{lab,tests}/**/*.ts',
    '*.md',
    'docs/**/*.md',
  ).filter((file) => file !== THIS_FILE);
  assert.ok(files.length > 30, `only ${files.length} files were found`);
  const unknown = files.flatMap((file) => {
    const text = textOf(file);
    const ids = new Set([...citedIn(text), ...mentionedIn(text, prefixes)]);
    return [...ids].filter((id) => !rules.has(id)).map((id) => `${file} cites ${id}`);
  });
  assert.deepEqual(unknown, []);
});

test('every rule of the protocol is cited by a test', () => {
  const tests = filesOf('packages/*/test/**/*.test.ts', 'tests/**/*.test.ts').filter(
    (file) => file !== THIS_FILE,
  );
  const cited = new Set(tests.flatMap((file) => citedIn(textOf(file))));
  assert.deepEqual(
    defined.filter((id) => !cited.has(id)),
    [],
  );
});

test('citations are recognized', () => {
  assert.deepEqual(definedIn('- **[XY-1] Title.** as in [XY-2]\n- **[XY-3]** text'), ['XY-1', 'XY-3']);
  assert.deepEqual(citedIn("test('it holds [XY-1, Q-22]') // by XY-3, in UTF-8 [0-9] [A-Z]"), [
    'XY-1',
    'Q-22',
  ]);
  assert.deepEqual(mentionedIn('by XY-1 and (XY-22), not UTF-8, XY-3a or AXY-4', new Set(['XY'])), [
    'XY-1',
    'XY-22',
  ]);
});

test("the protocol's table of problems matches the service's [ERR-1]", () => {
  const rows = tableRows(textOf('PROTOCOL.md'), '`invalid_json`');
  const listed = rows
    .flatMap(([code, status, code2, status2]) => [
      [code, status],
      [code2, status2],
    ])
    .filter(([code]) => code !== '')
    .map(([code, status]) => [code!.replaceAll('`', ''), Number(status)] as const);
  assert.equal(new Set(listed.map(([code]) => code)).size, listed.length, 'a code is listed twice');
  const answered = Object.entries(PROBLEMS).map(([code, { status }]) => [code, status] as const);
  assert.deepEqual(Object.fromEntries(listed), Object.fromEntries(answered));
});
