import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { format, promisify } from 'node:util';
import { pathOf, textOf } from '../../../lab/repository.ts';
import { sharedServer } from '../../aggregator/test/support/postgres-server.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { tempFolder } from '../../aggregator/test/support/temp-folder.ts';

const CLIENT = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);

function examples(markdown: string): string[] {
  return Array.from(markdown.matchAll(/^```ts\n(.*?)^```$/gms), ([, code]) => code!);
}

test("the READMEs' examples compile and run against a service", { timeout: 120_000 }, async (t) => {
  const found = [...examples(textOf('packages/client/README.md')), ...examples(textOf('README.md'))];
  assert.ok(found.length >= 8, `${found.length} examples`);
  const server = await TestServer.start(t);
  const shop = (await sharedServer()).address();
  const folder = tempFolder(t);
  mkdirSync(join(folder, 'node_modules/@chronicleweaver'), { recursive: true });
  symlinkSync(CLIENT, join(folder, 'node_modules/@chronicleweaver/client'));
  for (const name of ['@types', 'pg'])
    symlinkSync(pathOf(`node_modules/${name}`), join(folder, 'node_modules', name));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: pathOf('tsconfig.json'), include: ['*.ts'] }),
  );
  const files = found.map((code, i) => {
    assert.match(code, /'http:\/\/localhost:8000'/, 'an example must use the address that the test replaces');
    const file = join(folder, `example-${i + 1}.ts`);
    writeFileSync(
      file,
      code.replaceAll('http://localhost:8000', server.url).replaceAll('postgres://localhost/shop', shop),
    );
    return file;
  });
  const tsc = pathOf('node_modules/typescript/bin/tsc');
  await run(process.execPath, [tsc, '-p', folder]).catch(({ stdout }) => assert.fail(String(stdout)));

  const printed: string[] = [];
  for (const name of ['log', 'warn', 'error'] as const) {
    t.mock.method(
      console,
      name,
      (...values: unknown[]) => (printed[printed.length - 1] += `${format(...values)}\n`),
    );
  }
  for (const file of files) {
    printed.push('');
    await import(pathToFileURL(file).href);
  }
  assert.match(printed[0]!, /^accepted at 1\n$/);
  assert.equal(printed[1], 'accepted duplicate true\n');
  assert.match(printed[2]!, /^0 of 20000 failed\n$/);
  assert.match(printed[3]!, /^2 .*\{ amount: 12.5 \}\n1 .*\nshop\nimports 20000\norders 2\n20002 20002\n$/);
  assert.match(printed[4]!, /^1 orders .*\n2 orders .*\n$/);
  assert.match(printed[5]!, /^(mailed .* at delivery 1\n){2}$/);
  assert.equal(printed[7], '2 invoices\n');
  assert.match(printed[8]!, /^event 0, topic: /);
});
