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
 * The command that creates, lists and revokes keys. Returns the exit code.
 *
 * @param file the value of API_KEYS_FILE
 * @param out gets the result; of a new key only the secret, so that a script can read it
 * @param notes gets everything else
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
      'Creates, lists and revokes API keys. A running server adopts the change on SIGHUP: kill -HUP PID.',
    )
    .addOption(option('--file <file>', 'the file of keys', TEXT, 'API_KEYS_FILE'))
    .addHelpText(
      'afterAll',
      exitCodesText({
        0: 'done',
        1: 'not done: stderr says why, and the file is unchanged',
        2: 'wrong usage, or no file was given',
      }),
    );
}

type Keys = ReturnType<typeof root>;

function addCreate(keys: Keys, out: Output, notes: Output): void {
  keys
    .command('create')
    .description('Create a key and print its secret')
    .argument('<name>', 'the name of the key')
    .addOption(listOption('--scope <scope>', ABOUT.scope, oneOf(SCOPES)).makeOptionMandatory())
    .addOption(listOption('--topic <pattern>', ABOUT.topic, TEXT))
    .addOption(option('--rate <events>', ABOUT.rate, RATE))
    .addOption(option('--burst <events>', ABOUT.burst, wholeNumber(1)))
    .action(async (name, { scope, topic, rate, burst }, command) => {
      if (burst !== undefined && rate === undefined) throw new Stopped(2, '--burst needs --rate');
      const rights = { scopes: [...new Set(scope)], topics: topic, ...rateLimitOf(rate, burst) };
      await onFile(command.optsWithGlobals().file, (path) => create(path, name, rights, out, notes));
    });
}

const ABOUT = {
  scope:
    'what the key may do, repeatable: publish for publishing events, read for reading and following them, admin for ' +
    'metrics and all counts, inspect for counts, lags and names without any event',
  topic:
    'limits the key to topics that match, repeatable: * is one dot-separated word, > is all remaining words; without ' +
    'it every topic',
  rate: 'events per second that the key may send in the long run; any other request counts as one event',
  burst: 'events that it may send at once after a pause; by default those of one second, at least one',
};

const RATE = decimalNumber('above 0', (number) => number > 0);

function addList(keys: Keys, out: Output): void {
  keys
    .command('list')
    .description('List the keys')
    .option('--json', 'one line of JSON, for programs')
    .action((_, command) => {
      const { file, json } = command.optsWithGlobals();
      return onFile(file, async (path) => list(await readKeyFile(path), json === true, out));
    });
}

function addRevoke(keys: Keys, notes: Output): void {
  keys
    .command('revoke')
    .description('Revoke a key')
    .argument('<name>', 'the name of the key')
    .action((name, _, command) =>
      onFile(command.optsWithGlobals().file, (path) => revoke(path, name, notes)),
    );
}

async function onFile(path: string | undefined, work: (path: string) => Promise<void>): Promise<void> {
  if (!path) throw new Stopped(2, 'no file was given: set API_KEYS_FILE or use --file');
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
    if (keys.some((key) => key.name === name)) throw new KeyFileError(`a key named ${name} already exists`);
    return [...keys, record];
  });
  notes.write(`${line(record)}\nThe secret is shown only now; ${path} holds only its digest:\n`);
  out.write(`${secret}\n`);
  notes.write('A running server adopts the key on SIGHUP.\n');
}

async function revoke(path: string, name: string, notes: Output): Promise<void> {
  await changeKeyFile(path, (keys) => {
    const left = keys.filter((key) => key.name !== name);
    if (left.length === keys.length) throw new KeyFileError(`there is no key named ${name}`);
    return left;
  });
  notes.write(`The key ${name} is revoked. A running server adopts the change on SIGHUP.\n`);
}

function list(keys: readonly KeyRecord[], asJson: boolean, out: Output): void {
  if (asJson) {
    // A digest is of no use to a reader of the list.
    out.write(`${JSON.stringify(keys.map(({ secret_sha256: _digest, ...key }) => key))}\n`);
    return;
  }
  out.write(keys.length === 0 ? 'no keys: a server that uses this file refuses everyone\n' : '');
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
