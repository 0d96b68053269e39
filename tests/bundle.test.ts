import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Ending, Site, startCommand } from '../lab/aggregator-process.ts';
import { tempFolder } from '../lab/lifetime.ts';
import { textOf } from '../lab/repository.ts';
import { SourceCopy } from '../lab/source-copy.ts';

const TIMEOUT = { timeout: 60_000 };

/** A copy of the sources with a bundle, in which one file can be told from the same file of the sources. */
function bundledCopy(t: Ending): { root: string; version: string } {
  const folder = tempFolder();
  t.after(() => folder[Symbol.dispose]());
  const { root } = new SourceCopy(join(folder.path, 'copy'));
  execFileSync(process.execPath, [join(root, 'packages/aggregator/prepare.js')]);
  const main = join(root, 'packages/aggregator/dist/main.cjs');
  const bundled = readFileSync(main, 'utf8');
  const { version } = JSON.parse(textOf('packages/aggregator/package.json')) as { version: string };
  assert.ok(bundled.includes(`version: "${version}"`));
  writeFileSync(main, bundled.replaceAll(`version: "${version}"`, 'version: "bundled"'));
  const { size, mtimeMs } = statSync(main);
  const file = join(root, 'packages/aggregator/dist/stamps.json');
  const stamps = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  writeFileSync(file, JSON.stringify({ ...stamps, 'main.cjs': `${size} ${mtimeMs}` }));
  return { root, version };
}

async function versionThatRuns(site: Site, root: string): Promise<unknown> {
  const aggregator = await site.start({ command: startCommand(root) });
  const docs = await fetch(`${aggregator.url}/docs/`);
  assert.equal(docs.status, 200);
  const redoc = await fetch(`${aggregator.url}/redoc/redoc.standalone.js`);
  assert.equal(redoc.status, 200);
  await redoc.arrayBuffer();
  const { version } = (await (await fetch(`${aggregator.url}/stats`)).json()) as { version: unknown };
  await aggregator.stop();
  return version;
}

test('a start runs the bundle, or the sources once a bundled file has changed', TIMEOUT, async (t) => {
  const { root, version } = bundledCopy(t);
  const site = new Site(t);
  assert.equal(await versionThatRuns(site, root), 'bundled');
  const source = join(root, 'packages/aggregator/src/store/sqlite/threads/folding-thread.ts');
  utimesSync(source, new Date(), new Date());
  assert.equal(await versionThatRuns(site, root), version);
});

test('a start runs the sources if a part of the bundle was damaged or is missing', TIMEOUT, async (t) => {
  const { root, version } = bundledCopy(t);
  const site = new Site(t);
  truncateSync(join(root, 'packages/aggregator/dist/thread.cjs'), 1000);
  assert.equal(await versionThatRuns(site, root), version);
  rmSync(join(root, 'packages/aggregator/dist/thread.cjs'));
  assert.equal(await versionThatRuns(site, root), version);
});

test('malloc gets the same settings however the service is started', () => {
  const settings = (file: string): string[] =>
    [...textOf(file).matchAll(/\b(MALLOC_\w+)=(\d+)/g)].map(([setting]) => setting);
  const start = textOf('packages/aggregator/src/start.js');
  const names = [...start.matchAll(/^ {2}(MALLOC_\w+):/gm)].map(([, name]) => name);
  const expected = [
    'MALLOC_ARENA_MAX=1',
    'MALLOC_MMAP_THRESHOLD_=33554432',
    'MALLOC_TRIM_THRESHOLD_=67108864',
  ];
  assert.deepEqual(
    names,
    expected.map((setting) => setting.split('=')[0]),
  );
  for (const file of ['package.json', 'docker/aggregator.Dockerfile', 'docs/chronicleweaver.service'])
    assert.deepEqual(settings(file), expected, file);
});
