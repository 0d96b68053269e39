import { DatabaseError } from 'pg';
import { messageOf } from '../errors.ts';
import { StoreError } from '../event-store.ts';
import { DIVISION_BY_ZERO } from './keeps.ts';
import { NEGATIVE_ROOT } from './policies.ts';

// SQLSTATE codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
const UNIQUE_VIOLATION = '23505';
const SERIALIZATION_FAILURE = '40001';
const COMPLETION_UNKNOWN = '40003';
const DEADLOCK = '40P01';
const LOCK_NOT_AVAILABLE = '55P03';
const READ_ONLY = '25006';
const TOO_MANY_CONNECTIONS = '53300';
const DISK_FULL = '53100';
const ADMIN_SHUTDOWN = '57P01';
const CRASH_SHUTDOWN = '57P02';
const STARTING_UP = '57P03';
const CANCELLED = '57014';
const IDLE_IN_TRANSACTION = '25P03';
const UNDEFINED_PREPARED_STATEMENT = '26000';
const DUPLICATE_PREPARED_STATEMENT = '42P05';
/** Among others: a prepared statement whose tables have changed so much that it cannot be planned anew. */
const FEATURE_NOT_SUPPORTED = '0A000';
const NO_RIGHT = '42501';
/** What our own triggers raise: they say themselves why (move/fence.ts). */
const RAISED = 'P0001';

/** The transaction was undone because of what others did; the session is as good as before. */
const UNDONE: ReadonlySet<string> = new Set([
  UNIQUE_VIOLATION,
  SERIALIZATION_FAILURE,
  DEADLOCK,
  LOCK_NOT_AVAILABLE,
  // A commit of an instance that does not know the policies in force.
  NEGATIVE_ROOT,
]);

/**
 * The session is of no more use: its server goes, comes up, has become a standby, or is another one behind a pooler. Whether
 * a transaction was committed is not known.
 */
const LOST: ReadonlySet<string> = new Set([
  COMPLETION_UNKNOWN,
  READ_ONLY,
  TOO_MANY_CONNECTIONS,
  ADMIN_SHUTDOWN,
  CRASH_SHUTDOWN,
  STARTING_UP,
  CANCELLED,
  IDLE_IN_TRANSACTION,
  UNDEFINED_PREPARED_STATEMENT,
  DUPLICATE_PREPARED_STATEMENT,
  FEATURE_NOT_SUPPORTED,
]);

/** The answer of the server was cut short: its transaction may be committed here and on no standby (session.ts). */
export class InDoubtError extends Error {}

/** Another append of this instance was not committed, and this one took its events for stored. */
export class WaitedInVainError extends Error {
  constructor() {
    super('an append before it with some of the same events was not committed');
  }
}

/** What steps of groups rested on when they began has changed meanwhile. */
export class StaleError extends Error {}

/** The server is a standby, as the primary of before is after a failover: another may soon stand at its address. */
export class StandbyError extends Error {}

/** The server gave no answer in time, and the connection was cut. */
export class SilentError extends Error {
  constructor(withinMs: number, cause: unknown) {
    super(
      `it gave no answer within ${withinMs / 1000} s; where synchronous_standby_names names standbys, commits wait for them`,
      { cause },
    );
  }
}

/** None of several hosts took the connection. The cause is what the one that was tried last said, and decides the remedy. */
export class HostsError extends Error {
  readonly reasons: readonly unknown[];

  constructor(reasons: readonly { readonly host: string; readonly error: unknown }[], cause: unknown) {
    super(reasons.map(({ host, error }) => `${host}: ${lineOf(error)}`).join('; '), { cause });
    this.reasons = reasons.map(({ error }) => error);
  }
}

/** Whether the session has a plan of the statement that does not fit the tables any more. */
export function hasOldPlan(error: unknown): boolean {
  return sqlStateOf(error) === FEATURE_NOT_SUPPORTED;
}

/**
 * What to do after a statement failed: `repeat` it in the same session, `reconnect` and look whether it was committed, or
 * `give_up`, because another try would fail in the same way.
 */
export function remedyFor(error: unknown): 'repeat' | 'reconnect' | 'give_up' {
  if (error instanceof WaitedInVainError || error instanceof StaleError) return 'repeat';
  const code = sqlStateOf(error);
  // Without a code the connection itself broke; a server's own answer always has one.
  if (code === undefined) return error instanceof StoreError ? 'give_up' : 'reconnect';
  if (UNDONE.has(code)) return 'repeat';
  if (LOST.has(code) || code.startsWith('08')) return 'reconnect';
  return 'give_up';
}

/** Why a call failed that was tried for as long as its caller may wait. */
export function callErrorOf(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const code = sqlStateOf(cause);
  if (code === DISK_FULL) return new StoreError('blocked', 'no space is left for the database', { cause });
  if (code === RAISED) return new StoreError('blocked', lineOf(cause), { cause });
  if (code === DIVISION_BY_ZERO) {
    const why =
      'fsync or full_page_writes of the database is off, so a crash could lose what was acknowledged';
    return new StoreError('blocked', `${why}: set it on`, { cause });
  }
  if (code?.startsWith('XX') === true) {
    return new StoreError('damaged', `the database is damaged: ${lineOf(cause)}`, { cause });
  }
  return new StoreError('blocked', `the database does not answer as it should: ${lineOf(cause)}`, { cause });
}

