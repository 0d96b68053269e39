import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pathOf } from '../../lab/repository.ts';

const run = promisify(execFile);

/** Builds and packs a package, and installs the pack into a folder that has nothing else. */
export async function packed(workspace: string, project: string): Promise<void> {
  await run('npm', ['run', 'build', '-w', workspace], { cwd: pathOf('.') });
  const dist = pathOf(join(workspace, 'dist'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project, dist]);
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  writeFileSync(join(project, 'package.json'), '{"type":"module","private":true}');
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(project, filename)], {
    cwd: project,
  });
}
