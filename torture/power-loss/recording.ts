import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type SystemCall, readWholeTrace } from '../../lab/strace.ts';
import { type Told, toldBy } from './promises.ts';

/** What a process did to its files, and what it answered. Folders are synced like files. */
export type Deed =
  | { readonly kind: 'write'; readonly path: string; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly path: string; readonly length: number }
  | { readonly kind: 'sync'; readonly path: string }
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'answer'; readonly told: Told };

/** A deed, with its begin and end as positions in everything recorded, over all processes. */
export interface Recorded {
  readonly deed: Deed;
  readonly begin: number;
  readonly end: number;
}

/** How many bytes of a call are recorded: more than SQLite writes, or these runs answer, at once. */
const BYTES_MAX = 128 * 1024;

const CALLS =
  'pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,fallocate,ftruncate,fsync,fdatasync,sync_file_range,unlink,unlinkat';

/** The command that records the program that follows it into the file. */
export function recordCommand(file: string): string[] {
  const how = ['-D', '-f', '--seccomp-bpf', '-y', '-xx', '-s', String(BYTES_MAX)];
  return ['strace', ...how, '-o', file, '-e', `trace=${CALLS}`, '--'];
}

/** Whether the recording is complete in its file, which takes a moment after the process has ended. */
export function isRecorded(file: string, pid: number): boolean {
  const end = readFileSync(file).subarray(-4096).toString('latin1');
  return new RegExp(`^${pid} +\\+\\+\\+ (exited|killed)`, 'm').test(end);
}

/**
 * What the process did to files in the database's folder, and what it answered, in order. The files must be as the process
 * left them: they show what calls did that never returned.
 *
 * @param after the last position of the previous recording
 */
export function readRecording(file: string, databasePath: string, after: number): Recorded[] {
  const folder = dirname(databasePath);
  // The shared memory of processes never reaches the disk, and is recreated after a power loss.
  const isOurs = (path: string): boolean =>
    path === folder || (path.startsWith(databasePath) && !path.endsWith('-shm'));
  const calls = readWholeTrace(file);
  const last = calls.reduce((last, { begin, end }) => Math.max(last, end === Infinity ? begin : end), 0);
  const recorded: Recorded[] = [];
  for (const call of calls) {
    const begun = deedOf(call, isOurs);
    const deed = begun !== null && call.end === Infinity ? doneOf(begun) : begun;
    if (deed === null) continue;
    recorded.push({ deed, begin: after + 1 + call.begin, end: after + 1 + Math.min(call.end, last) });
  }
  return recorded;
}

const STRING = /"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g;

function deedOf({ name, text, end }: SystemCall, isOurs: (path: string) => boolean): Deed | null {
  const hasFailed = / = -1 /.test(text.slice(-200));
  if (hasFailed) return null;
  if (name === 'unlink' || name === 'unlinkat') {
    const path = bytesIn(text)[0]!.toString();
    return isOurs(path) ? { kind: 'unlink', path } : null;
  }
  const path = pathIn(text);
  if (path.startsWith('socket:') || path.startsWith('TCP:')) return answerIn(text);
  if (!isOurs(path)) return null;
  switch (name) {
    case 'fsync':
    case 'fdatasync':
      return { kind: 'sync', path };
    case 'ftruncate':
      return { kind: 'truncate', path, length: Number(/, (\d+)(?:\)| <)/.exec(text)![1]) };
    case 'pwrite64': {
      const [bytes] = bytesIn(text);
      const [, length, at, done] = /, (\d+), (\d+)(?:\) += (\d+))?[^"]*$/.exec(text) ?? [];
      if (bytes === undefined || at === undefined)
        throw new Error(`a write that cannot be read: ${text.slice(-200)}`);
      const written = end === Infinity ? Number(length) : Number(done);
      return { kind: 'write', path, at: Number(at), bytes: bytes.subarray(0, written) };
    }
    default:
      throw new Error(`SQLite was not known to use ${name}: ${text.slice(0, 200)}`);
  }
}

/** An answer that promises something, or null for anything else that was sent. */
function answerIn(text: string): Deed | null {
  // What is larger than is recorded promises nothing.
  if (text.includes('"...')) return null;
  const told = toldBy(Buffer.concat(bytesIn(text)).toString('latin1'));
  return told && { kind: 'answer', told };
}

/**
 * What a call did that never returned, or null for nothing. A kill may interrupt a write between two pages of memory, so
 * the file tells how much of it was done. An answer may have reached its client, so it counts as given.
 */
function doneOf(deed: Deed): Deed | null {
  if (deed.kind === 'answer') return deed;
  if (deed.kind !== 'write') return null;
  const now = readFileSync(deed.path).subarray(deed.at, deed.at + deed.bytes.length);
  const differs = deed.bytes.findIndex((byte, i) => byte !== now[i]);
  const done = differs < 0 ? deed.bytes.length : differs;
  return done === 0 ? null : { ...deed, bytes: deed.bytes.subarray(0, done) };
}

function pathIn(text: string): string {
  return unhex(/^\w+\(\d+<([^>]*)>/.exec(text)?.[1] ?? '').toString();
}

function bytesIn(text: string): Buffer[] {
  return Array.from(text.matchAll(STRING), ([, hex, isCut]) => {
    if (isCut !== undefined) throw new Error('a call was not recorded whole');
    return unhex(hex!);
  });
}

function unhex(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex');
}
