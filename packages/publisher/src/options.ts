import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { LIMITS } from '@chronicleweaver/protocol';

/** What one run is to do: checked, complete, and the only thing the other files know of flags and variables. */
export interface Options {
  /** Address of the aggregator, such as `http://localhost:8000`, without a slash at its end. */
  baseUrl: string;
  /** The secret of an API key, where the aggregator wants one. */
  key?: string | undefined;
  /** Events sent in all, duplicates included. */
  count: number;
  /** Share of `count` that repeats an earlier event, from 0 to below 1. */
  duplicateRatio: number;
  /** Events of one request. */
  batchSize: number;
  /** Requests under way at once. */
  concurrency: number;
  /** Number of topics that the events are spread over. */
  topics: number;
  /** Every event is derived from it: the same run id sends the same events. */
  runId: string;
  /** How long one request is tried again before the run gives up. */
  retryMs: number;
  /** Report as one line of JSON. */
  json: boolean;
}

/** A flag or variable that cannot be used; the message is one line for the user. */
export class OptionError extends Error {
  override name = 'OptionError';
}

/**
 * Reads flags and variables; a flag wins over its variable, and an empty variable counts as unset, as Compose passes
 * it. Returns `'help'` where `--help` was among the flags.
 *
 * @param args the command line without node and script
 * @throws OptionError that names the flag or variable, what it got and what it takes
 */
export function readOptions(args: readonly string[], env: Readonly<NodeJS.ProcessEnv>): Options | 'help' {
  const flags = readFlags(args);
  if (flags.has('help')) return 'help';

  const value = <T>(flag: string, setting: Setting<T>): T => {
    const given = flags.get(flag);
    const variable = env[setting.variable];
    const text = given ?? (variable === '' ? undefined : variable);
    if (text === undefined) return setting.fallback();
    const read = setting.read(text);
    if (read !== undefined) return read;
    const name = given === undefined ? setting.variable : `--${flag}`;
    const got = setting.isSecret === true ? '' : `, not ${JSON.stringify(text)}`;
    throw new OptionError(`${name} takes ${setting.takes}${got}`);
  };

  const host = value('host', SETTINGS.host);
  const port = value('port', SETTINGS.port);
  return {
    baseUrl: value('url', SETTINGS.url) ?? `http://${host}:${port}`,
    key: value('key', SETTINGS.key),
    count: value('count', SETTINGS.count),
    duplicateRatio: value('duplicate-ratio', SETTINGS['duplicate-ratio']),
    batchSize: value('batch-size', SETTINGS['batch-size']),
    concurrency: value('concurrency', SETTINGS.concurrency),
    topics: value('topics', SETTINGS.topics),
    runId: value('run-id', SETTINGS['run-id']),
    retryMs: value('retry-seconds', SETTINGS['retry-seconds']) * 1000,
    json: flags.has('json'),
  };
}

/** The text of `--help`. */
export function usage(): string {
  const lines = [
    'Sends events, a part of them twice, and checks that the aggregator stored each exactly once.',
    '',
    'usage: chronicleweaver stress [flags]',
    '',
  ];
  for (const [flag, setting] of Object.entries(SETTINGS)) {
    lines.push(
      `  --${flag}=VALUE or ${setting.variable}`,
      `      ${setting.about}; takes ${setting.takes} (default: ${setting.default})`,
    );
  }
  lines.push(
    '  --json',
    '      report as one line of JSON on stdout',
    '  --help',
    '      this text',
    '',
    'A .env file in the working directory is read; the real environment wins over it, a flag over both.',
    'exit code: 0 PASS, 1 FAIL or given up, 2 wrong flag or variable, 130 SIGINT, 143 SIGTERM',
    '',
  );
  return lines.join('\n');
}

interface Setting<T> {
  variable: string;
  about: string;
  takes: string;
  default: string;
  fallback: () => T;
  read: (text: string) => T | undefined;
  /** Whether its value must not be shown. */
  isSecret?: boolean;
}

