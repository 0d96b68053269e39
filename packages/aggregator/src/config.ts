import { existsSync } from 'node:fs';
import { LIMITS } from '@chronicleweaver/protocol';

/** Everything that can be set, checked and frozen. Nothing else reads the environment. */
export interface Config {
  readonly host: string;
  readonly port: number;
  readonly databasePath: string;
  /** Undefined where everyone may do everything. */
  readonly apiKeysFile: string | undefined;
  /** Undefined where plain HTTP is spoken. */
  readonly tls: TlsFiles | undefined;
  readonly logLevel: LogLevel;
  readonly bodyBytesMax: number;
  readonly queueEventsMax: number;
  readonly queueBytesMax: number;
  readonly followersMax: number;
  readonly readBytesMax: number;
  readonly connectionsMax: number;
  /** Origins whose pages may call from a browser; `*` is any. */
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

/** A variable has a value that it does not take. The message names it, what it got and what it takes. */
export class ConfigError extends Error {}

const MIB = 1024 * 1024;

/** Reads the settings from the environment; throws a ConfigError on the first that is wrong. An empty value is unset. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const config: Config = {
    host: text(env, 'HOST', '127.0.0.1'),
    port: integer(env, 'APP_PORT', 8000, 0, 65_535),
    databasePath: text(env, 'DEDUPLICATION_DB_PATH', 'data/chronicle.db'),
    apiKeysFile: text(env, 'API_KEYS_FILE', undefined),
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
 * Puts the variables of `.env` in the working directory, if there is one, into the environment; those already set keep
 * their value. Throws a ConfigError where it cannot be read.
 */
export function readEnvFile(): void {
  if (!existsSync('.env')) return;
  try {
    process.loadEnvFile('.env');
  } catch (cause) {
    throw new ConfigError(`.env cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

type Env = Readonly<Record<string, string | undefined>>;

function text<T extends string | undefined>(env: Env, name: string, fallback: T): string | T {
  return env[name] || fallback;
}

function tlsFiles(env: Env): TlsFiles | undefined {
  const certFile = text(env, 'TLS_CERT_FILE', undefined);
  const keyFile = text(env, 'TLS_KEY_FILE', undefined);
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  if (certFile === undefined && keyFile === undefined) return undefined;
  const [given, missing] = certFile === undefined ? ['KEY', 'CERT'] : ['CERT', 'KEY'];
  throw new ConfigError(`TLS_${given}_FILE is set and TLS_${missing}_FILE is not; HTTPS takes both`);
}

/** A list with commas. An origin is compared as a browser sends it (WHATWG URL, "serialization of an origin"). */
function origins(env: Env, name: string): readonly string[] {
  const listed = (env[name] ?? '').split(',').map((one) => one.trim());
  const given = listed.filter((one) => one !== '');
  for (const one of given) {
    if (one === '*' || URL.parse(one)?.origin === one) continue;
    throw new ConfigError(
      `${name} has ${JSON.stringify(one)}; it takes origins like https://app.example.org, without a path, with commas ` +
        'between them, or *',
    );
  }
  return Object.freeze(given);
}

function integer(env: Env, name: string, fallback: number, min: number, max: number): number {
  const value = env[name];
  if (!value) return fallback;
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw new ConfigError(`${name} is ${JSON.stringify(value)}; it takes a whole number from ${min} to ${max}`);
}

function oneOf<T extends string>(env: Env, name: string, fallback: T, choices: readonly T[]): T {
  const value = env[name];
  if (!value) return fallback;
  const choice = choices.find((one) => one === value);
  if (choice !== undefined) return choice;
  throw new ConfigError(`${name} is ${JSON.stringify(value)}; it takes one of ${choices.join(', ')}`);
}
