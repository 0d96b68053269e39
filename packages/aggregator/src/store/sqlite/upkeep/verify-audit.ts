import type { DatabaseSync } from 'node:sqlite';
import { AUDIT_ACTIONS } from '../../audit-store.ts';
import { type AuditRecord, entriesIn } from '../../audit/audit-records.ts';
import { messageOf } from '../../errors.ts';
import { readLedger } from '../file/ledger.ts';

const RECORDS =
  'SELECT record, at_ms AS atMs, action, who, entries, 0 AS base, body FROM audit ORDER BY record';

/**
 * What is wrong with the audit trail, one line each: gaps and times that go back, where a search by time goes astray; records that
 * cannot be read; and events that the log does not have. Which records there must be nothing tells: the trail may have been off,
 * and old ones go.
 */
export function* auditProblems(db: DatabaseSync): Generator<string> {
  const { lastOffset } = readLedger(db);
  let before: AuditRecord | null = null;
  for (const row of db.prepare(RECORDS).iterate()) {
    const record = row as unknown as AuditRecord;
    const where = `record ${record.record} of the audit trail`;
    if (before !== null && record.record !== before.record + 1) yield `${where}: the one before is missing`;
    if (before !== null && record.atMs < before.atMs) yield `${where}: it is older than the one before`;
    before = record;
    if (AUDIT_ACTIONS[record.action] === undefined) yield `${where}: there is no action ${record.action}`;
    try {
      for (const { offset } of entriesIn(record)) {
        if (offset === null || (offset >= 1 && offset <= lastOffset)) continue;
        yield `${where}: it tells of offset ${offset}, the log ends at ${lastOffset}`;
        break;
      }
    } catch (error) {
      yield messageOf(error);
    }
  }
}
