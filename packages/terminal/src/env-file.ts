import { lstatSync, readFileSync } from 'node:fs';
import { BYTE_ORDER_MARK, TextError, decodeText } from '@chronicleweaver/protocol';

/** A `.env` that cannot be used. The message is one line for the user, with the file and the line. */
export class EnvFileError extends Error {
  override name = 'EnvFileError';
}

type Env = Record<string, string | undefined>;

/**
 * Puts the variables of `.env` in the working directory, if there is one, into the environment. A variable that has a
 * value there keeps it. An empty one counts as unset, as it does for every setting: Compose sets all that it knows.
 *
 * Node.js has a reader of its own (`process.loadEnvFile`), but that drops what it does not understand: the first
 * variable behind a byte order mark, a line without `=`, the line below an empty value, all behind a `#`. A setting that
 * gets lost can open a service to everybody, so here every line is either read or refused.
 *
 * @param settings the variables that the program reads
 * @throws EnvFileError
 */
export function readEnvFile(settings: readonly string[], env: Env = process.env, path = '.env'): void {
  // A link that leads nowhere is no missing file: somebody meant it to be read.
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  let text: string;
  try {
    text = decodeText(readFileSync(path));
  } catch (cause) {
    const { message } = cause as Error;
    throw new EnvFileError(`${path} ${cause instanceof TextError ? '' : 'cannot be read: '}${message}`, {
      cause,
    });
  }
  for (const [name, value] of parseEnvFile(text, settings, env, path)) env[name] ||= value;
}

/**
 * The variables in lines of `NAME=VALUE`, among blank lines and comments (`#`). A value is
 *
 * - bare: up to the end of the line, or to a `#` with a blank in front of it, without the blanks around it; or
 * - quoted by `'`, `"` or a backtick: up to the next one, also over several lines. Between `"`, `\n` is a line feed and
 *   `\"` is no end.
 *
 * `export` in front of a name is ignored. `$NAME` in a value stays as it is.
 */
export function parseEnvFile(
  text: string,
  settings: readonly string[],
  env: Readonly<Env> = {},
  path = '.env',
): ReadonlyMap<string, string> {
  const lines = text.split(/\r\n|\n|\r/).map((line) => line.replace(BYTE_ORDER_MARK, ''));
  const variables = new Map<string, Variable>();
  for (let at = 0; at < lines.length;) {
    if (BLANK.test(lines[at]!)) {
      at += 1;
      continue;
    }
    const read = readVariable(lines, at, settings);
    const fault = typeof read === 'string' ? read : settingFault(read, variables, settings);
    if (typeof read === 'string' || fault !== undefined) {
      throw new EnvFileError(`${path}, line ${at + 1}: ${fault}`);
    }
    variables.set(read.name, read);
    at = read.nextLine;
  }
  for (const { name, line } of variables.values()) {
    const fault = strangerFault(name, settings, variables, env);
    if (fault !== undefined) throw new EnvFileError(`${path}, line ${line + 1}: ${fault}`);
  }
  return new Map([...variables.values()].map(({ name, value }) => [name, value]));
}

interface Variable {
  readonly name: string;
  readonly value: string;
  /** Where it begins, and where the next may, from 0. */
  readonly line: number;
  readonly nextLine: number;
}

const BLANK = /^[ \t]*(?:#|$)/;
const ASSIGNMENT = /^[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=(.*)$/;

/** The variable that begins in this line, or what is wrong with it. */
function readVariable(
  lines: readonly string[],
  line: number,
  settings: readonly string[],
): Variable | string {
  const [, name, rest] = ASSIGNMENT.exec(lines[line]!) ?? [];
  if (name === undefined || rest === undefined) return notAssigned(lines[line]!);
  const bare = rest.replace(/[ \t]#.*$/, '').replaceAll(/^[ \t]+|[ \t]+$/g, '');
  const quote = /^["'`]/.exec(bare)?.[0];
  if (quote === undefined) return { name, value: bare, line, nextLine: line + 1 };

  const end = quote === '"' ? /(?<!\\)"/ : new RegExp(quote);
  let value = rest.slice(rest.indexOf(quote) + 1);
  let last = line;
  for (; !end.test(value); value += `\n${lines[last]}`) {
    last += 1;
    const swallowed = ASSIGNMENT.exec(lines[last] ?? '')?.[1];
    if (last === lines.length || (swallowed !== undefined && settings.includes(swallowed))) {
      return `${name} begins with ${quote} and nothing ends it`;
    }
  }
  const length = end.exec(value)!.index;
  if (!/^[ \t]*(?:#|$)/.test(value.slice(length + 1)))
    return `something follows the value of ${name} and its ${quote}`;
  value = value.slice(0, length);
  if (quote === '"') value = value.replaceAll('\\n', '\n').replaceAll('\\"', '"');
  return { name, value, line, nextLine: last + 1 };
}

/** The line itself is not shown: it may hold a secret. */
function notAssigned(line: string): string {
  const [, odd] = /^[^=#]*?([^\t -~])/u.exec(line) ?? [];
  const seen =
    odd === undefined
      ? ''
      : `; it has a U+${odd.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`;
  return `this is neither NAME=VALUE nor a comment (#)${seen}`;
}

/** What is set twice is one of them lost. Other programs' variables are theirs to judge. */
function settingFault(
  { name }: Variable,
  variables: ReadonlyMap<string, Variable>,
  settings: readonly string[],
): string | undefined {
  const before = variables.get(name);
  if (before === undefined || !settings.includes(name)) return undefined;
  return `${name} is set in line ${before.line + 1} already: keep one of the two`;
}

/** A variable that was meant for the program, and that it would not read. */
function strangerFault(
  name: string,
  settings: readonly string[],
  variables: ReadonlyMap<string, Variable>,
  env: Readonly<Env>,
): string | undefined {
  if (name === 'NODE_EXTRA_CA_CERTS' && !env[name]) {
    return `${name} has no effect in a file: Node.js wants it in the environment when it starts`;
  }
  if (settings.includes(name)) return undefined;
  const meant = settings.find((one) => isLike(name, one) && !variables.has(one) && !env[one]);
  if (meant === undefined) return undefined;
  return `there is no setting ${name}: write ${meant} if you mean that, or add the line ${meant}= if you do not`;
}

/** Up to here a name is so short that others are like it by chance: letters. */
const SHORT = 6;

/** Whether one name is written for the other: in other case, with other underscores, or with one letter wrong. */
function isLike(name: string, setting: string): boolean {
  const [a, b] = [name, setting].map((one) => one.toUpperCase().replaceAll(/[^A-Z\d]/g, '')) as [
    string,
    string,
  ];
  return a === b || (b.length > SHORT && isOneEditAway(a, b));
}

/** One letter more, less or other, or two neighbours swapped. */
function isOneEditAway(a: string, b: string): boolean {
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) [endA, endB] = [endA - 1, endB - 1];
  const [onlyA, onlyB] = [a.slice(start, endA), b.slice(start, endB)];
  return (
    (onlyA.length <= 1 && onlyB.length <= 1) || (onlyA.length === 2 && onlyB === `${onlyA[1]}${onlyA[0]}`)
  );
}
