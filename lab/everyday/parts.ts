import { filesOf } from '../repository.ts';

/** Tests that run in one process of their own. */
export interface Part {
  readonly name: string;
  /** Relative to the repository's root; at least one. */
  readonly files: readonly string[];
}

/**
 * Files in these folders share a process for each folder, those of a folder within another counted there alone. A process
 * takes half a second to load the service, which most of these tests need. Two parts run at a time, in this order, so
 * that the longest begin first and small ones fill what is left.
 */
const SHARED = [
  'packages/aggregator/test/api/request',
  'packages/aggregator/test/store',
  'packages/aggregator/test/api/read',
  'packages/client/test',
  'packages/aggregator/test/api',
  'packages/aggregator/test',
  'packages/cli/test',
  'packages',
];

/** Files that would not prove the same in a process that has run other tests, and why. */
export const ALONE = new Map([
  [
    'packages/aggregator/test/api/request/content-coding.test.ts',
    'measures the memory of the process, of which other tests leave some free but not given back',
  ],
  [
    'packages/aggregator/test/released-memory.test.ts',
    'needs two small buffers side by side, which is certain only where nobody else makes small buffers',
  ],
]);

/** The files of `npm test`, each in one part. Files outside `packages` have a process each: theirs start the service as one. */
export function everydayParts(): Part[] {
  const shared = new Map(SHARED.map((folder) => [folder, [] as string[]]));
  const alone: Part[] = [];
  for (const file of everydayFiles()) {
    const [folder] = ALONE.has(file)
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
