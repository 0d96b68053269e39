import {
  Command,
  Stopped,
  TEXT,
  decimalNumber,
  exitCodesText,
  listOption,
  oneOf,
  option,
  run,
  wholeNumber,
} from '@chronicleweaver/terminal';
import { type KeyRecord, KeyFileError, changeKeyFile, newSecret, readKeyFile } from '../access/key-file.ts';
import { SCOPES } from '../access/principal.ts';

interface Output {
  write(text: string): unknown;
}

/**
 * The command that makes, shows and takes back keys. Returns the exit code.
 *
 * @param file what API_KEYS_FILE says
 * @param out gets what was asked for, of a new key the secret alone, so that a script can take it from there
 * @param notes gets what else there is to say
 */
export function keysCommand(
  args: readonly string[],
  file: string | undefined,
  out: Output,
  notes: Output,
): Promise<number> {
  const keys = root();
  addCreate(keys, out, notes);
  addList(keys, out);
  addRevoke(keys, notes);
  return run(keys, 'keys', { args, env: { API_KEYS_FILE: file }, stdout: out, stderr: notes });
}

function root() {
  return new Command('chronicleweaver keys')
    .description(
      'Makes, shows and takes back API keys. A running server takes the change on SIGHUP: kill -HUP PID.',
    )
    .addOption(option('--file <file>', 'the file of keys', TEXT, 'API_KEYS_FILE'))
    .addHelpText(
      'afterAll',
      exitCodesText({
        0: 'done',
        1: 'not done: stderr says why, and the file is as it was',
        2: 'wrong usage, or no file is named',
      }),
    );
}

type Keys = ReturnType<typeof root>;

function addCreate(keys: Keys, out: Output, notes: Output): void {
  keys
    .command('create')
    .description('Make a key, and print its secret')
    .argument('<name>', 'what the key is called')
    .addOption(listOption('--scope <scope>', ABOUT.scope, oneOf(SCOPES)).makeOptionMandatory())
    .addOption(listOption('--topic <pattern>', ABOUT.topic, TEXT))
    .addOption(option('--rate <events>', ABOUT.rate, RATE))
    .addOption(option('--burst <events>', ABOUT.burst, wholeNumber(1)))
    .action(async (name, { scope, topic, rate, burst }, command) => {
      if (burst !== undefined && rate === undefined) throw new Stopped(2, '--burst goes with --rate');
      const rights = { scopes: [...new Set(scope)], topics: topic, ...rateLimitOf(rate, burst) };
      await onFile(command.optsWithGlobals().file, (path) => create(path, name, rights, out, notes));
    });
}

const ABOUT = {
  scope:
    'what it may do, one or several: publish events, read and follow them, admin for metrics and all counts',
  topic:
    'only topics that match one of these: * is one word between dots, > is all the words that are left; without it ' +
    'every topic',
  rate: 'events a second that it may send in the long run; any other request counts as one event',
  burst: 'events that it may send at once after a rest; without it those of one second, at least one',
};

const RATE = decimalNumber('above 0', (number) => number > 0);

function addList(keys: Keys, out: Output): void {
  keys
    .command('list')
    .description('Show the keys')
    .option('--json', 'one line of JSON, for programs')
    .action((_, command) => {
      const { file, json } = command.optsWithGlobals();
      return onFile(file, async (path) => list(await readKeyFile(path), json === true, out));
    });
}

function addRevoke(keys: Keys, notes: Output): void {
  keys
    .command('revoke')
    .description('Take a key back')
    .argument('<name>', 'the key')
    .action((name, _, command) =>
      onFile(command.optsWithGlobals().file, (path) => revoke(path, name, notes)),
    );
}

async function onFile(path: string | undefined, work: (path: string) => Promise<void>): Promise<void> {
  if (!path) throw new Stopped(2, 'no file is named: set API_KEYS_FILE or give --file');
  try {
    await work(path);
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error;
    throw new Stopped(1, error.message);
  }
}

type Rights = Pick<KeyRecord, 'scopes' | 'rate_limit'> & { readonly topics: string[] | undefined };

function rateLimitOf(rate: number | undefined, burst: number | undefined): Pick<KeyRecord, 'rate_limit'> {
  if (rate === undefined) return {};
  return { rate_limit: { events_per_second: rate, burst: burst ?? Math.max(1, Math.floor(rate)) } };
}

async function create(
  path: string,
  name: string,
  { topics, ...rights }: Rights,
  out: Output,
  notes: Output,
): Promise<void> {
  const { secret, sha256 } = newSecret();
  const record: KeyRecord = {
    name,
    secret_sha256: sha256,
    ...rights,
    ...(topics !== undefined && { topics }),
    created_at: new Date().toISOString(),
  };
  await changeKeyFile(path, (keys) => {
    if (keys.some((key) => key.name === name)) throw new KeyFileError(`there is a key named ${name}`);
    return [...keys, record];
  });
  notes.write(`${line(record)}\nThe secret is shown this once, ${path} holds only its digest:\n`);
  out.write(`${secret}\n`);
  notes.write('A running server takes the key on SIGHUP.\n');
}

async function revoke(path: string, name: string, notes: Output): Promise<void> {
  await changeKeyFile(path, (keys) => {
    const left = keys.filter((key) => key.name !== name);
    if (left.length === keys.length) throw new KeyFileError(`there is no key named ${name}`);
    return left;
  });
  notes.write(`The key ${name} is revoked. A running server takes this on SIGHUP.\n`);
}

function list(keys: readonly KeyRecord[], asJson: boolean, out: Output): void {
  if (asJson) {
    // Who only looks at keys has no use for digests.
    out.write(`${JSON.stringify(keys.map(({ secret_sha256: _digest, ...key }) => key))}\n`);
    return;
  }
  out.write(keys.length === 0 ? 'no keys: a server that reads this file lets nobody in\n' : '');
  for (const key of keys) out.write(`${line(key)}\n`);
}

function line({ name, scopes, topics, rate_limit: rate, created_at: created }: KeyRecord): string {
  const parts = [
    name,
    scopes.join(' '),
    topics === undefined ? 'every topic' : `topics ${topics.join(' ')}`,
    rate === undefined ? 'no rate limit' : `${rate.events_per_second} events/s, burst ${rate.burst}`,
    created ?? '',
  ];
  return parts.filter((part) => part !== '').join(' · ');
}
