import { join } from 'node:path';
import type { Cores } from './process/cores.ts';
import type { ServerCommand } from './process/server-process.ts';

/** The flags that `npm start` and the image use. */
const START_FLAGS = ['--max-semi-space-size=4'];

/** The server under test, with its own file in the folder. */
export function chronicleWeaver(folder: string, cores: Cores, profileFolder: string | null): ServerCommand {
  return {
    name: 'ChronicleWeaver',
    script: pathOf('../packages/aggregator/src/start.js'),
    nodeArgs: [
      ...START_FLAGS,
      ...(profileFolder === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`]),
    ],
    databasePath: join(folder, 'events.db'),
    cores,
  };
}

/** The same with its log in a database; the folder is for nothing but a place to run in. */
export function chronicleWeaverOn(
  storeUrl: string,
  folder: string,
  profileFolder: string | null,
): ServerCommand {
  return { ...chronicleWeaver(folder, null, profileFolder), storeUrl };
}

/** The reference beside it: the design that anyone would begin with on PostgreSQL. */
export function naiveOn(storeUrl: string, folder: string): ServerCommand {
  return {
    name: 'naive',
    script: pathOf('references/naive-postgres.ts'),
    databasePath: join(folder, 'none'),
    storeUrl,
    cores: null,
  };
}

/** Reference (b). */
export function afternoon(folder: string, cores: Cores): ServerCommand {
  return {
    name: '(b) afternoon',
    script: pathOf('references/afternoon.ts'),
    databasePath: join(folder, 'afternoon.db'),
    cores,
  };
}

/** Reference (c). It has no file. */
export function sink(folder: string, cores: Cores): ServerCommand {
  return {
    name: '(c) sink',
    script: pathOf('references/sink.ts'),
    databasePath: join(folder, 'none'),
    cores,
  };
}

export const APPEND_ONLY_SCRIPT = pathOf('references/append-only.ts');
export const APPENDS_SCRIPT = pathOf('load/appends.ts');
export const BARE_UNPACK_SCRIPT = pathOf('references/bare-unpack.ts');

function pathOf(relative: string): string {
  return join(import.meta.dirname, relative);
}
