import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { COMPILE_CACHE, pathOf } from '../repository.ts';
import { STORE } from '../test-store.ts';
import { type Run, isWanted, leftOutTests } from './left-out.ts';
import { type Part, everydayParts } from './parts.ts';

/**
 * `npm test`: runs the everyday tests in a few processes, and fails if a file reported nothing. `npm run test:long`: those that take long.
 * `npm run test:postgres`: those that start services, on PostgreSQL, and those of the store in PostgreSQL.
 */

/** For two cores: tests that start processes wait half of their time. */
const PARTS_AT_ONCE = 3;

/** For a part, milliseconds: the longest takes a minute on two idle cores, and five where other work has them. */
const PART_TIMEOUT_MS = 900_000;

const everydayOrLong: Run = process.argv.includes('--long') ? 'long' : 'everyday';
const thisRun = STORE === 'postgres' ? 'postgres' : everydayOrLong;
const parts = everydayParts((file) => isWanted(file, thisRun));
const unheard = new Set(parts.flatMap(({ files }) => files));
const alone = new Set(parts.flatMap(({ files }) => (files.length === 1 ? files : [])));
const folder = mkdtempSync(join(tmpdir(), 'chronicleweaver-parts-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

process.env['NODE_COMPILE_CACHE'] = COMPILE_CACHE;
const results = run({
  files: parts.map(entryOf),
  concurrency: PARTS_AT_ONCE,
  timeout: PART_TIMEOUT_MS,
  ...(STORE !== 'sqlite' && { testSkipPatterns: leftOutTests() }),
});
results.on('test:complete', ({ name }) => unheard.delete(fileOf(name)));
results.on('test:pass', ({ name }) => {
  // A process that ended well is a test itself only where it reported none: it may have left before it could.
  if (alone.has(fileOf(name))) unheard.add(fileOf(name));
});
results.on('test:fail', () => {
  process.exitCode = 1;
});
results.once('end', () => {
  if (unheard.size === 0) return;
  process.exitCode = 1;
  // Behind what the reporter has yet to print.
  process.once('beforeExit', () => {
    process.stdout.write(`\nNo test was heard of in\n${[...unheard].map((file) => `  ${file}\n`).join('')}`);
  });
});
results.compose(spec).pipe(process.stdout);

/** The file that bears this name: a process is named by its path, a suite of a shared one by the file. */
function fileOf(name: string): string {
  return relative(pathOf(''), resolve(pathOf(''), name));
}

/** The file that Node.js runs for a part: the tests themselves, or one that runs several. */
function entryOf({ name, files }: Part): string {
  if (files.length === 1) return pathOf(files[0]!);
  const entry = join(folder, `${name.replaceAll('/', '-')}.mjs`);
  const together = JSON.stringify(pathOf('lab/everyday/together.ts'));
  writeFileSync(
    entry,
    `import { runTogether } from ${together};\nawait runTogether(${JSON.stringify(files)});\n`,
  );
  return entry;
}
