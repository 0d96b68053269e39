import { isIP } from 'node:net';
import { sep } from 'node:path';
import { DURATION_EXPECTED, LIMITS, parseDuration, topicPatternFault } from '@chronicleweaver/protocol';
import { EnvFileError, readEnvFile as readFile } from '@chronicleweaver/terminal/env-file';
import { topicTemplateFault } from './event/topic-template.ts';

/** All settings, checked and frozen. Nothing else reads the environment. */
export interface Config {
  readonly host: string;
  readonly port: number;
  /** The file of the store in a file. */
  readonly databasePath: string;
  /** Where the log is kept, as `openStore` takes it: what STORE_URL says, else the file. */
  readonly store: string;
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
  /** Where the metrics are told to anybody, beside their address among the others; undefined for nowhere. */
  readonly metricsPort: number | undefined;
  /** Patterns of topics that get figures of their own. */
  readonly metricsTopics: readonly string[];
  /** How topics of log records are named: text, and names of attributes of their resource in braces. */
  readonly otlpTopic: string;
  /** The attribute that identifies a log record. */
  readonly otlpIdAttribute: string;
  /** How topics of lines that are pushed as to Loki are named: text, and names of their labels in braces. */
  readonly lokiTopic: string;
  /** How topics of messages from Segment's libraries are named: text, and names of their fields in braces. */
  readonly segmentTopic: string;
  /** Whether an audit trail is written, and how long its entries are kept, milliseconds. */
  readonly audit: boolean;
  readonly auditRetentionMs: number;
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
  'STORE_URL',
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
  'METRICS_PORT',
  'METRICS_TOPICS',
  'OTLP_TOPIC',
  'OTLP_ID_ATTRIBUTE',
  'LOKI_TOPIC',
  'SEGMENT_TOPIC',
  'AUDIT',
  'AUDIT_RETENTION',
] as const;
type Setting = (typeof SETTINGS)[number];

/** A variable has an invalid value. The message names the variable, its value and what it takes, in one line. */
export class ConfigError extends Error {}

const APP_PORT = 8000;

const MIB = 1024 * 1024;

const AUDIT_RETENTION_MS = 90 * 86_400_000;

/**
 * Reads the settings from the environment; throws a ConfigError at the first invalid one. An empty value counts as
 * unset.
 */
export function readConfig(env: Env): Config {
  const databasePath = path(env, 'DEDUPLICATION_DB_PATH') ?? 'data/chronicle.db';
  const config: Config = {
    host: host(env, 'HOST', '127.0.0.1'),
    port: integer(env, 'APP_PORT', APP_PORT, 0, 65_535),
    databasePath,
    store: storeAddress(env, 'STORE_URL') ?? `sqlite:${databasePath}`,
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
    metricsPort: metricsPort(env),
    metricsTopics: topicPatterns(env, 'METRICS_TOPICS'),
    otlpTopic: topicTemplate(env, 'OTLP_TOPIC', 'attributes of the resource') ?? 'logs.{service.name}',
    otlpIdAttribute: given(env, 'OTLP_ID_ATTRIBUTE', 'the name of an attribute') ?? 'log.record.uid',
    lokiTopic: topicTemplate(env, 'LOKI_TOPIC', 'labels') ?? 'logs.{service_name}',
    segmentTopic: topicTemplate(env, 'SEGMENT_TOPIC', 'fields') ?? 'segment.{type}',
    audit: oneOf(env, 'AUDIT', 'false', ['true', 'false']) === 'true',
    auditRetentionMs: durationMs(env, 'AUDIT_RETENTION') ?? AUDIT_RETENTION_MS,
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

/** The address of a store. A refusal does not show it: it may hold a password. */
function storeAddress(env: Env, name: Setting): string | undefined {
  const value = env[name];
  if (!value) return undefined;
  const takes = 'postgres://user@host:5432/database, or sqlite: and the path of a file';
  if (/[\s\p{Cc}]/u.test(value))
    throw new ConfigError(`${name} has a blank or line end in it; it takes ${takes}`);
  // The hosts behind the first one are left to the store: with them it is no URL.
  const withOneHost = value.replace(/,[^/?#@]*(?=[/?#]|$)/, '');
  const isDatabase = /^postgres(ql)?:\/\//.test(value) && URL.canParse(withOneHost);
  if (isDatabase || /^sqlite:[^/]/.test(value) || /^sqlite:\/[^/]/.test(value)) return value;
  if (/^postgres(ql)?:\/\//.test(value)) {
    throw new ConfigError(
      `${name} cannot be read; it takes ${takes}: in a password write / as %2F, ? as %3F, # as %23, @ as %40, and a port is at most 65535`,
    );
  }
  throw new ConfigError(`${name} names no store; it takes ${takes}`);
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

/** A port of its own, which is not the one of everything else. */
function metricsPort(env: Env): number | undefined {
  const value = env['METRICS_PORT'];
  if (!value) return undefined;
  const port = integer(env, 'METRICS_PORT', 0, 0, 65_535);
  if (port !== 0 && port === integer(env, 'APP_PORT', APP_PORT, 0, 65_535)) {
    throw refusal('METRICS_PORT', value, 'another port than APP_PORT');
  }
  return port;
}

/** Every pattern is a series of several figures, for ever. */
const TOPIC_PATTERNS_MAX = 100;

function topicPatterns(env: Env, name: Setting): readonly string[] {
  const takes = `up to ${TOPIC_PATTERNS_MAX} topics or patterns like orders.*, with commas between them`;
  const value = given(env, name, takes);
  if (value === undefined) return Object.freeze([]);
  const found = [...new Set(value.split(',').map((one) => one.trim()))].filter((one) => one !== '');
  for (const one of found) {
    const fault = topicPatternFault(one);
    if (fault !== undefined) throw refusal(name, one, `${takes}; ${fault}`, 'has');
  }
  if (found.length === 0 || found.length > TOPIC_PATTERNS_MAX) throw refusal(name, value, takes);
  return Object.freeze(found);
}

/** @param named what the names in braces are names of */
function topicTemplate(env: Env, name: Setting, named: string): string | undefined {
  const takes = `a topic like logs.{service.name}, with names of ${named} in braces`;
  const value = given(env, name, takes);
  if (value === undefined) return undefined;
  const fault = topicTemplateFault(value);
  if (fault !== undefined) throw refusal(name, value, `${takes}; ${fault}`);
  return value;
}

function durationMs(env: Env, name: Setting): number | undefined {
  const value = given(env, name, DURATION_EXPECTED);
  if (value === undefined) return undefined;
  const ms = parseDuration(value);
  if (ms === undefined) throw refusal(name, value, DURATION_EXPECTED);
  return ms;
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
