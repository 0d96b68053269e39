import { parseArgs } from 'node:util';
import { newSeed } from '../lab/random.ts';

/** What one run is to do: checked and complete. */
export interface Options {
  readonly seed: number;
  /** The steps from this number on, */
  readonly from: number;
  /** up to before this one. */
  readonly to: number;
  /** Ends after so many findings. */
  readonly findingsMax: number;
  /** How often bytes are left out of a finding: each time a service is started. */
  readonly triesMax: number;
  /** Keys are in force; some of the steps have one. */
  readonly guarded: boolean;
  /** A file of bytes to send alone, in place of a run. */
  readonly replay: string | null;
}

/** A flag that cannot be used; the message is one line for the user. */
export class OptionError extends Error {}

const STEPS = 100_000;

export const USAGE = `Sends the service what no client would: broken bodies, headers, addresses and bytes, with good publishes among them.
No answer may be a 5xx but 503, every 4xx must be a problem and change nothing, every 200 must be stored as it was sent,
and the process must live.

usage: npm run fuzz -- [flags]

  --requests N      how many steps, each a connection with one request or a few (default: ${STEPS})
  --seed N          the steps of an earlier run, which prints it
  --step N          only this step of the seed, alone
  --guarded         with keys in force, of which some steps have one: the others must not get in
  --findings N      end after so many findings (default: 5)
  --tries N         how often to try to show a finding with fewer bytes (default: 60)
  --replay FILE     send the bytes of a finding, and say what is wrong with the answer
  --help            this text

Each finding's bytes are written to a file beside the run, as few of them as still show it.
exit code: 0 nothing was found; 1 something was; 2 wrong flags.
`;

/** Reads the flags; throws an OptionError on the first that is wrong. */
export function readOptions(args: readonly string[]): Options | 'help' {
  const flags = parse(args);
  if (flags.help === true) return 'help';
  const step = flags.step === undefined ? null : whole('--step', flags.step, 0, 0, 1_000_000_000);
  return {
    seed: whole('--seed', flags.seed, newSeed(), 0, 0xffff_ffff),
    from: step ?? 0,
    to: step === null ? whole('--requests', flags.requests, STEPS, 1, 1_000_000_000) : step + 1,
    findingsMax: whole('--findings', flags.findings, 5, 1, 1000),
    triesMax: whole('--tries', flags.tries, 60, 0, 100_000),
    guarded: flags.guarded === true,
    replay: flags.replay ?? null,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        requests: text,
        seed: text,
        step: text,
        findings: text,
        tries: text,
        replay: text,
        guarded: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
}

function whole(name: string, text: string | undefined, fallback: number, min: number, max: number): number {
  if (text === undefined) return fallback;
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= min && number <= max) return number;
  throw new OptionError(
    `${name} takes a whole number from ${min} to ${max}, not ${JSON.stringify(text)}; see --help`,
  );
}
