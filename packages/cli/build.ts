import { copyFileSync, cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';

/**
 * Builds `dist/`, the folder that is published as `chronicleweaver`: command line and service. Node.js does not strip
 * types in node_modules, so every source becomes JavaScript, in a file of its own, because threads are started by
 * file name. The packages of this workspace are published with it (bundleDependencies); others are installed from the
 * registry.
 */
const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = join(HERE, '../..');
const DIST = join(HERE, 'dist');
const SCOPE = '@chronicleweaver/';
const DASHBOARD = '@chronicleweaver/dashboard';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly [name: string]: unknown;
}

await import('../dashboard/build.ts');
rmSync(DIST, { recursive: true, force: true });
const cli = readManifest(HERE);
const dependencies: Record<string, string> = {};
const bundled = new Set<string>();
copyPackage(HERE, DIST, cli);
bundleReDoc();
writeManifest(DIST, {
  ...cli,
  private: undefined,
  scripts: undefined,
  devDependencies: undefined,
  bin: asJavaScript(cli['bin']),
  dependencies: {
    ...dependencies,
    ...Object.fromEntries([...bundled].map((name) => [name, versionOf(name)])),
  },
  bundleDependencies: [...bundled].toSorted(),
});
copyFileSync(join(HERE, 'README.md'), join(DIST, 'README.md'));
copyFileSync(join(ROOT, 'LICENSE'), join(DIST, 'LICENSE'));

/** Copies a package's sources as JavaScript, with the packages of this workspace that it needs. */
function copyPackage(from: string, to: string, manifest: Manifest): void {
  for (const file of globSync('src/**/*.*', { cwd: from })) {
    const target = join(to, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    if (/\.[jt]s$/.test(file)) writeFileSync(target, javaScriptOf(join(from, file)));
    else cpSync(join(from, file), target);
  }
  for (const [name, version] of Object.entries(manifest.dependencies ?? {})) {
    if (!name.startsWith(SCOPE)) {
      if ((dependencies[name] ??= version) !== version) throw new Error(`${name} is needed in two versions`);
    } else if (!bundled.has(name)) {
      bundled.add(name);
      const folder = join(ROOT, 'packages', name.slice(SCOPE.length));
      const own = readManifest(folder);
      const target = join(DIST, 'node_modules', name);
      // What browsers get is built already, and needs nothing else.
      if (name === DASHBOARD) cpSync(join(folder, 'dist'), join(target, 'dist'), { recursive: true });
      else copyPackage(folder, target, own);
      // Dependencies are installed once for all packages.
      const { version, type, exports } = own;
      writeManifest(target, { name, version, type, exports: asJavaScript(exports), license: own['license'] });
    }
  }
}

/** ReDoc is served as one finished file; the hundred packages it was built from would be most of the installation. */
function bundleReDoc(): void {
  const from = join(ROOT, 'node_modules/redoc');
  const to = join(DIST, 'node_modules/redoc');
  const { name, version, license } = readManifest(from);
  for (const file of ['LICENSE', 'bundles/redoc.standalone.js', 'bundles/redoc.standalone.js.LICENSE.txt']) {
    mkdirSync(dirname(join(to, file)), { recursive: true });
    copyFileSync(join(from, file), join(to, file));
  }
  writeManifest(to, { name, version, license });
  delete dependencies['redoc'];
  bundled.add('redoc');
}

function javaScriptOf(file: string): string {
  const text = readFileSync(file, 'utf8');
  const code =
    extname(file) === '.js'
      ? text
      : transformSync(text, { loader: 'ts', target: 'node22', sourcefile: file }).code;
  return asJavaScript(code);
}

/** Replaces the path of every source file named in code, or in part of a manifest, by that of its JavaScript. */
function asJavaScript<T>(value: T): T {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const changed = text.replaceAll(/(["'])((?:\.{1,2}|src)\/[\w./-]+)\.ts\1/g, '$1$2.js$1');
  return (typeof value === 'string' ? changed : JSON.parse(changed)) as T;
}

function versionOf(name: string): string {
  return readManifest(join(DIST, 'node_modules', name)).version;
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

function writeManifest(folder: string, manifest: Manifest): void {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}
