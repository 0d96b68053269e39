import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../', import.meta.url));

/** The path of a file of the repository, given from its root. */
export function pathOf(file: string): string {
  return join(ROOT, file);
}

export function textOf(file: string): string {
  return readFileSync(pathOf(file), 'utf8');
}

/** The repository's own files that match, from its root, in order of their names. */
export function filesOf(...patterns: string[]): string[] {
  return globSync(patterns, { cwd: ROOT, exclude: (name) => name === 'node_modules' }).toSorted();
}

/** The rows of every table of a Markdown text that holds the needle, each a list of its cells. */
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
