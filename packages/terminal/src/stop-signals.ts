import { readFileSync } from 'node:fs';

// When a program stops that people start through npm or npx, which pass SIGINT and SIGTERM on to what they started:
//
//  - Ctrl-C arrives twice, once from the terminal and once from npm. Both together are one request to stop.
//  - npm and npx start `sh -c COMMAND`. Where that shell does not become the command, as Debian's does not, the signal
//    ends the shell and nobody tells the command. So the command watches whether its parent is still there.
//
// The scripts of package.json begin with `exec`, which leaves no shell between; npx gives no such choice.

export type StopSignal = 'SIGINT' | 'SIGTERM';

/** A repeated signal within this time is the same request, told again by npm. */
const REPEAT_MS = 1000;

/** How often to look for the parent. It costs one system call. */
const WATCH_MS = 100;

/** A terminal that closes sends SIGHUP to us as well as to npm, no further apart than this. */
const HANGUP_MS = 2000;

/** Holds the parent's id for a process that begins anew (start.js), by when the parent may be gone. */
const PARENT_VARIABLE = 'CHRONICLEWEAVER_NPM_PID';

let watch: NodeJS.Timeout | undefined;
let check = (): void => {};
let hangupAtMs = -Infinity;

/**
 * Calls `stop` once, at the first SIGINT or SIGTERM. A later one ends the process there and then, as it would without
 * a handler.
 */
export function onStopSignal(stop: (signal: StopSignal) => void): void {
  let firstAtMs: number | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    const handle = (): void => {
      if (firstAtMs === undefined) {
        firstAtMs = performance.now();
        endWatch();
        stop(name);
      } else if (performance.now() - firstAtMs > REPEAT_MS) {
        process.off(name, handle);
        process.kill(process.pid, name);
      }
    };
    process.on(name, handle);
  }
}

/**
 * Sends this process a SIGTERM when the npm or npx that started it is gone, after `beforeStop`. Does nothing where
 * something else started it, where a script leaves it in the background on purpose, or where there is no /proc to tell
 * what the parent is.
 */
export function stopWithNpm(beforeStop: () => void = () => {}): void {
  const parent = npmParent();
  if (parent === undefined) return;
  let wasGone = false;
  check = () => {
    if (process.ppid === parent) return;
    // Not at the first sight: a SIGHUP that came with it may not have been seen yet.
    if (!wasGone) {
      wasGone = true;
      return;
    }
    endWatch();
    // Whoever closes the terminal of a service in the background means it to go on.
    if (performance.now() - hangupAtMs < HANGUP_MS) return;
    beforeStop();
    process.kill(process.pid, 'SIGTERM');
  };
  clearInterval(watch);
  watch = setInterval(check, WATCH_MS).unref();
}

/** Looks for npm now; for work that leaves no time to the watch. */
export function lookForNpm(): void {
  check();
}

function endWatch(): void {
  clearInterval(watch);
  check = () => {};
}

/** Tells the watch that a SIGHUP came: a program that goes on after one also outlives its npm then. */
export function noteHangup(): void {
  hangupAtMs = performance.now();
}

/** The parent, where it is npm or the shell in which npm runs the script that this process belongs to. */
function npmParent(): number | undefined {
  const known = process.env[PARENT_VARIABLE];
  delete process.env[PARENT_VARIABLE];
  if (known !== undefined) return Number(known);
  const script = process.env['npm_lifecycle_script'];
  if (script === undefined || leavesInBackground(script)) return undefined;
  const parent = process.ppid;
  const [program, ...args] = commandLineOf(parent);
  // npm writes its title in the place of its command line.
  const isNpm = program?.startsWith('npm ') === true;
  if (!isNpm && args[args.indexOf('-c') + 1]?.startsWith(script) !== true) return undefined;
  process.env[PARENT_VARIABLE] = String(parent);
  return parent;
}

function commandLineOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function leavesInBackground(script: string): boolean {
  return /(?<![&>])&(?![&>])|\b(nohup|setsid)\b/.test(script);
}
