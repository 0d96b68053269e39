import { parseArgs } from 'node:util';
import { type KeyRecord, KeyFileError, changeKeyFile, newSecret, readKeyFile } from '../access/key-file.ts';
import { SCOPES, type Scope } from '../access/principal.ts';

const USAGE = `usage: chronicleweaver keys create NAME --scope SCOPE [--scope SCOPE] [--topic PATTERN]... [--rate N [--burst N]]
       chronicleweaver keys list [--json]
       chronicleweaver keys revoke NAME

Makes, shows and takes back the keys in the file that API_KEYS_FILE or --file names.

  --scope SCOPE    publish (send events), read (read and follow them), admin (metrics, counts of all topics)
  --topic PATTERN  only topics that match one of these: * is one word between dots, > is all the words that are left;
                   without it every topic
  --rate N         events a second that the key may send in the long run; any other request counts as one event
  --burst N        events that it may send at once after a rest; without it those of one second, at least one
  --file FILE      the file of keys

A running server takes the change on SIGHUP: kill -HUP PID.
Exit code: 0 done, 1 not done, 2 not understood.
`;

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
export async function keysCommand(
  args: readonly string[],
  file: string | undefined,
  out: Output,
  notes: Output,
): Promise<number> {
  let asked: Asked;
  try {
    asked = read(args);
  } catch (error) {
    notes.write(`keys: ${messageOf(error)}; see --help\n`);
    return 2;
  }
  const { values, action, name } = asked;
  if (values.help === true) {
    out.write(USAGE);
    return 0;
  }
  const path = values.file ?? file;
  if (path === undefined || path === '') {
    notes.write('keys: no file is named: set API_KEYS_FILE or give --file\n');
    return 2;
  }
  try {
    switch (action) {
      case 'create':
        await create(path, name, asked, out, notes);
        break;
      case 'revoke':
        await revoke(path, name, notes);
        break;
      case 'list':
        list(await readKeyFile(path), values.json === true, out);
        break;
    }
    return 0;
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error;
    notes.write(`keys: ${error.message}\n`);
    return 1;
  }
}

interface Asked {
  readonly action: 'create' | 'list' | 'revoke';
  readonly name: string;
  readonly scopes: Scope[];
  readonly rateLimit: KeyRecord['rate_limit'];
  readonly values: ReturnType<typeof parse>['values'];
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      scope: { type: 'string', multiple: true },
      topic: { type: 'string', multiple: true },
      rate: { type: 'string' },
      burst: { type: 'string' },
      file: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
}

/** Throws an Error that says what is not understood. */
function read(args: readonly string[]): Asked {
  const { values, positionals } = parse(args);
  const [action, name = '', ...others] = positionals;
  const nothing = { action: 'list', name, scopes: [], rateLimit: undefined, values } as const;
  if (values.help === true) return { ...nothing, scopes: [] };
  if (action !== 'create' && action !== 'list' && action !== 'revoke') {
    throw new Error(`${action ?? 'nothing'} was asked for; there are create, list and revoke`);
  }
  if (others.length > 0 || (action === 'list' && name !== '')) {
    throw new Error(`${others[0] ?? name} is one word too many`);
  }
  const forCreate = ['scope', 'topic', 'rate', 'burst'] as const;
  const stray = action === 'create' ? undefined : forCreate.find((flag) => values[flag] !== undefined);
  if (stray !== undefined) throw new Error(`${action} takes no --${stray}`);
  if (values.json === true && action !== 'list') throw new Error(`${action} takes no --json`);
  if (action !== 'list' && name === '') throw new Error(`${action} takes the name of a key`);
  const scopes = (values.scope ?? []).map(scopeOf);
  if (action === 'create' && scopes.length === 0) throw new Error('create takes at least one --scope');
  return { action, name, scopes: [...new Set(scopes)], rateLimit: rateLimitOf(values), values };
}

function scopeOf(text: string): Scope {
  const scope = SCOPES.find((one) => one === text);
  if (scope === undefined) throw new Error(`--scope is ${text}; it takes one of ${SCOPES.join(', ')}`);
  return scope;
}

function rateLimitOf({ rate, burst }: { rate?: string; burst?: string }): KeyRecord['rate_limit'] {
  if (rate === undefined) {
    if (burst !== undefined) throw new Error('--burst goes with --rate');
    return undefined;
  }
  const eventsPerSecond = /^\d*\.?\d+$/.test(rate) ? Number(rate) : 0;
  if (eventsPerSecond === 0) throw new Error(`--rate is ${rate}; it takes a number above 0`);
  if (burst !== undefined && !/^[1-9]\d*$/.test(burst)) {
    throw new Error(`--burst is ${burst}; it takes a whole number from 1`);
  }
  return {
    events_per_second: eventsPerSecond,
    burst: Number(burst ?? Math.max(1, Math.floor(eventsPerSecond))),
  };
}

async function create(path: string, name: string, asked: Asked, out: Output, notes: Output): Promise<void> {
  const { secret, sha256 } = newSecret();
  const { topic: topics } = asked.values;
  const record: KeyRecord = {
    name,
    secret_sha256: sha256,
    scopes: asked.scopes,
    ...(topics !== undefined && { topics }),
    ...(asked.rateLimit !== undefined && { rate_limit: asked.rateLimit }),
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
