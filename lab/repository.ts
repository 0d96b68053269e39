import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

/** The absolute path of a file of the repository. */
export function pathOf(file: string): string {
  return join(ROOT, file);
}

export function textOf(file: string): string {
  return readFileSync(pathOf(file), 'utf8');
}

/** The repository's own files that match, relative to its root, sorted by name. */
export function filesOf(...patterns: string[]): string[] {
  return globSync(patterns, { cwd: ROOT, exclude: (name) => name === 'node_modules' }).toSorted();
}

/** The rows, as lists of cells, of every table in a Markdown text that contains the needle. */
export function tableRows(markdown: string, needle: string): string[][] {
  const tables = markdown.split('\n').reduce<string[][]>((tables, line) => {
    if (!line.startsWith('|')) tables.push([]);
    else tables.at(-1)?.push(line);
    return tables;
  }, []);
  return tables
    .filter((lines) => lines.some((line) => line.includes(needle)))
    .flatMap((lines) => lines.slice(2))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

/** Where Node.js caches compiled sources, which halves the time of a start. It is removed with node_modules. */
export const COMPILE_CACHE = pathOf('node_modules/.cache/chronicleweaver-tests');
