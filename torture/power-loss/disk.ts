import type { SeededRandom } from '../../lab/random.ts';
import type { Deed } from './recording.ts';

/**
 * What survives of unsynced data when the power goes: nothing; some writes, in any order; some sectors; everything.
 */
export const REMAINS = ['nothing', 'some writes', 'some sectors', 'all'] as const;
export type Remains = (typeof REMAINS)[number];

/** A sector is written whole or not at all; a larger write may be cut short. */
const SECTOR_BYTES = 512;

/** A change to a file's bytes that no sync has covered yet. */
interface Pending {
  readonly deed: Extract<Deed, { kind: 'write' | 'truncate' }>;
  /** Where in the recording it ended. */
  readonly end: number;
}

/** The bytes of a file, which grow and shrink. */
class Content {
  #memory = Buffer.from(new ArrayBuffer(4096));
  #length = 0;

  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  copy(): Content {
    const copy = new Content();
    copy.change({ kind: 'write', path: '', at: 0, bytes: this.bytes });
    return copy;
  }

  change(deed: Pending['deed']): void {
    if (deed.kind === 'truncate') this.#resize(deed.length);
    else {
      this.#resize(Math.max(this.#length, deed.at + deed.bytes.length));
      deed.bytes.copy(this.#memory, deed.at);
    }
  }

  #resize(length: number): void {
    if (length > this.#memory.length) {
      const memory = Buffer.from(new ArrayBuffer(2 ** Math.ceil(Math.log2(length))));
      this.bytes.copy(memory);
      this.#memory = memory;
    }
    // Bytes that were cut off must not come back.
    this.#memory.fill(0, length, this.#length);
    this.#length = length;
  }
}

/** A file's content, whatever its name, or without one. */
class Inode {
  readonly synced = new Content();
  pending: Pending[] = [];

  /** Its bytes after a power loss. */
  after(remains: Remains, random: SeededRandom): Buffer {
    const share = remains === 'nothing' ? 0 : remains === 'all' ? 1 : random.of([0.1, 0.5, 0.9]);
    const content = this.synced.copy();
    for (const { deed } of this.pending) {
      const parts = remains === 'some sectors' && deed.kind === 'write' ? sectorsOf(deed) : [deed];
      for (const part of parts) if (random.chance(share)) content.change(part);
    }
    return content.bytes;
  }

  now(): Buffer {
    const content = this.synced.copy();
    for (const { deed } of this.pending) content.change(deed);
    return content.bytes;
  }
}

/**
 * A folder on a disk that keeps only synced data for certain.
 *
 * In: what a process did, in order. Out: the files as they may look after a power loss. A write or truncation is
 * *pending* until a later sync of its file has ended; a new or removed name is pending until a later sync of the folder.
 * Each pending change is lost or kept on its own, except that changes to one name keep their order.
 */
export class Disk {
  readonly #folder: string;
  readonly #syncedNames = new Map<string, Inode>();
  readonly #names = new Map<string, Inode>();
  #pendingNames: { readonly path: string; readonly inode: Inode | null; readonly end: number }[] = [];

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A write, truncation or unlink has begun. */
  change(deed: Exclude<Deed, { kind: 'sync' | 'answer' }>, end: number): void {
    const { path } = deed;
    if (deed.kind === 'unlink') {
      this.#names.delete(path);
      this.#pendingNames.push({ path, inode: null, end });
      return;
    }
    let inode = this.#names.get(path);
    if (inode === undefined) {
      inode = new Inode();
      this.#names.set(path, inode);
      this.#pendingNames.push({ path, inode, end });
    }
    inode.pending.push({ deed, end });
  }

  /** A sync that began at `begin` has ended. */
  synced(path: string, begin: number): void {
    if (path === this.#folder) {
      for (const { path, inode, end } of this.#pendingNames) {
        if (end >= begin) continue;
        if (inode === null) this.#syncedNames.delete(path);
        else this.#syncedNames.set(path, inode);
      }
      this.#pendingNames = this.#pendingNames.filter(({ end }) => end >= begin);
      return;
    }
    const inode = this.#names.get(path);
    if (inode === undefined) return;
    for (const { deed, end } of inode.pending) if (end < begin) inode.synced.change(deed);
    inode.pending = inode.pending.filter(({ end }) => end >= begin);
  }

  /** The files when the power comes back. */
  afterLoss(remains: Remains, random: SeededRandom): Map<string, Buffer> {
    const names = new Map(this.#syncedNames);
    const lost = new Set<string>();
    for (const { path, inode } of this.#pendingNames) {
      if (remains === 'nothing' || (remains !== 'all' && random.chance(0.5))) lost.add(path);
      // A later change to a name cannot survive without the earlier ones.
      if (lost.has(path)) continue;
      if (inode === null) names.delete(path);
      else names.set(path, inode);
    }
    return new Map([...names].map(([path, inode]) => [path, inode.after(remains, random)]));
  }

  /** The files as every process sees them. */
  now(): Map<string, Buffer> {
    return new Map([...this.#names].map(([path, inode]) => [path, inode.now()]));
  }
}

function* sectorsOf(deed: Extract<Deed, { kind: 'write' }>): Generator<Extract<Deed, { kind: 'write' }>> {
  const { at, bytes } = deed;
  const end = at + bytes.length;
  for (let from = at; from < end;) {
    const to = Math.min(end, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES);
    yield { ...deed, at: from, bytes: bytes.subarray(from - at, to - at) };
    from = to;
  }
}
