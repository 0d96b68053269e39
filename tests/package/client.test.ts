import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { transformSync } from 'esbuild';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { Site } from '../../lab/aggregator-process.ts';
import { pathOf, textOf } from '../../lab/repository.ts';
import { packed } from './packed.ts';
import { runtime } from './runtimes.ts';

const run = promisify(execFile);
const DIST = pathOf('packages/client/dist');

/** A project that has the packed client installed and nothing else. */
const project = mkdtempSync(join(tmpdir(), 'chronicleweaver-'));
after(() => rmSync(project, { recursive: true, force: true }));

before(async () => {
  await packed('packages/client', project);
  const { code } = transformSync(textOf('tests/package/exercise.ts'), { loader: 'ts', target: 'es2022' });
  writeFileSync(join(project, 'exercise.js'), code);
  const main = "import { exercise } from './exercise.js';\nconsole.log(await exercise(process.argv[2]));\n";
  writeFileSync(join(project, 'main.js'), main);
});

test('publint finds nothing to mend in the package', async () => {
  const { messages, pkg } = await publint({ pkgDir: DIST, strict: true });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, pkg ?? {})),
    [],
  );
});

test('its types are found the way its code is (arethetypeswrong)', async () => {
  // ES module only: require() of it works where Node.js itself can, from 20.19 on.
  const attw = pathOf('node_modules/@arethetypeswrong/cli/dist/index.js');
  await run(process.execPath, [attw, '--pack', DIST, '--profile', 'esm-only', '--no-color']).catch(
    ({ stdout }: { stdout: string }) => assert.fail(stdout),
  );
});

test('its types need only those of a browser, and pass with library checks on', async () => {
  const folder = join(project, 'types');
  mkdirSync(folder);
  writeFileSync(join(folder, 'exercise.ts'), textOf('tests/package/exercise.ts'));
  const compilerOptions = {
    strict: true,
    skipLibCheck: false,
    noEmit: true,
    types: [],
    lib: ['es2022', 'dom'],
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  await run(process.execPath, [pathOf('node_modules/typescript/bin/tsc'), '-p', folder]).catch(
    ({ stdout }: { stdout: string }) => assert.fail(stdout),
  );
});

const COMMANDS = {
  'Node.js 20': ['node20/bin/node', 'main.js'],
  Deno: ['.bin/deno', 'run', '--allow-net', '--allow-env', 'main.js'],
  Bun: ['.bin/bun', 'main.js'],
} as const;

for (const [name, command] of Object.entries(COMMANDS)) {
  test(`it works on ${name}`, { timeout: 120_000 }, async (t) => {
    const [program, ...args] = command;
    assert.equal(await exerciseOn(t, [await runtime(program), ...args]), 'all as it should be\n');
  });
}

test("it works on this repository's Node.js", { timeout: 120_000 }, async (t) => {
  assert.equal(await exerciseOn(t, [process.execPath, 'main.js']), 'all as it should be\n');
});

async function exerciseOn(t: TestContext, [program, ...args]: readonly string[]): Promise<string> {
  const { url } = await new Site(t).start();
  const { stdout } = await run(program!, [...args, url], { cwd: project, timeout: 60_000 });
  return stdout;
}
