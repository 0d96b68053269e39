import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Breakage, type Change, changed, changesOf } from '../lab/breakages/breakage.ts';
import { BREAKAGES } from '../lab/breakages/lists/all.ts';
import { OUTCOMES, type Outcome, isExpected, runBreakages } from '../lab/breakages/run.ts';
import { pathOf, textOf } from '../lab/repository.ts';
import { tempFolder } from '../packages/aggregator/test/support/temp-folder.ts';
import { RUNS, shapeChange } from '../torture/runs-of-keys.ts';
import { FUZZED, INSTANCES_TORTURED, POWER_LOST, TORTURED } from './faults/breakages.ts';

test('every breakage fits the current sources and leaves them valid', () => {
  const forFaults = [TORTURED, INSTANCES_TORTURED, POWER_LOST, FUZZED].flatMap((broken) =>
    Object.values(broken),
  );
  const all = [...BREAKAGES.map(changesOf), ...forFaults, [shapeChange(RUNS.small)]];
  assert.deepEqual(
    all.flatMap((changes) => misfit(changes) ?? []),
    [],
  );
});

function misfit(changes: readonly Change[]): string | null {
  try {
    const texts = new Map<string, string>();
    for (const change of changes) {
      const text = changed(texts.get(change.file) ?? textOf(change.file), change);
      assert.notEqual(change.replace, change.find);
      texts.set(change.file, text);
    }
    for (const [file, text] of texts) {
      assert.doesNotThrow(
        () => stripTypeScriptTypes(text),
        `${file} is not valid TypeScript after changing ${changes[0]!.find}`,
      );
    }
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test('every breakage has a sentence of its own and names existing tests', () => {
  const sentences = BREAKAGES.map(({ breaks }) => breaks);
  assert.deepEqual(
    sentences.filter((sentence, i) => sentences.indexOf(sentence) !== i || !/^[A-Z].*\.$/.test(sentence)),
    [],
  );
  for (const { tests } of BREAKAGES) {
    assert.ok(tests.length > 0);
    for (const file of tests) assert.ok(existsSync(pathOf(file)), `${file} does not exist`);
  }
});

test('a text to find that is missing or occurs twice is reported with its file', () => {
  const change: Change = { file: 'a.ts', find: 'x = 1', replace: 'x = 2' };
  assert.equal(changed('let x = 1;', change), 'let x = 2;');
  assert.throws(() => changed('let x = 3;', change), /a\.ts does not hold: x = 1/);
  assert.throws(() => changed('x = 1; x = 1;', change), /a\.ts holds more than once: x = 1/);
});

/** A repository of one source and two tests, one of which never checks anything. */
function smallRepository(t: TestContext): string {
  const root = tempFolder(t);
  for (const folder of ['packages', 'node_modules/@chronicleweaver'])
    mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(root, 'double.ts'), 'export function double(n: number): number { return 2 * n; }\n');
  const looks = `import { test } from 'node:test';
    import assert from 'node:assert/strict';
    import { double } from './double.ts';`;
  writeFileSync(
    join(root, 'looks.test.ts'),
    `${looks} test('four is twice two', () => assert.equal(double(2), 4));`,
  );
  writeFileSync(join(root, 'sleeps.test.ts'), `${looks} test('anything goes', () => { double(2); });`);
  writeFileSync(
    join(root, 'fails.test.ts'),
    `${looks} test('five is twice two', () => assert.equal(double(2), 5));`,
  );
  return root;
}

test('a noticed breakage is reported with the test that noticed it, an unnoticed one is found, and the original stays unchanged', async (t) => {
  const original = smallRepository(t);
  const told: string[] = [];
  await runBreakages(
    [
      broken({}),
      broken({ tests: ['sleeps.test.ts'] }),
      broken({ tests: ['fails.test.ts'] }),
      broken({ tests: ['sleeps.test.ts'], find: 'return 2 * n;', replace: 'for (;;);' }),
    ],
    { workers: 2, graceMs: 1000, original },
    ({ breakage: { replace, tests }, outcome, by }) =>
      told.push([replace, ...tests, outcome, by].join(' | ')),
  );
  assert.deepEqual(told.toSorted(), [
    '3 * n | fails.test.ts | fails unbroken | five is twice two',
    '3 * n | looks.test.ts | noticed | four is twice two',
    '3 * n | sleeps.test.ts | survived | ',
    'for (;;); | sleeps.test.ts | timed out | ',
  ]);
  assert.match(readFileSync(join(original, 'double.ts'), 'utf8'), /return 2 \* n;/);
});

test('a breakage must be noticed unless it says that it cannot be; then it must survive', () => {
  const survives = 'twice is thrice here';
  const isFine = (outcome: Outcome, change: Partial<Breakage>): boolean =>
    isExpected({ breakage: broken(change), outcome, by: null, ms: 1 });
  assert.deepEqual(
    OUTCOMES.map((outcome) => [outcome, isFine(outcome, {}), isFine(outcome, { survives })]),
    [
      ['noticed', true, false],
      ['survived', false, true],
      ['timed out', false, false],
      ['fails unbroken', false, false],
    ],
  );
  assert.ok(isFine('timed out', { hangs: true }));
  assert.ok(isFine('noticed', { hangs: true }));
});

function broken(change: Partial<Breakage>): Breakage {
  return {
    file: 'double.ts',
    find: '2 * n',
    replace: '3 * n',
    breaks: 'It triples.',
    tests: ['looks.test.ts'],
    ...change,
  };
}
