import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** Why Prometheus' programs cannot be run here, or null if they can. */
export function prometheusMissing(): string | null {
  for (const name of ['promtool', 'prometheus']) {
    const { error } = spawnSync(name, ['--version']);
    if (error !== undefined) return `Debian's prometheus is not installed: ${error.message}`;
  }
  return null;
}

/** What promtool says of its input, and whether it is content. */
export function promtool(args: readonly string[], input = ''): { isGood: boolean; said: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  return { isGood: status === 0, said: stdout + stderr };
}

/** The port of 127.0.0.1 on which a process listens, which it was left to the system to choose; undefined if none yet. */
export function portOf(pid: number): number | undefined {
  const sockets = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const target = linkOf(`/proc/${pid}/fd/${fd}`);
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) sockets.add(inode);
  }
  // https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt: 0A is LISTEN.
  for (const line of readFileSync(`/proc/${pid}/net/tcp`, 'utf8').split('\n').slice(1)) {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    if (state === '0A' && sockets.has(inode!)) return Number.parseInt(local!.split(':')[1]!, 16);
  }
  return undefined;
}

/** Empty for a descriptor that was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