const SETTINGS = {
  url: {
    variable: 'AGGREGATOR_URL',
    about:
      'where the aggregator is, in place of host and port; NODE_EXTRA_CA_CERTS names a file of authorities to trust',
    takes: 'an http or https address without query',
    default: 'made of host and port',
    fallback: () => undefined,
    read: readUrl,
  },
  host: {
    variable: 'AGGREGATOR_HOST',
    about: 'where the aggregator is',
    takes: 'a host name or an IP address',
    default: 'localhost',
    fallback: () => 'localhost',
    read: readHost,
  },
  port: wholeNumber('AGGREGATOR_PORT', 'its port', 1, 65_535, 8000),
  key: {
    variable: 'API_KEY',
    about: 'the secret of an API key with the scopes publish and read and every topic',
    takes: 'the letters, digits and - . _ ~ + / = of a secret',
    default: 'none',
    fallback: () => undefined,
    read: (text) => (/^[\w~+/.-]+=*$/.test(text) ? text : undefined),
    isSecret: true,
  },
  count: wholeNumber('PUBLISH_COUNT', 'events to send, duplicates included', 1, 10_000_000, 5000),
  'duplicate-ratio': {
    variable: 'PUBLISH_DUPLICATE_RATIO',
    about: 'share of them that repeats an earlier one',
    takes: 'a number from 0 to below 1',
    default: '0.2',
    fallback: () => 0.2,
    read: readRatio,
  },
  'batch-size': wholeNumber('PUBLISH_BATCH_SIZE', 'events of one request', 1, LIMITS.batchEventsMax, 100),
  concurrency: wholeNumber('PUBLISH_CONCURRENCY', 'requests under way at once', 1, 256, 4),
  topics: wholeNumber('PUBLISH_TOPICS', 'number of topics', 1, 1000, 5),
  'run-id': {
    variable: 'PUBLISH_RUN_ID',
    about: 'the events are derived from it: the same one, with the same flags, sends the same events again',
    takes: '1 to 200 letters, digits and . _ : -',
    default: 'a random UUID',
    fallback: randomUUID,
    read: readRunId,
  },
  'retry-seconds': wholeNumber('PUBLISH_RETRY_SECONDS', 'seconds to retry a request for', 0, 86_400, 60),
} satisfies Record<string, Setting<number> | Setting<string> | Setting<string | undefined>>;

function wholeNumber(
  variable: string,
  about: string,
  min: number,
  max: number,
  fallback: number,
): Setting<number> {
  return {
    variable,
    about,
    takes: `a whole number from ${min} to ${max}`,
    default: String(fallback),
    fallback: () => fallback,
    read(text) {
      const number = Number(text);
      return /^\d+$/.test(text) && number >= min && number <= max ? number : undefined;
    },
  };
}

function readRatio(text: string): number | undefined {
  const number = Number(text);
  return /^\d*\.?\d+$/.test(text) && number < 1 ? number : undefined;
}

function readHost(text: string): string | undefined {
  // An IPv6 address stands in brackets inside a URL.
  const host = text.includes(':') && !text.startsWith('[') ? `[${text}]` : text;
  if (/[/?#@\\\s]/.test(host) || !URL.canParse(`http://${host}:1/`)) return undefined;
  return host;
}

function readUrl(text: string): string | undefined {
  const url = URL.parse(text);
  const isPlain = url !== null && !url.search && !url.hash && !url.username && !url.password;
  return isPlain && /^https?:$/.test(url.protocol) ? url.href.replace(/\/+$/, '') : undefined;
}

function readRunId(text: string): string | undefined {
  return /^[\w.:-]{1,200}$/.test(text) ? text : undefined;
}

/** The flags that were given, by name without the dashes. Not strict, so that every refusal is worded alike. */
function readFlags(args: readonly string[]): Map<string, string> {
  const booleans = ['json', 'help'];
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    options: Object.fromEntries([
      ...Object.keys(SETTINGS).map((flag) => [flag, { type: 'string' as const }]),
      ...booleans.map((flag) => [flag, { type: 'boolean' as const }]),
    ]),
  });

  const flags = new Map<string, string>();
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') throw new OptionError(`${token.value} is not a flag; see --help`);
    if (booleans.includes(token.name)) {
      if (token.value !== undefined) throw new OptionError(`${token.rawName} takes no value; see --help`);
      flags.set(token.name, '');
      continue;
    }
    const setting = Object.entries(SETTINGS).find(([flag]) => flag === token.name)?.[1];
    if (setting === undefined) throw new OptionError(`${token.rawName} is not a flag; see --help`);
    if (token.value === undefined) {
      throw new OptionError(`${token.rawName} takes ${setting.takes}, and got nothing`);
    }
    flags.set(token.name, token.value);
  }
  return flags;
}
