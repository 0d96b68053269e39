import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings';
import { Stopped } from './stopped.ts';

/** What the value of an option may be. */
export interface Kind<T> {
  /** What stands after "takes" in a message, such as `a whole number from 1 to 9`; empty where any text will do. */
  readonly takes: string;
  /** The value that the text means, or undefined where it means none. */
  read(text: string): T | undefined;
  /** No message shows the value. */
  readonly isSecret?: boolean;
}

export const TEXT: Kind<string> = { takes: '', read: (text) => text };

/** A whole number from `min` to `max`, in decimal digits; `1_000_000` is easier to read than without the lines. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): Kind<number> {
  const upTo = max === Number.MAX_SAFE_INTEGER ? 'on' : `to ${max}`;
  return {
    takes: `a whole number from ${min} ${upTo}`,
    read(text) {
      const number = /^\d[\d_]*$/.test(text) ? Number(text.replaceAll('_', '')) : NaN;
      return number >= min && number <= max ? number : undefined;
    },
  };
}

/** A decimal number for which `fits` holds, written without sign and exponent; `range` says which these are. */
export function decimalNumber(range: string, fits: (number: number) => boolean): Kind<number> {
  return {
    takes: `a number ${range}`,
    read(text) {
      const number = /^\d*\.?\d+$/.test(text) ? Number(text) : NaN;
      return fits(number) ? number : undefined;
    },
  };
}

export function oneOf<const T extends string>(choices: readonly T[]): Kind<T> {
  return {
    takes: `one of ${choices.join(', ')}`,
    read: (text) => choices.find((choice) => choice === text),
  };
}

/** What is read of a variable in place of an option. */
interface Fallback {
  readonly variable: string;
  read(text: string): unknown;
}

const fallbacks = new WeakMap<object, Fallback>();

/**
 * An option with a value, such as `--count <number>`. Where it is not on the command line, the environment's variable
 * stands in for it; an empty variable counts as unset, because that is how Compose passes one that nobody has set.
 */
export function option<const Flags extends string, T>(
  flags: Flags,
  about: string,
  kind: Kind<T>,
  variable?: string,
) {
  const made = new Option(flags, describe(about, kind, variable));
  if (variable !== undefined)
    fallbacks.set(made, { variable, read: (text) => valueOf(variable, kind, text) });
  return made.argParser<T>((text) => valueOf(nameIn(flags), kind, text));
}

/** An option that may be given again and again; its value is the list of all of them, in order. */
export function listOption<const Flags extends string, T>(flags: Flags, about: string, kind: Kind<T>) {
  return new Option(flags, describe(about, kind)).argParser<T[]>((text, before: T[] | undefined) => [
    ...(before ?? []),
    valueOf(nameIn(flags), kind, text),
  ]);
}

/** Fills in from the environment what the command line left out. @throws Stopped on the first wrong variable */
export function readVariables(
  command: CommandUnknownOpts,
  env: Readonly<Record<string, string | undefined>>,
): void {
  for (const option of command.options) {
    const fallback = fallbacks.get(option);
    if (fallback === undefined) continue;
    const name = option.attributeName();
    const text = env[fallback.variable];
    if (!text || command.getOptionValueSource(name) === 'cli') continue;
    command.setOptionValueWithSource(name, fallback.read(text), 'env');
  }
  if (command.parent !== null) readVariables(command.parent, env);
}

/** The variables that stand in for the command's own options. */
export function variablesOf(command: CommandUnknownOpts): string[] {
  return command.options.flatMap((option) => fallbacks.get(option)?.variable ?? []);
}

/** Reads an argument, which messages call by this name. */
export function argument<T>(name: string, kind: Kind<T>): (text: string) => T {
  return (text) => valueOf(name, kind, text);
}

function valueOf<T>(name: string, kind: Kind<T>, text: string): T {
  const value = kind.read(text);
  if (value !== undefined) return value;
  const got = kind.isSecret === true ? '' : `, not ${JSON.stringify(text)}`;
  throw new Stopped(2, `${name} takes ${kind.takes}${got}`);
}

function describe(about: string, { takes }: Kind<unknown>, variable?: string): string {
  return [about, takes && `; takes ${takes}`, variable && ` (env: ${variable})`].filter(Boolean).join('');
}

/** `--count` of `-c, --count <number>`. */
function nameIn(flags: string): string {
  return /--[\w-]+/.exec(flags)![0];
}
