import { readFileSync } from 'node:fs';

export interface Memory {
  /** Resident now. */
  readonly bytes: number;
  /** The most that was ever resident. */
  readonly peakBytes: number;
}

/** The memory of a process, or null without /proc. https://man7.org/linux/man-pages/man5/proc_pid_status.5.html */
export function memoryOf(pid: number): Memory | null {
  const status = read(`/proc/${pid}/status`);
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]);
  return status === '' ? null : { bytes: kib('VmRSS') * 1024, peakBytes: kib('VmHWM') * 1024 };
}

/** Seconds of processor time that all threads of a process have used; 0 without /proc. */
export function cpuSecondsOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // The name, in parentheses, may contain spaces; user and system ticks are fields 14 and 15, 100 ticks a second.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat === '' ? 0 : (Number(fields[11]) + Number(fields[12])) / 100;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
