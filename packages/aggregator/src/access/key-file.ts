import { hash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TextError, decodeText, topicPatternFault } from '@chronicleweaver/protocol';
import { Ajv } from 'ajv';
import type { Static } from 'typebox';
import { JsonScanner } from '../event/json-scanner.ts';
import { OWN_SCHEMAS, Type } from '../json-schema.ts';
import { SCOPES } from './principal.ts';

/** Every request is compared with every key, at some 0.1 µs each. */
const KEYS_MAX = 1000;
const TOPICS_MAX = 100;

const rateLimit = Type.Object(
  {
    /** The key's rate in the long run. A request counts as one event, a publish as all the events it holds. */
    events_per_second: Type.Number({ exclusiveMinimum: 0, maximum: 1e9 }),
    /** How many events it may send at once after a pause. */
    burst: Type.Integer({ minimum: 1, maximum: 1_000_000_000 }),
  },
  { additionalProperties: false },
);

const keyRecord = Type.Object(
  {
    name: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
      description: '1 to 64 letters, digits and . _ -, the first a letter or a digit',
    }),
    secret_sha256: Type.String({
      pattern: '^[0-9a-f]{64}$',
      description: 'the SHA-256 of the secret in 64 lower-case hexadecimal digits',
    }),
    scopes: Type.Array(Type.Enum([...SCOPES]), { minItems: 1, uniqueItems: true }),
    /** Absent: every topic. */
    topics: Type.Optional(Type.Array(Type.String(), { minItems: 1, maxItems: TOPICS_MAX })),
    /** Absent: no limit. */
    rate_limit: Type.Optional(rateLimit),
    /** When it was created, for people. */
    created_at: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);

/** The schema of the file. */
export const keyFile = Type.Object(
  { keys: Type.Array(keyRecord, { maxItems: KEYS_MAX }) },
  { additionalProperties: false },
);

/** A key as stored in the file. The secret itself is not stored anywhere. */
export type KeyRecord = Static<typeof keyRecord>;

/** The file of keys cannot be read or written, or is invalid. The message is one line for the user. */
export class KeyFileError extends Error {}

/** Compiled at each read: most services have no such file, and should not wait for this at the start. */
const compileKeyFile = () =>
  new Ajv({ ...OWN_SCHEMAS, verbose: true }).compile<Static<typeof keyFile>>(keyFile);

/** Rejects with a KeyFileError that names the file, the key, and what is wrong with it. */
export async function readKeyFile(path: string): Promise<KeyRecord[]> {
  let text: string;
  try {
    text = decodeText(await readFile(path));
  } catch (error) {
    const said = error instanceof TextError ? 'the file ' : '';
    throw new KeyFileError(`the keys in ${path} cannot be read: ${said}${messageOf(error)}`);
  }
  let value: unknown;
  try {
    value = readJson(text);
  } catch (error) {
    throw new KeyFileError(`the keys in ${path} are not JSON: ${messageOf(error)}`);
  }
  const fault = faultOf(value);
  if (fault !== undefined) throw new KeyFileError(`the keys in ${path} cannot be used: ${fault}`);
  return (value as Static<typeof keyFile>).keys;
}

/** Throws if the text is not JSON or repeats a name: of two lists of topics JSON.parse would drop the first. */
function readJson(text: string): unknown {
  if (text.trim() === '') throw new Error('the file is empty');
  new NamesOnce().check(text);
  return JSON.parse(text);
}

class NamesOnce extends JsonScanner {
  constructor() {
    super(Infinity);
  }

  check(text: string): void {
    this.begin(Buffer.from(text));
    this.value(0);
    if (this.peek() !== -1) throw this.unexpected('the end of the file');
    if (this.fault !== null) throw new Error(this.fault);
  }
}

/**
 * Changes the file in one step: a server that reads it, also after a power cut, finds the old keys or the new ones.
 * Creates the file and its folder if missing, the file readable only by its owner. Refuses a second change at the
 * same time, since one of the two would be lost. `change` returns the new keys; if it throws, the file stays as it
 * was.
 */
export async function changeKeyFile(path: string, change: (keys: KeyRecord[]) => KeyRecord[]): Promise<void> {
  const next = `${path}.new`;
  let file: FileHandle;
  try {
    await mkdir(dirname(path), { recursive: true });
    file = await open(next, 'wx', 0o600);
  } catch (error) {
    const held = error instanceof Error && 'code' in error && error.code === 'EEXIST' && existsSync(next);
    const why = held
      ? `${next} exists: another change is under way, or was killed; in that case delete it`
      : '';
    throw new KeyFileError(why || `the keys cannot be written: ${messageOf(error)}`);
  }
  try {
    const keys = change(existsSync(path) ? await readKeyFile(path) : []);
    const fault = faultOf({ keys });
    if (fault !== undefined) throw new KeyFileError(fault);
    await file.writeFile(`${JSON.stringify({ keys }, null, 2)}\n`);
    await file.sync();
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  const folder = await open(dirname(path));
  await folder.sync();
  await folder.close();
}

/** A new secret, and its digest for the file. Nobody can guess its 256 random bits, so it needs no salt. */
export function newSecret(): { secret: string; sha256: string } {
  const secret = `cw_${randomBytes(32).toString('base64url')}`;
  return { secret, sha256: hash('sha256', secret) };
}

function faultOf(value: unknown): string | undefined {
  const validate = compileKeyFile();
  if (!validate(value)) {
    const { instancePath, parentSchema, params, message } = validate.errors![0]!;
    const { description } = parentSchema as { description?: string };
    if (description !== undefined) return `${instancePath} takes ${description}`;
    const extra: unknown = params['additionalProperty'];
    const choices: unknown = params['allowedValues'];
    const what = [message, ...(extra ? [JSON.stringify(extra)] : []), ...(Array.isArray(choices) ? [choices.join(', ')] : [])]; // prettier-ignore
    return `${instancePath || 'the whole'} ${what.join(' ')}`;
  }
  const names = new Set<string>();
  const digests = new Set<string>();
  for (const [i, { name, secret_sha256: digest, scopes, topics }] of value.keys.entries()) {
    if (names.has(name)) return `two keys are named ${name}`;
    if (digests.has(digest)) return `${name} has the secret of another key`;
    names.add(name);
    digests.add(digest);
    if (topics !== undefined && scopes.includes('admin')) {
      return `${name} has the scope admin, which covers all topics, so it cannot have topics of its own`;
    }
    for (const [j, topic] of (topics ?? []).entries()) {
      const fault = topicPatternFault(topic);
      if (fault !== undefined) return `/keys/${i}/topics/${j} ${fault}`;
    }
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
