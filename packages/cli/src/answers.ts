import { type Terminal, columns, harmless } from './terminal.ts';

/** An answer of the service as a line for each of its members, or as it is. */
export async function printMembers(
  terminal: Terminal,
  answer: unknown,
  asJson: true | undefined,
): Promise<void> {
  if (asJson) return terminal.line(JSON.stringify(answer));
  // All as text, which is aligned left: at the right of a long value nobody would find a number.
  const rows = Object.entries(answer as object).map(([name, value]) => [name, textOf(value)]);
  await terminal.lines(columns(rows));
}

/** What became of a thing with a name, such as `mailer is deleted`. */
export async function printDone(
  terminal: Terminal,
  what: 'deleted' | 'removed' | 'paused' | 'resumed',
  name: string,
  asJson: true | undefined,
): Promise<void> {
  await terminal.line(asJson ? JSON.stringify({ [what]: name }) : `${name} is ${what}`);
}

function textOf(value: unknown): string {
  if (value === null) return '-';
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return harmless(value.join(' '));
  return harmless(typeof value === 'string' ? value : JSON.stringify(value));
}
