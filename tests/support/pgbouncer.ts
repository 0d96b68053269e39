import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { own } from '../../lab/lifetime.ts';
import type { PostgresServer } from '../../lab/postgres-server.ts';
import { until } from '../../lab/program.ts';
import type { Scope } from '../../packages/aggregator/test/support/temp-folder.ts';

const NOBODY = 65_534;
const AS = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

/** Why no pooler can be run here, or null if one can. */
export function poolerMissing(): string | null {
  const { error } = spawnSync('pgbouncer', ['--version']);
  return error === undefined ? null : `Debian's pgbouncer is not installed: ${error.message}`;
}

/** Starts PgBouncer before the server, on a socket in its folder; returns the address of the database through it. */
export async function startPooler(
  t: Scope,
  server: PostgresServer,
  mode: 'session' | 'transaction' | 'statement',
  more = '',
): Promise<string> {
  const port = 6432;
  const ini = `
    [databases]
    * = host=${server.folder} port=${server.port}
    [pgbouncer]
    unix_socket_dir = ${server.folder}
    unix_socket_mode = 0777
    listen_port = ${port}
    auth_type = any
    pool_mode = ${mode}
    default_pool_size = 20
    ${more}
  `.replaceAll(/^ +/gm, '');
  const path = join(server.folder, `${mode}.ini`);
  writeFileSync(path, ini.replace('* =', '* = user=postgres'), { mode: 0o644 });
  const pooler = spawn('pgbouncer', [path], { ...AS, stdio: ['ignore', 'ignore', 'pipe'] });
  own(pooler);
  let said = '';
  pooler.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  t.after(async () => {
    const ended = once(pooler, 'exit');
    if (pooler.exitCode !== null) return;
    pooler.kill('SIGKILL');
    await ended;
  });
  await until(() => `the pooler is up: ${said}`, () => said.includes('process up')); // prettier-ignore
  return server.address().replace(`:${server.port}/`, `:${port}/`);
}
