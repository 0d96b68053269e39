import { ChronicleWeaverError } from './errors.ts';

/** Query parameters. An array repeats its parameter for each entry; undefined leaves it out. */
export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** The path and query of a request. */
export function addressOf(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, String(one));
  }
  const text = parameters.toString();
  return path + (text && `?${text}`);
}

/** @returns the path with each name percent-encoded @throws ChronicleWeaverError `unaddressable` */
export function pathOf(...names: string[]): string {
  return names
    .map((name) => {
      // fetch resolves dots as steps in the path, even encoded ones, and would request something else.
      if (name === '.' || name === '..' || !name.isWellFormed()) {
        throw new ChronicleWeaverError(
          'unaddressable',
          `${JSON.stringify(name)} cannot be part of an address`,
        );
      }
      return `/${encodeURIComponent(name)}`;
    })
    .join('');
}
