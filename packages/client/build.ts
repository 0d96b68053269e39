import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/**
 * Builds `dist/`, the folder that is published: one module, its types, README and licence. Inside the repository other
 * packages import the sources, so the package.json here points to them; the one in `dist/` is derived from it.
 */
const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = join(HERE, '../..');
const DIST = join(HERE, 'dist');

rmSync(DIST, { recursive: true, force: true });
mkdirSync(join(DIST, 'protocol'), { recursive: true });
await build({
  entryPoints: [join(HERE, 'src/index.ts')],
  outfile: join(DIST, 'index.js'),
  bundle: true,
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
});
emitTypes();
copyFileSync(join(HERE, 'README.md'), join(DIST, 'README.md'));
copyFileSync(join(ROOT, 'LICENSE'), join(DIST, 'LICENSE'));
writeFileSync(join(DIST, 'package.json'), `${JSON.stringify(published(), null, 2)}\n`);

/** Writes the declarations of the client next to its module, with those of the protocol, which is not published itself. */
function emitTypes(): void {
  const emitted = join(DIST, 'emitted');
  const options = ['--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--outDir', emitted];
  execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', HERE, ...options], {
    stdio: 'inherit',
  });
  for (const [from, to] of [
    ['client/src', '.'],
    ['protocol/src', 'protocol'],
  ] as const) {
    for (const file of readdirSync(join(emitted, from))) {
      const text = readFileSync(join(emitted, from, file), 'utf8')
        .replaceAll("'@chronicleweaver/protocol'", "'./protocol/index.js'")
        .replaceAll(/'(\.{1,2}\/[\w/-]+)\.ts'/g, "'$1.js'");
      // Declares Symbol.asyncDispose, whatever `lib` the user's project has.
      const head = file === 'client.d.ts' ? '/// <reference lib="esnext.disposable" />\n' : '';
      writeFileSync(join(DIST, to, basename(file)), head + text);
    }
  }
  rmSync(emitted, { recursive: true });
}

function published(): object {
  const text = readFileSync(join(HERE, 'package.json'), 'utf8');
  const {
    private: _,
    devDependencies: __,
    scripts: ___,
    ...kept
  } = JSON.parse(text) as Record<string, unknown>;
  return {
    ...kept,
    exports: { '.': { types: './index.d.ts', default: './index.js' } },
    types: './index.d.ts',
  };
}
