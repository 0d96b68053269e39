import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type BuildOptions, type Plugin, build } from 'esbuild';

/**
 * Makes `dist/`, from which the service starts (src/bundle.js) as long as no file that went into it has changed: the
 * sources and packages of each kind of thread in one file. A start reads it in a few milliseconds, whereas finding 400
 * modules and stripping their types takes most of a start. `npm ci` runs this. Without esbuild, as in an installation
 * without development tools, there is no bundle, and the sources run.
 */
const HERE = import.meta.dirname;
const DIST = join(HERE, 'dist');
const THREADS = ['main', 'store/sqlite/threads/thread', 'store/sqlite/threads/folding-thread'];

/** Packages that look for files beside them, which only pages for browsers need, and those that Fastify never gets to load here. */
const LEFT_OUT = [
  '@chronicleweaver/dashboard',
  '@fastify/static',
  '@fastify/swagger',
  '@fastify/swagger-ui',
  'redoc',
  '@fastify/ajv-compiler',
  '@fastify/fast-json-stringify-compiler',
  'light-my-request',
];

/** A bundle is CommonJS, in which a source does not know its own path, so the build defines it. */
const knowsItsPlace: Plugin = {
  name: 'import.meta',
  setup(build) {
    build.onLoad({ filter: /[/\\]packages[/\\]\w+[/\\]src[/\\].*\.ts$/ }, ({ path }) => {
      const place = JSON.stringify(relative(DIST, path));
      const urlOf = (file: string): string => `require('node:url').pathToFileURL(${file}).href`;
      const contents = readFileSync(path, 'utf8')
        .replaceAll('import.meta.url', urlOf(`require('node:path').join(__dirname, ${place})`))
        .replaceAll(/import\.meta\.resolve\(('[^']+')\)/g, (_, name: string) =>
          urlOf(`require.resolve(${name})`),
        );
      return { loader: 'ts', contents };
    });
  },
};

const OPTIONS = {
  absWorkingDir: HERE,
  entryPoints: THREADS.map((thread) => `src/${thread}.ts`),
  outdir: DIST,
  entryNames: '[name]',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  // `import` of Node's own modules reads everything that they export, and so loads parts that nothing here needs.
  format: 'cjs',
  target: 'node22',
  external: LEFT_OUT,
  legalComments: 'external',
  metafile: true,
  write: false,
  plugins: [knowsItsPlace],
  logLevel: 'warning',
  logOverride: { 'empty-import-meta': 'error' },
} satisfies BuildOptions;

rmSync(DIST, { recursive: true, force: true });
const { metafile, outputFiles } = await build(OPTIONS);
mkdirSync(DIST, { recursive: true });
// V8 keeps a source in memory, and takes two bytes a character where one is not ASCII.
for (const { path, text } of outputFiles) writeFileSync(path, text.replaceAll(/[^\0-\x7f]/g, escaped));
const files = [
  ...Object.keys(metafile.inputs).map((file) => join(HERE, file)),
  ...outputFiles.map(({ path }) => path),
];
const stamps = files.map((file) => {
  const { size, mtimeMs } = statSync(file);
  return [relative(DIST, file), `${size} ${mtimeMs}`];
});
// Last, so that a build that was killed leaves no bundle.
writeFileSync(join(DIST, 'stamps.json'), JSON.stringify(Object.fromEntries(stamps)));

/** In a string or a regular expression the same character; esbuild leaves others in comments at most. */
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
