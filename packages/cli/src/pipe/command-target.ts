import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Stopped } from '@chronicleweaver/terminal';
import {
  type Hindrance,
  type Note,
  type PipedEvent,
  Refused,
  type Target,
  linesOf,
  unhindered,
} from './target.ts';

/** EX_TEMPFAIL of sysexits.h, which Postfix's pipe(8) takes the same way. */
const TRY_AGAIN = 75;
/** What a shell says of a command that it could not run. */
const CANNOT_RUN = new Set([126, 127]);
/** How long a command that took too long has until it is killed. */
const KILL_MS = 5000;

/**
 * Runs a command for each batch, with the events as its standard input. That is a file without a name, not a pipe: if we
 * are killed, the command still gets whole events, and all of them.
 */
export class CommandTarget implements Target {
  readonly takesRepeatsAlone = true;
  readonly #command: string;
  readonly #timeoutMs: number | undefined;
  readonly #note: Note;

  constructor(command: string, timeoutMs: number | undefined, note: Note) {
    this.#command = command;
    this.#timeoutMs = timeoutMs;
    this.#note = note;
  }

  take(events: readonly PipedEvent[], ended: AbortSignal): Promise<void> {
    return unhindered(() => this.#run(linesOf(events)), ended, this.#note);
  }

  async close(): Promise<void> {}

  async #run(lines: string): Promise<Hindrance | undefined> {
    const input = await namelessFile(lines);
    try {
      // A group of its own: Ctrl-C is for us, who let it finish.
      const child = spawn('/bin/sh', ['-c', this.#command], {
        stdio: [input.fd, 'inherit', 'inherit'],
        detached: true,
      });
      return outcomeOf(await this.#endOf(child));
    } finally {
      await input.close();
    }
  }

  /** The exit code, or how else it ended. */
  #endOf(child: ChildProcess): Promise<number | string> {
    const killers: NodeJS.Timeout[] = [];
    let isLate = false;
    let isTold = false;
    const kill = (signal: NodeJS.Signals, afterMs: number): void => {
      killers.push(
        setTimeout(() => {
          const refusal = refusalOf(child.pid!, signal);
          if (refusal === null) isLate = true;
          else if (refusal !== '' && !isTold) {
            isTold = true;
            this.#note(
              `the command takes longer than ${this.#timeoutMs! / 1000} s, and cannot be ended: ${refusal}`,
            );
          }
        }, afterMs),
      );
    };
    if (this.#timeoutMs !== undefined) {
      kill('SIGTERM', this.#timeoutMs);
      kill('SIGKILL', this.#timeoutMs + KILL_MS);
    }
    return new Promise<number | string>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        if (isLate) resolve(`took longer than ${this.#timeoutMs! / 1000} s`);
        else resolve(code ?? `was ended by ${signal}`);
      });
    }).finally(() => killers.forEach((killer) => clearTimeout(killer)));
  }
}

/**
 * Signals a command and all that it started. Null if that was done; else the command ends by itself, and says how: the reason
 * why it may not be signalled, or nothing if it has just ended.
 */
function refusalOf(pid: number, signal: NodeJS.Signals): string | null {
  try {
    process.kill(-pid, signal);
    return null;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ESRCH') return '';
    // It runs as somebody else, as behind sudo.
    if (code !== 'EPERM') throw error;
    return message;
  }
}

function outcomeOf(end: number | string): Hindrance | undefined {
  if (end === 0) return undefined;
  const reason = `the command ${typeof end === 'number' ? `exited with ${end}` : end}`;
  if (end === TRY_AGAIN) return { reason };
  if (typeof end === 'number' && CANNOT_RUN.has(end)) throw new Stopped(1, `${reason}: it cannot be run`);
  throw new Refused(reason);
}

async function namelessFile(text: string): Promise<FileHandle> {
  const path = join(tmpdir(), `chronicleweaver-pipe-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
    // By positions, so that whoever inherits it reads from the beginning.
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length;) {
      at += (await file.write(bytes, at, bytes.length - at, at)).bytesWritten;
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