/** Why an append is given up whose commit was sent, and may be done or yet be done. */
export function doubtOf(cause: unknown): StoreError {
  return new StoreError('in_doubt', callErrorOf(cause).message, { cause });
}

/** Why the store cannot be opened, and what to do, in one line. */
export function openErrorOf(place: string, cause: unknown): StoreError {
  if (cause instanceof StoreError && cause.code === 'unusable') return cause;
  const first = cause instanceof StoreError && cause.cause !== undefined ? cause.cause : cause;
  return new StoreError('unusable', `${place}: ${openMessage(first)}`, { cause });
}

const USER_HINT = 'look after user and password in the address, and pg_hba.conf of the server';
const PLACE_HINT = 'look after host and port in the address, and whether the server runs';
const TLS_HINT = 'name the file of its authority with sslrootcert= in the address';

/** What to do, by SQLSTATE or by the code of a system's error. */
const HINTS: Readonly<Record<string, string>> = {
  '28P01': USER_HINT,
  '28000': USER_HINT,
  '3D000': 'make it with CREATE DATABASE, with the encoding UTF8',
  [NO_RIGHT]: 'let the user CREATE in the database, or own the schema',
  [READ_ONLY]: 'name the primary',
  [TOO_MANY_CONNECTIONS]: 'raise max_connections of the server: each instance takes up to 10',
  [DISK_FULL]: 'free some space for the server',
  ECONNREFUSED: PLACE_HINT,
  ECONNRESET: PLACE_HINT,
  ENOTFOUND: PLACE_HINT,
  EAI_AGAIN: PLACE_HINT,
  EHOSTUNREACH: PLACE_HINT,
  ENETUNREACH: PLACE_HINT,
  ETIMEDOUT: PLACE_HINT,
  ENOENT: 'the address names a file or socket that is not there',
  EACCES: 'the address names a file or socket that may not be read',
  DEPTH_ZERO_SELF_SIGNED_CERT: TLS_HINT,
  SELF_SIGNED_CERT_IN_CHAIN: TLS_HINT,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TLS_HINT,
  UNABLE_TO_GET_ISSUER_CERT: TLS_HINT,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: TLS_HINT,
  CERT_SIGNATURE_FAILURE: TLS_HINT,
  CERT_HAS_EXPIRED: 'renew the certificate of the server',
  ERR_TLS_CERT_ALTNAME_INVALID: 'name the server as its certificate does, or take sslmode=verify-ca',
};

/** What to do about errors of the client library, which have no code. */
const SAID: readonly (readonly [RegExp, string])[] = [
  [/client password must be a/, 'the server asks for a password: add one to the address'],
  [
    /does not support SSL/,
    'switch TLS on there (ssl = on), or take sslmode=disable where nobody else is on the network',
  ],
  [/timeout|timed out/i, PLACE_HINT],
  [
    /terminated unexpectedly|socket hang up|unexpected .*message/i,
    `${PLACE_HINT}: does PostgreSQL listen there?`,
  ],
  [/PEM|certificate|\bkey\b/i, 'look after the files that sslrootcert, sslcert and sslkey name'],
];

function openMessage(cause: unknown): string {
  const hints =
    cause instanceof HostsError ? cause.reasons.map(hintFor) : [hintFor(cause) ?? primaryHint(cause)];
  return [lineOf(cause), ...new Set(hints.filter((hint) => hint !== undefined))].join('; ');
}

function hintFor(cause: unknown): string | undefined {
  const code = sqlStateOf(cause) ?? systemCodeOf(cause);
  return HINTS[code ?? ''] ?? SAID.find(([said]) => said.test(lineOf(cause)))?.[1];
}

/** Where several hosts are named, the primary may be one of them. */
function primaryHint(cause: unknown): string | undefined {
  return cause instanceof StandbyError ? 'name the primary, or both' : undefined;
}

/** The message, in one line. Node.js has one with no text of its own for a name that has several addresses. */
function lineOf(error: unknown): string {
  const one = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  return messageOf(one).replaceAll(/\s+/g, ' ') || String(one);
}

function systemCodeOf(error: unknown): string | undefined {
  const one = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  return one instanceof Error && 'code' in one ? String(one.code) : undefined;
}

export function isDiskFull(error: unknown): boolean {
  return sqlStateOf(error) === DISK_FULL;
}

/** How the client library says that a connection was not made in time. It has no code. */
const NOT_IN_TIME = 'timeout expired';

/** Whether the server may take a connection in a moment; it, or this machine, may have too much to do. */
export function isPassing(error: unknown): boolean {
  if (error instanceof HostsError) return error.reasons.some(isPassing);
  if (error instanceof Error && error.message === NOT_IN_TIME) return true;
  return [TOO_MANY_CONNECTIONS, STARTING_UP].includes(sqlStateOf(error) ?? '');
}

function sqlStateOf(error: unknown): string | undefined {
  const one = error instanceof HostsError ? error.cause : error;
  return one instanceof DatabaseError ? one.code : undefined;
}
