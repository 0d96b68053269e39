import { filesOf } from '../repository.ts';

/** Tests that run in one process of their own. */
export interface Part {
  readonly name: string;
  /** Relative to the repository's root; at least one. */
  readonly files: readonly string[];
}

/**
 * Files in these folders share a process for each folder, those of a folder within another counted there alone. A process
 * takes half a second to load the service, which most of these tests need. They begin in this order, the longest first,
 * so that small ones fill what is left.
 */
const SHARED = [
  'packages/aggregator/test/api/request',
  'packages/aggregator/test/store',
  'packages/aggregator/test/store/postgres',
  'packages/aggregator/test/api/read',
  'packages/client/test',
  'packages/aggregator/test/api',
  'packages/aggregator/test',
  'tests',
  'packages/cli/test',
  'packages',
];

/** Files that would not prove the same in a process that has run other tests, and why. */
const ALONE = new Map([
  [
    'packages/aggregator/test/api/publish-through-fastify.test.ts',
    'has every publish of its process go through Fastify',
  ],
  [
    'packages/aggregator/test/api/request/content-coding.test.ts',
    'measures the memory of the process, of which other tests leave some free but not given back',
  ],
  [
    'packages/aggregator/test/released-memory.test.ts',
    'needs two small buffers side by side, which is certain only where nobody else makes small buffers',
  ],
]);

/**
 * Files that start the service so often that they would make a part too long: while one waits for its processes, another
 * has the processor.
 */
const MANY_STARTS = [
  'tests/backup.test.ts',
  'tests/audit-crash.test.ts',
  'tests/crash.test.ts',
  'tests/durability.test.ts',
  'tests/long-read.test.ts',
  'tests/shutdown.test.ts',
  'tests/start.test.ts',
  'tests/stop-npm.test.ts',
  'tests/stream.test.ts',
];

/** The files that share no process with others. */
export const APART: readonly string[] = [...ALONE.keys(), ...MANY_STARTS];

/** The wanted ones of the files that belong to no other script, each in one part. */
export function everydayParts(isWanted: (file: string) => boolean): Part[] {
  const shared = new Map(SHARED.map((folder) => [folder, [] as string[]]));
  const alone: Part[] = [];
  for (const file of everydayFiles().filter(isWanted)) {
    const [folder] = APART.includes(file)
      ? []
      : SHARED.filter((folder) => file.startsWith(`${folder}/`)).toSorted(longerFirst);
    if (folder === undefined) alone.push({ name: file, files: [file] });
    else shared.get(folder)!.push(file);
  }
  const parts = [...shared].map(([name, files]) => ({ name, files })).filter(({ files }) => files.length > 0);
  return [...parts, ...alone];
}

function everydayFiles(): string[] {
  return filesOf('packages/**/*.test.ts', 'tests/*.test.ts');
}

function longerFirst(a: string, b: string): number {
  return b.length - a.length;
}
