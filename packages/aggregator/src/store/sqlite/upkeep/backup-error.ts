import { messageOf } from '../../errors.ts';

/**
 * - `source`: the file to copy does not exist or cannot be read.
 * - `target`: the copy cannot be placed there.
 * - `unsound`: the copy was made, but something is wrong with it; `problems` says what.
 */
export class BackupError extends Error {
  readonly code: 'source' | 'target' | 'unsound';
  readonly problems: readonly string[];

  constructor(
    code: BackupError['code'],
    message: string,
    options?: ErrorOptions & { problems?: readonly string[] },
  ) {
    super(message, options);
    this.name = 'BackupError';
    this.code = code;
    this.problems = options?.problems ?? [];
  }
}

/** https://sqlite.org/rescode.html */
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;

/** Says what an error of SQLite or the file system means for the copy. */
export function copyError(
  error: unknown,
  { from, folder, bytes }: { from: string; folder: string; bytes: number },
): BackupError {
  const message = messageOf(error);
  const errcode = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
  if (errcode === SQLITE_CORRUPT) {
    const advice = 'stop the service on it and run verify';
    return new BackupError('source', `${from} is damaged (${message}): ${advice}`, { cause: error });
  }
  if (errcode === SQLITE_FULL) {
    return new BackupError('target', `no space is left in ${folder}: the copy needs about ${bytes} bytes`, {
      cause: error,
    });
  }
  return new BackupError('target', `cannot write the copy in ${folder}: ${message}`, { cause: error });
}
