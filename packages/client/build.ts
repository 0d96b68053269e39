import { execFileSync } from 'node:child_process';
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/**
 * Builds `dist/`, the folder that is published: a module for each entry, what they share, types, README and licence. Inside
 * the repository other packages import the sources, so the package.json here points to them; the one in `dist/` is derived
 * from it.
 */
const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = join(HERE, '../..');
const DIST = join(HERE, 'dist');

rmSync(DIST, { recursive: true, force: true });
await build({
  entryPoints: [join(HERE, 'src/index.ts'), join(HERE, 'src/inbox/index.ts')],
  outbase: join(HERE, 'src'),
  outdir: DIST,
  chunkNames: 'shared',
  bundle: true,
  // So that an error of one entry is an instance of the other's class.
  splitting: true,
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
    for (const file of globSync('**/*.d.ts', { cwd: join(emitted, from) })) {
      const target = join(DIST, to, file);
      const protocol = join(relative(dirname(target), DIST), 'protocol/index.js').replaceAll('\\', '/');
      const text = readFileSync(join(emitted, from, file), 'utf8')
        .replaceAll("'@chronicleweaver/protocol'", `'${protocol.startsWith('.') ? '' : './'}${protocol}'`)
        .replaceAll(/'(\.{1,2}\/[\w/-]+)\.ts'/g, "'$1.js'");
      // Declares Symbol.asyncDispose, whatever `lib` the user's project has.
      const head = file === 'client.d.ts' ? '/// <reference lib="esnext.disposable" />\n' : '';
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, head + text);
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
    exports: {
      '.': { types: './index.d.ts', default: './index.js' },
      './inbox': { types: './inbox/index.d.ts', default: './inbox/index.js' },
    },
    types: './index.d.ts',
  };
}
