/** The patterns in a line, separated by blanks; one with a blank stands in quotation marks. */
export function patternsIn(line: string): string[] {
  return [...line.matchAll(/"([^"]+)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}
