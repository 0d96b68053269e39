import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The root of the repository: the folder that the README's commands are typed in. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const run = promisify(execFile);

export interface RunOptions {
  readonly timeoutMs?: number;
  /** Variables in addition to those of this process; undefined removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Runs a command in the root of the repository and returns its stdout; rejects with its stderr if it fails. */
export async function command(
  [program = '', ...args]: readonly string[],
  { timeoutMs = 60_000, env = {} }: RunOptions = {},
): Promise<string> {
  const { stdout } = await run(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    timeout: timeoutMs,
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout.trim();
}

export async function docker(args: readonly string[], options?: RunOptions): Promise<string> {
  return command(['docker', ...args], options);
}

/** What `docker inspect` says about a container, selected by a Go template. */
export async function inspect(container: string, template: string): Promise<string> {
  return docker(['inspect', '--type', 'container', '--format', template, container]);
}

/** A container's log: first stdout, then stderr, because Docker keeps them apart. */
export async function logs(container: string): Promise<string> {
  const { stdout, stderr } = await run('docker', ['logs', container], { timeout: 30_000 });
  return stdout + stderr;
}

/** `docker compose`, or Compose v1 if only that exists, or why neither can be used. */
export async function findCompose(): Promise<
  { found: true; compose: readonly string[] } | { found: false; why: string }
> {
  try {
    await docker(['info']);
  } catch (error) {
    return { found: false, why: `docker info fails: ${firstLine(error)}` };
  }
  for (const compose of [['docker', 'compose'], ['docker-compose']]) {
    const there = await command([...compose, 'version']).then(
      () => true,
      () => false,
    );
    if (there) return { found: true, compose };
  }
  return { found: false, why: 'there is a Docker engine, but no Docker Compose' };
}

/** Removes every container, network, volume and image whose name starts with `prefix`. */
export async function removeAll(prefix: string): Promise<void> {
  const name = ['--filter', `name=${prefix}`];
  const steps: (readonly [list: string[], remove: string[]])[] = [
    [
      ['ps', '--all', '--quiet', ...name],
      ['rm', '--force', '--volumes'],
    ],
    [
      ['network', 'ls', '--quiet', ...name],
      ['network', 'rm'],
    ],
    [
      ['volume', 'ls', '--quiet', ...name],
      ['volume', 'rm', '--force'],
    ],
    [
      ['images', '--filter', `reference=${prefix}*`, '--format', '{{.Repository}}:{{.Tag}}'],
      ['rmi', '--force'],
    ],
  ];
  for (const [list, remove] of steps) {
    const found = (await docker(list)).split('\n').filter((line) => line !== '');
    if (found.length > 0) await docker([...remove, ...found]);
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
}

function firstLine(error: unknown): string {
  const text = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
  return text.trim().split('\n')[0] || String(error);
}
