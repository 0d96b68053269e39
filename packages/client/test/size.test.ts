import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const BYTES_MAX = 7000;

/** What a page loads that uses the whole client: one module, minified by esbuild, gzipped at level 9. */
test('the client is under 7 kB, and needs nothing but what a browser has', async (t) => {
  const { outputFiles, metafile } = await build({
    entryPoints: [fileURLToPath(new URL('../src/index.ts', import.meta.url))],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true,
  });
  const { length } = gzipSync(outputFiles[0]!.contents, { level: 9 });
  t.diagnostic(`${length} bytes`);
  assert.ok(length < BYTES_MAX, `${length} bytes`);
  for (const input of Object.keys(metafile.inputs)) assert.match(input, /packages\/client\/src\/[\w-]+\.ts$/);
});
