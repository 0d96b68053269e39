import type { ClientBase } from 'pg';
import { InDoubtError } from './errors.ts';

/**
 * Does the work, and throws an InDoubtError where the server warned meanwhile: a commit whose wait for the standby was cut
 * short is reported as done, with nothing but a warning.
 */
export async function unbroken<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
  let warning: string | undefined;
  const noted = (notice: { severity?: string | undefined; message?: string | undefined }): void => {
    if (notice.severity === 'WARNING') warning = notice.message ?? 'a warning';
  };
  client.on('notice', noted);
  try {
    const result = await work();
    if (warning !== undefined) throw new InDoubtError(`the server warned at a commit: ${warning}`);
    return result;
  } finally {
    client.off('notice', noted);
  }
}
