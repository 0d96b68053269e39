import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The cores of the servers and of the load, or null if nothing is pinned. */
export type Cores = { readonly server: number; readonly load: number } | null;

/** Pins this process, the load, to the second core that it may use, and keeps the first for the servers. */
export function claimCores(): Cores {
  const [server, load] = allowedCores();
  if (server === undefined || load === undefined) return null;
  const pinned = spawnSync('taskset', ['-acp', String(load), String(process.pid)]);
  const canPin = spawnSync('taskset', ['-c', String(server), process.execPath, '--version']);
  return pinned.status === 0 && canPin.status === 0 ? { server, load } : null;
}

/** The command that runs node on the servers' core. */
export function nodeCommand(cores: Cores): readonly [string, ...string[]] {
  return cores === null ? [process.execPath] : ['taskset', '-c', String(cores.server), process.execPath];
}

/** Linux lists them like "0-3,8"; other systems have no taskset anyway. */
function allowedCores(): number[] {
  let status: string;
  try {
    status = readFileSync('/proc/self/status', 'utf8');
  } catch {
    return [];
  }
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    if (first === undefined || last === undefined || Number.isNaN(first)) return [];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
