import { constants, existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { Stopped } from '@chronicleweaver/terminal';
import { type Contents, EventLines } from './event-lines.ts';
import { lockFile } from './file-lock.ts';
import type { Note, PipedEvent } from './target.ts';

/** When a file is full, and how many full ones are kept. */
export interface Rotation {
  /** Bytes that a file may have, unless a single event has more. */
  readonly bytesMax: number;
  /** A file has the events of one such stretch of the clock, in UTC. */
  readonly periodMs: number;
  readonly filesKept: number;
}

/** A file that is full. Its name tells which offsets it may have. */
interface FullFile {
  readonly path: string;
  readonly lowest: number;
  readonly highest: number;
  /** Undefined until somebody asks. */
  lines?: EventLines;
}

/** Digits of the highest offset there can be, so that names sort. */
const OFFSET_DIGITS = 16;

/**
 * Events in files, one per line: those of the *current* one at the path that the user named, and the *full* ones, which
 * were renamed after the lowest and the highest offset in them.
 *
 * In: events, as they are delivered, again and again if need be. Out: their lines, each once, and on disk when `append`
 * resolves. What the files have is read from the files alone, so that nothing else can disagree with them:
 *
 * - `open` cuts off the half line that a kill left, and syncs the rest: whoever finds an event may rely on it.
 * - An event whose offset is not above all others may have been written before: it is looked for.
 * - Every line up to `#end` is whole and synced. A write that fails is cut off again.
 */
export class EventFiles {
  readonly #path: string;
  readonly #rotation: Rotation;
  readonly #unlock: () => void;
  readonly #full: FullFile[];
  #file: FileHandle;
  #lines: EventLines;
  #end: number;
  #inode: number;
  #appendedAtMs: number;

  private constructor(
    path: string,
    rotation: Rotation,
    unlock: () => void,
    file: FileHandle,
    { lines, end }: Contents,
    { ino, mtimeMs }: { ino: number; mtimeMs: number },
  ) {
    this.#path = path;
    this.#rotation = rotation;
    this.#unlock = unlock;
    this.#full = fullFilesOf(path);
    this.#file = file;
    this.#lines = lines;
    this.#end = end;
    this.#inode = ino;
    this.#appendedAtMs = mtimeMs;
  }

  /** @throws Stopped if no file can be there, if another pipe writes there, or if the file holds something else */
  static async open(givenPath: string, rotation: Rotation, note: Note): Promise<EventFiles> {
    const path = realPathOf(givenPath);
    const unlock = lockFile(path);
    let file: FileHandle | undefined;
    try {
      file = await open(path, READ_AND_APPEND);
      const before = await file.stat();
      const contents = await EventLines.in(file);
      refuseStrange(path, contents);
      if (contents.end < before.size) {
        await file.truncate(contents.end);
        note(
          `cut off ${before.size - contents.end} bytes of ${path}: an event that was not written to its end`,
        );
      }
      // The lines of a process that was killed may not be on disk yet.
      await file.datasync();
      await syncFolder(path);
      return new EventFiles(path, rotation, unlock, file, contents, before);
    } catch (error) {
      await file?.close();
      unlock();
      throw error;
    }
  }

  /** Resolves once each of the events is in a file and on disk. @throws an error of the system, with nothing half written */
  async append(events: readonly PipedEvent[]): Promise<void> {
    await this.#requireOurs();
    await this.rotateIfDue();
    const missing = await this.#missing(events);
    let portion: PipedEvent[] = [];
    let bytes = 0;
    for (const event of missing) {
      const eventBytes = Buffer.byteLength(event.text) + 1;
      const isFull = this.#end + bytes + eventBytes > this.#rotation.bytesMax;
      if (isFull && this.#end + bytes > 0) {
        await this.#write(portion);
        await this.#rotate();
        portion = [];
        bytes = 0;
      }
      portion.push(event);
      bytes += eventBytes;
    }
    await this.#write(portion);
  }

  /** Ends the current file if it has events of a period that is over. */
  async rotateIfDue(): Promise<void> {
    const { periodMs } = this.#rotation;
    const periodOf = (ms: number): number => Math.floor(ms / periodMs);
    if (this.#end > 0 && periodOf(this.#appendedAtMs) < periodOf(Date.now())) await this.#rotate();
  }

  async close(): Promise<void> {
    await this.#file.close();
    this.#unlock();
  }

  /** Those that no file has, each once. */
  async #missing(events: readonly PipedEvent[]): Promise<PipedEvent[]> {
    const once = new Map(events.map((event) => [event.offset, event]));
    const highest = Math.max(this.#lines.highest, ...this.#full.map((full) => full.highest));
    const doubtful = new Map([...once].filter(([offset]) => offset <= highest));
    const found = new Set<number>();
    if (doubtful.size > 0) {
      await this.#lines.find(this.#file, doubtful, found);
      for (const full of this.#full.toReversed()) {
        const wanted = new Map(
          [...doubtful].filter(
            ([offset]) => offset >= full.lowest && offset <= full.highest && !found.has(offset),
          ),
        );
        if (wanted.size > 0) await findIn(full, wanted, found);
      }
    }
    return [...once.values()].filter(({ offset }) => !found.has(offset));
  }

  async #write(events: readonly PipedEvent[]): Promise<void> {
    if (events.length === 0) return;
    const lines = events.map(({ text }) => Buffer.from(`${text}\n`));
    try {
      await this.#file.appendFile(Buffer.concat(lines));
      await this.#file.datasync();
    } catch (error) {
      // After a failed sync nobody knows what is on disk: these lines must be written again.
      await this.#file.truncate(this.#end);
      throw error;
    }
    for (const [i, { length }] of lines.entries()) {
      this.#lines.add(this.#end, this.#end + length, events[i]!.offset);
      this.#end += length;
    }
    this.#appendedAtMs = Date.now();
  }

  async #rotate(): Promise<void> {
    const { lowest, highest } = this.#lines;
    const path = fullPath(this.#path, lowest, highest);
    if (existsSync(path)) throw new Stopped(1, `${path} is in the way: move it away`);
    await rename(this.#path, path);
    this.#full.push({ path, lowest, highest, lines: this.#lines });
    await this.#file.close();
    try {
      this.#file = await open(this.#path, READ_AND_APPEND);
    } catch (cause) {
      throw new Stopped(1, `${this.#path} cannot be created again: ${(cause as Error).message}`);
    }
    this.#inode = (await this.#file.stat()).ino;
    this.#lines = new EventLines();
    this.#end = 0;
    await syncFolder(this.#path);
    // The user may have taken one away.
    while (this.#full.length > this.#rotation.filesKept) await rm(this.#full.shift()!.path, { force: true });
  }

  /** What the files have is known from having read them, so nobody else may change them. */
  async #requireOurs(): Promise<void> {
    const { ino, size } = await stat(this.#path);
    if (ino === this.#inode && size === this.#end) return;
    throw new Stopped(
      1,
      `${this.#path} was changed by somebody else; start the pipe again, which reads it anew`,
    );
  }
}

const READ_AND_APPEND = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;

/** The one path of a file, which may be missing, in a folder, which may not. */
function realPathOf(path: string): string {
  if (existsSync(path)) {
    if (!statSync(path).isFile()) throw new Stopped(2, `${path} is not a file`);
    return realpathSync(path);
  }
  const folder = dirname(path);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Stopped(2, `${folder} is not a folder that exists: make it, or name another file`);
  }
  return join(realpathSync(folder), basename(path));
}

function refuseStrange(path: string, { strangeLine, end, rest }: Contents): void {
  const isBegunEvent = rest.length === 0 || rest[0] === '{'.charCodeAt(0) || (rest.includes(0) && end > 0);
  if (strangeLine === null && isBegunEvent) return;
  const what = strangeLine === null ? 'what is at its end' : `line ${strangeLine}`;
  throw new Stopped(1, `${path} is not a file of events: ${what} is none; name another file`);
}

async function findIn(
  full: FullFile,
  wanted: ReadonlyMap<number, PipedEvent>,
  found: Set<number>,
): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(full.path);
  } catch (error) {
    // The user may take full files away.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    full.lines ??= (await EventLines.in(file)).lines;
    await full.lines.find(file, wanted, found);
  } finally {
    await file.close();
  }
}

/** `events.ndjson` becomes `events.0000000000000001-0000000000000100.ndjson`. */
function fullPath(path: string, lowest: number, highest: number): string {
  const range = [lowest, highest].map((offset) => String(offset).padStart(OFFSET_DIGITS, '0')).join('-');
  const extension = extname(path);
  return join(dirname(path), `${basename(path, extension)}.${range}${extension}`);
}

/** In the order of their names. */
function fullFilesOf(path: string): FullFile[] {
  return readdirSync(dirname(path))
    .toSorted()
    .flatMap((name): FullFile[] => {
      const [, lowest, highest] = /\.(\d{16})-(\d{16})(?:\.[^.]*)?$/.exec(name) ?? [];
      const full = { path: join(dirname(path), name), lowest: Number(lowest), highest: Number(highest) };
      return lowest !== undefined && full.path === fullPath(path, full.lowest, full.highest) ? [full] : [];
    });
}

/** Makes a new name durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path));
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
