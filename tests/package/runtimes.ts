import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pathOf } from '../../lab/repository.ts';

const FOLDER = pathOf('tests/package/runtimes');

/** The path of a runtime's program below node_modules. Installs the runtimes if they are missing. */
export async function runtime(program: string): Promise<string> {
  const file = join(FOLDER, 'node_modules', program);
  if (!existsSync(file)) {
    installing ??= promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund'], { cwd: FOLDER });
    await installing;
  }
  return file;
}

/** The exact version of a package that is installed there. */
export function versionOf(name: string): string {
  const manifest = JSON.parse(readFileSync(join(FOLDER, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return manifest.dependencies[name]!.replace(/^npm:node@/, '');
}

let installing: Promise<unknown> | undefined;
