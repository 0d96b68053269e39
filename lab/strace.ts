import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A system call, with its begin and end as positions in the whole trace. */
export interface SystemCall {
  /** The id of the thread that made it. */
  readonly thread: number;
  readonly name: string;
  /** As strace writes it: `fsync(27</tmp/x/events.db-wal>) = 0`. */
  readonly text: string;
  readonly begin: number;
  /** Infinity if the process was killed before the call returned. */
  readonly end: number;
}

/** Why strace cannot be used here, or null if it can. */
export function straceMissing(): string | null {
  const { error, status, stderr } = spawnSync('strace', ['-f', '--seccomp-bpf', '-o', '/dev/null', 'true'], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (error !== undefined) return `strace cannot be run: ${error.message}`;
  return status === 0 ? null : `strace cannot trace: ${stderr.trim()}`;
}

/**
 * The command that traces the program that follows it. `-D` keeps that program a direct child of the caller, `-y` shows
 * the path of each file, and `--seccomp-bpf` lets all other calls run at full speed.
 */
export function straceCommand(file: string, ...more: string[]): string[] {
  const calls = 'fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg';
  return [
    'strace',
    '-D',
    '-f',
    '--seccomp-bpf',
    '-y',
    '-s',
    '64',
    '-o',
    file,
    '-e',
    `trace=${calls}`,
    ...more,
    '--',
  ];
}

/** Reads a trace, except calls that never returned; the traced program must have ended. */
export function readTrace(file: string): SystemCall[] {
  return readWholeTrace(file).filter(({ end }) => end !== Infinity);
}

/** The same, including calls that never returned. */
export function readWholeTrace(file: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const unfinished = new Map<string, Omit<SystemCall, 'end'>>();
  for (const [at, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    const [, pid, rest] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    if (pid === undefined || rest === undefined) continue;
    const begun = /^(\w+)\((.*) <unfinished \.\.\.>$/.exec(rest);
    if (begun !== null) {
      unfinished.set(pid, {
        thread: Number(pid),
        name: begun[1]!,
        text: rest.replace(/ <unfinished \.\.\.>$/, ''),
        begin: at,
      });
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    if (resumed !== null) {
      const call = unfinished.get(pid);
      if (call !== undefined) calls.push(endedAt(at, { ...call, text: call.text + resumed[1]! }));
      unfinished.delete(pid);
      continue;
    }
    const whole = /^(\w+)\(/.exec(rest);
    if (whole !== null)
      calls.push(endedAt(at, { thread: Number(pid), name: whole[1]!, text: rest, begin: at }));
  }
  for (const call of unfinished.values()) calls.push({ ...call, end: Infinity });
  return calls.toSorted((a, b) => a.begin - b.begin);
}

/** A call whose end strace wrote. If the process was killed during it, there is no result: strace writes `= ?`. */
function endedAt(at: number, call: Omit<SystemCall, 'end'>): SystemCall {
  const hasReturned = !/= \?\s*$/.test(call.text);
  return { ...call, end: hasReturned ? at : Infinity };
}
