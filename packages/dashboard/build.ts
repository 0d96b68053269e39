import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/**
 * Makes `dist/`, the files that the service serves below `/dashboard`: one page, one script, one style sheet, and the licences
 * of what the script contains. `npm ci` runs this, as does the build of the published package.
 */
const HERE = import.meta.dirname;
const DIST = join(HERE, 'dist');

rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST, { recursive: true });
const { metafile } = await build({
  absWorkingDir: HERE,
  entryPoints: { app: 'src/main.tsx', style: 'src/style.css' },
  outdir: DIST,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  charset: 'utf8',
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});
writeFileSync(join(DIST, 'licences.txt'), licencesOf(Object.keys(metafile.inputs)));
// Last, so that a build that was killed leaves no page.
copyFileSync(join(HERE, 'src/index.html'), join(DIST, 'index.html'));

/** The licences of the packages that these files belong to. */
function licencesOf(files: readonly string[]): string {
  const folders = files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []);
  return [...new Set(folders)]
    .toSorted()
    .map((folder) => {
      const path = join(HERE, folder);
      const { name, version } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as {
        name: string;
        version: string;
      };
      const licence = join(path, 'LICENSE');
      if (!existsSync(licence)) throw new Error(`${name} has no LICENSE to pass on`);
      return `${name} ${version}\n\n${readFileSync(licence, 'utf8')}`;
    })
    .join('\n----\n\n');
}
