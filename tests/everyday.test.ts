import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APART, everydayParts } from '../lab/everyday/parts.ts';
import { filesOf, textOf } from '../lab/repository.ts';

/** What the scripts of package.json beside `npm test` run, as patterns. */
const OTHERS = [...textOf('package.json').matchAll(/\\"(tests\/\w+\/\*\.test\.ts)\\"/g)].map(
  ([, pattern]) => pattern!,
);

test('every test file is run by npm test, once, or by a script for its folder', () => {
  const everyday = everydayParts().flatMap(({ files }) => files);
  assert.ok(OTHERS.length >= 4);
  assert.deepEqual([...everyday, ...filesOf(...OTHERS)].toSorted(), filesOf('**/*.test.{ts,js,mjs}'));
});

test('each test file that is kept apart from the others exists', () => {
  assert.deepEqual(filesOf(...APART), APART.toSorted());
});
