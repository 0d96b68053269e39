import { resolve } from 'node:path';
import { StoreError } from '../event-store.ts';
import { PostgresSource } from '../postgres/move/source.ts';
import { PostgresTarget } from '../postgres/move/target.ts';
import { SqliteSource } from '../sqlite/move/source.ts';
import { SqliteTarget } from '../sqlite/move/target.ts';
import { refusalOf } from './move-mark.ts';
import type { SourceLog, TargetLog } from './moved-log.ts';

export interface OpenOptions {
  /** Whether to take a PostgreSQL server that could lose what it confirmed, as tests do that are about something else. */
  readonly allowsLoss?: boolean;
}

/**
 * Opens the stores that two addresses name, as `openStore` takes them. Rejects with a StoreError `unusable` that says what
 * to do, and shows no password.
 */
export async function openLogs(
  { from, to }: { readonly from: string; readonly to: string },
  options: OpenOptions = {},
): Promise<{ readonly source: SourceLog; readonly target: TargetLog }> {
  const [fromScheme, toScheme] = [schemeOf(from, '--from'), schemeOf(to, '--to')];
  if (
    from === to ||
    (fromScheme === 'sqlite' && toScheme === 'sqlite' && resolve(pathIn(from)) === resolve(pathIn(to)))
  ) {
    throw new StoreError('unusable', '--from and --to name the same store');
  }
  const source =
    fromScheme === 'sqlite' ? SqliteSource.open(pathIn(from)) : await PostgresSource.open(from, options);
  try {
    const target =
      toScheme === 'sqlite' ? SqliteTarget.open(pathIn(to)) : await PostgresTarget.open(to, options);
    return { source, target };
  } catch (error) {
    throw (await movedAway(source)) ?? error;
  }
}

/** Why the target cannot be opened if the source was moved before: the new service may be running on it. Closes the source. */
async function movedAway(source: SourceLog): Promise<StoreError | null> {
  try {
    const mark = await source.content.mark();
    return mark?.role === 'moved' ? new StoreError('unusable', refusalOf(source.place, mark)!) : null;
  } catch {
    // The target's error is the one to tell.
    return null;
  } finally {
    // Left open, it would keep the program from ending.
    await source.close();
  }
}

function schemeOf(address: string, option: string): 'sqlite' | 'postgres' {
  const scheme = /^([a-z]+):/i.exec(address)?.[1]?.toLowerCase();
  if (scheme === 'sqlite' && pathIn(address) !== '') return 'sqlite';
  if (scheme === 'postgres' || scheme === 'postgresql') return 'postgres';
  // The address may hold a password.
  throw new StoreError(
    'unusable',
    `${option} names no store that can be moved: it takes sqlite: and the path of a file, or postgres://user@host:5432/database`,
  );
}

function pathIn(address: string): string {
  return address.slice('sqlite:'.length);
}
