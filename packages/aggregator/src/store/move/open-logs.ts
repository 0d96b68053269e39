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
    // The new service may be running on it.
    const mark = await source.content.mark();
    await source.close();
    throw mark?.role === 'moved' ? new StoreError('unusable', refusalOf(source.place, mark)!) : error;
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
