import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APART, everydayParts } from '../lab/everyday/parts.ts';
import { LEFT_OUT, LONG, type Run, isWanted } from '../lab/everyday/left-out.ts';
import { filesOf, textOf } from '../lab/repository.ts';

/** What the scripts of package.json beside `npm test` run, as patterns. */
const OTHERS = [...textOf('package.json').matchAll(/\\"(tests\/\w+\/\*\.test\.ts)\\"/g)].map(
  ([, pattern]) => pattern!,
);

test('every test file is run once, by npm test or the long run; by the run on PostgreSQL alone; or by a script for its folder', () => {
  const filesOfRun = (run: Run) => everydayParts((file) => isWanted(file, run)).flatMap(({ files }) => files);
  const files = [...filesOfRun('everyday'), ...filesOfRun('long')];
  files.push(...filesOfRun('postgres').filter((file) => !files.includes(file)));
  assert.equal(new Set(files).size, files.length);
  assert.ok(OTHERS.length >= 4);
  assert.deepEqual([...files, ...filesOf(...OTHERS)].toSorted(), filesOf('**/*.test.{ts,js,mjs}'));
});

test('each test file that is left to the long run exists', () => {
  assert.deepEqual(filesOf(...LONG), LONG.toSorted());
});

test('each test file that is kept apart from the others exists', () => {
  assert.deepEqual(filesOf(...APART), APART.toSorted());
});

test('whatever the run on PostgreSQL leaves out exists', () => {
  for (const { files, tests = [] } of LEFT_OUT) {
    for (const file of files) assert.ok(filesOf(file, `${file}**/*.test.ts`).length > 0, file);
    const texts = files.filter((file) => !file.endsWith('/')).map(textOf);
    for (const name of tests)
      assert.ok(
        texts.some((text) => text.includes(name)),
        name,
      );
  }
});
