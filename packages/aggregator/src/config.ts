import { isIP } from 'node:net';
import { sep } from 'node:path';
import { LIMITS } from '@chronicleweaver/protocol';
import { EnvFileError, readEnvFile as readFile } from '@chronicleweaver/terminal/env-file';

/** All settings, checked and frozen. Nothing else reads the environment. */
export interface Config {
  readonly host: string;
  readonly port: number;
  readonly databasePath: string;
  /** Undefined if everybody may do everything. */
  readonly apiKeysFile: string | undefined;
  /** Undefined for plain HTTP. */
  readonly tls: TlsFiles | undefined;
  readonly logLevel: LogLevel;
  readonly bodyBytesMax: number;
  readonly queueEventsMax: number;
  readonly queueBytesMax: number;
  readonly followersMax: number;
  readonly readBytesMax: number;
  readonly connectionsMax: number;
  /** Origins whose pages may call from a browser; `*` means any. */
  readonly corsOrigins: readonly string[];
  readonly webhookAllowPrivate: boolean;
}

/** Paths of a certificate chain and of its private key, both PEM. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
type LogLevel = (typeof LOG_LEVELS)[number];

const SETTINGS = [
  'APP_PORT',
  'HOST',
  'API_KEYS_FILE',
  'TLS_CERT_FILE',
  'TLS_KEY_FILE',
  'DEDUPLICATION_DB_PATH',
  'LOG_LEVEL',
  'BODY_BYTES_MAX',
  'QUEUE_EVENTS_MAX',
  'QUEUE_BYTES_MAX',
  'FOLLOWERS_MAX',
  'READ_BYTES_MAX',
  'CONNECTIONS_MAX',
  'CORS_ORIGINS',
  'WEBHOOK_ALLOW_PRIVATE',
] as const;
type Setting = (typeof SETTINGS)[number];

/** A variable has an invalid value. The message names the variable, its value and what it takes, in one line. */
export class ConfigError extends Error {}

const MIB = 1024 * 1024;

/**
 * Reads the settings from the environment; throws a ConfigError at the first invalid one. An empty value counts as
 * unset.
 */
export function readConfig(env: Env): Config {
  const config: Config = {
    host: host(env, 'HOST', '127.0.0.1'),
    port: integer(env, 'APP_PORT', 8000, 0, 65_535),
    databasePath: path(env, 'DEDUPLICATION_DB_PATH') ?? 'data/chronicle.db',
    apiKeysFile: path(env, 'API_KEYS_FILE'),
    tls: tlsFiles(env),
    logLevel: oneOf(env, 'LOG_LEVEL', 'info', LOG_LEVELS),
    bodyBytesMax: integer(env, 'BODY_BYTES_MAX', 16 * MIB, LIMITS.eventBytesMax, 256 * MIB),
    queueEventsMax: integer(env, 'QUEUE_EVENTS_MAX', 200_000, 1, 10_000_000),
    queueBytesMax: integer(env, 'QUEUE_BYTES_MAX', 128 * MIB, 1, 4096 * MIB),
    followersMax: integer(env, 'FOLLOWERS_MAX', 2000, 0, 100_000),
    readBytesMax: integer(env, 'READ_BYTES_MAX', 256 * MIB, MIB, 65_536 * MIB),
    connectionsMax: integer(env, 'CONNECTIONS_MAX', 10_000, 1, 1_000_000),
    corsOrigins: origins(env, 'CORS_ORIGINS'),
    webhookAllowPrivate: oneOf(env, 'WEBHOOK_ALLOW_PRIVATE', 'false', ['true', 'false']) === 'true',
  };
  return Object.freeze(config);
}

/**
 * Adds the variables of `.env` in the working directory, if there is one, to the environment; those that are already
 * set keep their value. Throws a ConfigError if the file cannot be read, or if something in it would be lost.
 */
export function readEnvFile(): void {
  try {
    readFile(SETTINGS);
  } catch (error) {
    if (!(error instanceof EnvFileError)) throw error;
    throw new ConfigError(error.message, { cause: error });
  }
}

type Env = Readonly<Record<string, string | undefined>>;

function refusal(name: Setting, value: string, takes: string, verb = 'is'): ConfigError {
  return new ConfigError(`${name} ${verb} ${shown(value)}; it takes ${takes}`);
}

