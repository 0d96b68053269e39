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
  const fields = fieldsOf(pid);
  return fields === null ? 0 : (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The same of those children that have ended. */
export function childCpuSecondsOf(pid: number): number {
  const fields = fieldsOf(pid);
  return fields === null ? 0 : (Number(fields[13]) + Number(fields[14])) / 100;
}

/** The process that started it; null if it is none, or has ended. */
export function parentOf(pid: number | string): number | null {
  const fields = fieldsOf(pid);
  return fields === null ? null : Number(fields[1]);
}

/**
 * What /proc/PID/stat says from its third field on, the state: user and system ticks are fields 14 and 15, those of ended
 * children 16 and 17, 100 ticks a second. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
function fieldsOf(pid: number | string): string[] | null {
  const stat = read(`/proc/${pid}/stat`);
  // The name, in parentheses, may contain spaces.
  return stat === '' ? null : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
