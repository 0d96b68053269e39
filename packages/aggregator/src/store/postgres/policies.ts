import { type ClientBase, DatabaseError } from 'pg';
import { compileBareTopics, outcomeOfPut } from '../policies.ts';
import type { Policy, PutPolicy } from '../retention-store.ts';
import { giveWay } from './give-way.ts';

const LIST = 'SELECT definition FROM policy ORDER BY name';
const PUT = `
  INSERT INTO policy VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET definition = excluded.definition`;
const REMOVE = 'DELETE FROM policy WHERE name = $1';

/** The policies, and the secret, and the version that they are of. */
const LOAD = `
  SELECT rules_version AS version, coalesce((SELECT array_agg(definition) FROM policy), '{}') AS definitions,
    (SELECT secret FROM about) AS secret
  FROM head`;

/** Whoever changes policies holds this row, so that the changes come one after another. */
const LOCK = 'SELECT FROM retention FOR UPDATE';

const OUTDATE = 'UPDATE head SET rules_version = rules_version + 1';

/**
 * True, or an error in its place that undoes the statement, where policies have changed, or ids were forgotten, since the version
 * that the parameter names. A condition on the row that the statement updates: where it has waited for whoever changed the
 * version, it is checked again. Nothing else takes the square root of a negative number here.
 */
export function isOfVersion(parameter: string): string {
  return `sqrt((head.rules_version = ${parameter}::bigint)::int - 0.5::float8) > 0`;
}

/** What that error is (SQLSTATE, ERRCODE_INVALID_ARGUMENT_FOR_POWER_FUNCTION). */
export const NEGATIVE_ROOT = '2201F';

export function isOutdated(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === NEGATIVE_ROOT;
}

/**
 * What an append must know of policies, and under which secret ids are hashed, which a move into an empty log replaces. In:
 * what is in the database, at the beginning of each session and whenever a commit was refused because it is of another
 * version. So a policy is in force for every append that begins after the policy was answered, on any instance, and none
 * asks for it.
 */
export class Policies {
  /** Another one each time that it was read. The first is of a version that no database has. */
  inForce: InForce = { version: -1, isBare: null };
  readonly #hashUnder: (secret: Uint8Array) => void;

  /** @param hashUnder is told the secret that is in force */
  constructor(hashUnder: (secret: Uint8Array) => void) {
    this.#hashUnder = hashUnder;
  }

  async load(client: ClientBase): Promise<void> {
    const { rows } = await client.query<{ version: string; definitions: string[]; secret: Buffer }>(LOAD);
    const [row] = rows;
    this.#hashUnder(row!.secret);
    this.inForce = {
      version: Number(row!.version),
      isBare: compileBareTopics(row!.definitions.map(policyOf)),
    };
  }
}

export interface InForce {
  readonly version: number;
  /** Whether events on a topic are stored bare; null if none is. */
  readonly isBare: ((topic: string) => boolean) | null;
}

export async function listPolicies(client: ClientBase): Promise<Policy[]> {
  const { rows } = await client.query<{ definition: string }>(LIST);
  return rows.map(({ definition }) => policyOf(definition));
}

/**
 * Makes what appends go by another version, in the caller's transaction: until that ends no append commits, and those that were judged
 * by the version before are undone. So it comes late, and behind every lock that an append may hold.
 */
export async function outdate(client: ClientBase): Promise<void> {
  await client.query(OUTDATE);
}

/** In the caller's transaction. */
export async function putPolicy(client: ClientBase, policy: Policy): Promise<PutPolicy> {
  await client.query(LOCK);
  await giveWay(client);
  const outcome = outcomeOfPut(await listPolicies(client), policy);
  if (outcome.kind === 'created' || outcome.kind === 'changed') {
    await writePolicy(client, policy);
    await outdate(client);
  }
  return outcome;
}

/** In the caller's transaction, whatever stands beside it; the caller outdates what appends go by. */
export async function writePolicy(client: ClientBase, policy: Policy): Promise<void> {
  await client.query(PUT, [policy.name, JSON.stringify(policy)]);
}

/** In the caller's transaction. */
export async function removePolicy(client: ClientBase, name: string): Promise<boolean> {
  await client.query(LOCK);
  await giveWay(client);
  const { rowCount } = await client.query(REMOVE, [name]);
  if (rowCount === 1) await outdate(client);
  return rowCount === 1;
}

function policyOf(definition: string): Policy {
  return JSON.parse(definition) as Policy;
}