/** On one line, with invisible characters escaped. */
function shown(value: string): string {
  return JSON.stringify(value).replaceAll(/\p{C}|(?! )\p{Z}/gu, (unseen) =>
    unseen.replaceAll(/./gs, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
}

/**
 * The value of a variable; undefined if it is not set. Refuses remains of how it was written, which no setting takes:
 * another system's carriage return, a blank copied along, quotes in a file whose reader keeps them.
 */
function given(env: Env, name: Setting, takes: string): string | undefined {
  const value = env[name];
  if (!value) return undefined;
  if (value.trim() !== value || UNSEEN.test(value)) {
    throw refusal(name, value, `${takes}, without a blank or line end around it`);
  }
  if (QUOTED.test(value)) throw refusal(name, value, `${takes}, without quotes around it`);
  return value;
}

/** Control characters, and invisible ones that are copied along from web pages and other files. */
const UNSEEN = /[\p{Cc}\u200b\u2028\u2029\ufeff]/u;
const QUOTED = /^["'`“”‘’«»„].*["'`“”‘’«»]$/u;

/** Checks the form only; the system knows whether the host exists. */
function host(env: Env, name: Setting, fallback: string): string {
  const takes = 'an IP address or a host name, without a port';
  const value = given(env, name, takes);
  if (value === undefined) return fallback;
  // Systems take the number 0 for all addresses, and 127.1 for a complete one (RFC 6943, 3.1.1).
  const isName =
    /^[a-z\d_]([\w.-]*\w)?\.?$/i.test(value) && !/(^|\.)\d+\.?$/.test(value) && value.length <= 253;
  if (isIP(value) > 0 || isName) return value;
  throw refusal(name, value, takes);
}

/** The path of a file, as the system takes it: `~` and variables are not expanded, as a shell would. */
function path(env: Env, name: Setting): string | undefined {
  const takes = 'the path of a file';
  const value = given(env, name, takes);
  if (value === undefined) return undefined;
  if (/^~[\w-]*(\/|$)/.test(value) || /(^|\/)\$(\{|[A-Za-z_])/.test(value)) {
    throw refusal(name, value, `${takes} written out: only a shell knows what ~ and $ mean`);
  }
  if (/^[a-z][a-z\d+.-]+:\/\//i.test(value) || /^(file:|sqlite:|:memory:)/i.test(value)) {
    throw refusal(name, value, `${takes}, and no URI or other name of a database`);
  }
  if (value.endsWith('/') || value.endsWith(sep) || /(^|[/\\])\.{1,2}$/.test(value)) {
    throw refusal(name, value, `${takes}, and this is the path of a folder`);
  }
  return value;
}

function tlsFiles(env: Env): TlsFiles | undefined {
  const certFile = path(env, 'TLS_CERT_FILE');
  const keyFile = path(env, 'TLS_KEY_FILE');
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  if (certFile === undefined && keyFile === undefined) return undefined;
  const [set, missing] = certFile === undefined ? ['KEY', 'CERT'] : ['CERT', 'KEY'];
  throw new ConfigError(`TLS_${set}_FILE is set and TLS_${missing}_FILE is not; HTTPS takes both`);
}

/** A comma-separated list. An origin is compared as a browser sends it (WHATWG URL, "serialization of an origin"). */
function origins(env: Env, name: Setting): readonly string[] {
  const takes = 'origins like https://app.example.org, without a path, with commas between them, or *';
  const value = given(env, name, takes);
  if (value === undefined) return Object.freeze([]);
  const listed = value.split(',').map((one) => one.trim());
  const found = listed.filter((one) => one !== '');
  for (const one of found) {
    if (one === '*' || (URL.parse(one)?.origin === one && !one.includes('*'))) continue;
    throw refusal(name, one, takes, 'has');
  }
  if (found.length === 0) throw refusal(name, value, takes);
  return Object.freeze(found);
}

function integer(env: Env, name: Setting, fallback: number, min: number, max: number): number {
  const value = env[name];
  if (!value) return fallback;
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw refusal(name, value, `a whole number from ${min} to ${max}`);
}

function oneOf<T extends string>(env: Env, name: Setting, fallback: T, choices: readonly T[]): T {
  const value = env[name];
  if (!value) return fallback;
  const choice = choices.find((one) => one === value);
  if (choice !== undefined) return choice;
  throw refusal(name, value, `one of ${choices.join(', ')}`);
}
