import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, rmdirSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const BALLAST = 'ballast-';
const PAGE_BYTES = 4096;

/** Why a test cannot mount its own disk here, or null if it can. */
export function mountMissing(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'chronicleweaver-mount-'));
  try {
    const missing = mount(folder, 1);
    if (missing === null) unmount(folder);
    return missing;
  } finally {
    rmdirSync(folder);
  }
}

/**
 * A disk in memory (tmpfs) of a given size in MiB, which a test can fill to the last page. It is removed with the
 * test.
 */
export class SmallDisk {
  readonly folder: string;
  #ballast = 0;

  /** Create it after the test's Site: the disk can be removed only when nothing on it is open. */
  constructor(t: TestContext, mib: number, parent = tmpdir()) {
    this.folder = mkdtempSync(join(parent, 'chronicleweaver-disk-'));
    const missing = mount(this.folder, mib);
    if (missing !== null) throw new Error(missing);
    mounted.add(this.folder);
    t.after(() => remove(this.folder));
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Leaves at most this many bytes free, in whole pages. */
  fill(leaveBytes = 0): void {
    const bytes = this.freeBytes - leaveBytes;
    if (bytes < PAGE_BYTES) return;
    try {
      writeFileSync(join(this.folder, `${BALLAST}${this.#ballast++}`), Buffer.alloc(bytes));
    } catch (error) {
      // Another writer has taken some of the space meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  /** Removes what `fill` wrote. */
  free(): void {
    for (const name of readdirSync(this.folder))
      if (name.startsWith(BALLAST)) rmSync(join(this.folder, name));
  }
}

const mounted = new Set<string>();

// For an interrupted run. Its processes are dead by then.
process.on('exit', () => {
  for (const folder of mounted) remove(folder);
});

function remove(folder: string): void {
  unmount(folder);
  mounted.delete(folder);
  rmdirSync(folder);
}

function mount(folder: string, mib: number): string | null {
  const { error, status, stderr } = spawnSync(
    'mount',
    ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', folder],
    {
      encoding: 'utf8',
    },
  );
  if (error !== undefined) return `mount cannot be run: ${error.message}`;
  return status === 0 ? null : `no disk can be mounted: ${stderr.trim()}`;
}

function unmount(folder: string): void {
  const { status, stderr } = spawnSync('umount', [folder], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${folder} stays mounted: ${stderr.trim()}`);
}
