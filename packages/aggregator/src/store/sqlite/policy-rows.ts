import type { DatabaseSync } from 'node:sqlite';
import { outcomeOfPut } from '../policies.ts';
import type { Policy, PutPolicy } from '../retention-store.ts';

/** The policies, in order of their names' bytes. */
export function policiesIn(db: DatabaseSync): Policy[] {
  const rows = db.prepare('SELECT policy FROM retention ORDER BY name').all();
  return rows.map((row) => JSON.parse(String(row['policy'])) as Policy);
}

/** Within a transaction; as RetentionStore's `put`. */
export function putPolicy(db: DatabaseSync, policy: Policy): PutPolicy {
  const outcome = outcomeOfPut(policiesIn(db), policy);
  if (outcome.kind === 'created' || outcome.kind === 'changed') writePolicy(db, policy);
  return outcome;
}

/** Within a transaction, whatever stands beside it. */
export function writePolicy(db: DatabaseSync, policy: Policy): void {
  db.prepare('INSERT OR REPLACE INTO retention (name, policy) VALUES (?, ?)').run(
    policy.name,
    JSON.stringify(policy),
  );
}

/** Returns whether there was one. */
export function removePolicy(db: DatabaseSync, name: string): boolean {
  return db.prepare('DELETE FROM retention WHERE name = ?').run(name).changes > 0;
}
