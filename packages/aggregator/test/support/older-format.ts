import assert from 'node:assert/strict';
import type { DatabaseSync } from 'node:sqlite';

/** What takes a file back by each migration (src/store/sqlite/file/migrations.ts), by its number. Nobody may have the file open. */
const TAKEN_BACK: Readonly<Record<number, string>> = {
  20: 'DROP TABLE audit;',
  19: 'DROP TABLE source;',
  18: 'ALTER TABLE event_group DROP COLUMN pause_asked;',
  17: `
    DROP TABLE pending_repeat;
    DROP TABLE repeat_state;
    DROP TABLE repeat_history;
    DROP TABLE repeat_count;
    DROP TABLE repeat_period;
    DROP TABLE conflict;
    DROP TABLE conflict_texts;
    ALTER TABLE fresh_block DROP COLUMN repeats;`,
  16: 'ALTER TABLE event_group DROP COLUMN push_format;',
  15: `
    DROP TABLE filler;
    ALTER TABLE log DROP COLUMN is_dirty;
    DROP VIEW block;
    UPDATE merged_block SET lead = body WHERE body IS NOT NULL;
    ALTER TABLE merged_block DROP COLUMN body;
    ALTER TABLE merged_block RENAME COLUMN lead TO body;
    CREATE VIEW block AS
      SELECT first_offset, events, directory, body FROM merged_block UNION ALL
      SELECT first_offset, events, directory, body FROM fresh_block;`,
  14: `
    DROP TABLE retention;
    ALTER TABLE topic DROP COLUMN bytes;
    ALTER TABLE topic DROP COLUMN expired;
    ALTER TABLE topic DROP COLUMN bare;
    ALTER TABLE topic DROP COLUMN first_offset;
    ALTER TABLE log DROP COLUMN rewrites;
    ALTER TABLE log DROP COLUMN counted_to;
    DROP VIEW books;
    ALTER TABLE ledger DROP COLUMN expired;
    ALTER TABLE ledger DROP COLUMN bare;
    CREATE VIEW books AS SELECT * FROM ledger;`,
  13: 'ALTER TABLE event_group DROP COLUMN expired;',
  12: `
    DROP TABLE bare_key;
    ALTER TABLE key_run DROP COLUMN first_offset;
    ALTER TABLE log DROP COLUMN forgotten;`,
  11: 'DROP TABLE move;',
  10: `
    DROP VIEW books;
    ALTER TABLE fresh_block DROP COLUMN received;
    ALTER TABLE fresh_block DROP COLUMN conflicts;
    ALTER TABLE fresh_block DROP COLUMN last_ms;`,
  9: `
    ALTER TABLE event_group RENAME COLUMN push_secrets TO push_secret;
    UPDATE event_group SET push_secret = push_secret ->> 0;`,
  8: `
    ALTER TABLE dead_letter RENAME COLUMN group_id TO subscription_id;
    ALTER TABLE hand RENAME COLUMN group_id TO subscription_id;
    ALTER TABLE event_group RENAME COLUMN group_id TO subscription_id;
    ALTER TABLE event_group RENAME TO subscription;`,
  7: `
    ALTER TABLE subscription DROP COLUMN push_url;
    ALTER TABLE subscription DROP COLUMN push_secret;
    ALTER TABLE subscription DROP COLUMN is_paused;
    ALTER TABLE subscription DROP COLUMN failing_since_ms;
    ALTER TABLE subscription DROP COLUMN last_failure;`,
  6: `
    DROP TABLE epoch;
    ALTER TABLE log DROP COLUMN is_copy;`,
  5: '',
  // There, the merged blocks come first and `merged_to` is where they end.
  4: `
    DROP VIEW block;
    ALTER TABLE merged_block RENAME TO block;
    ALTER TABLE log ADD COLUMN merged_to INTEGER NOT NULL DEFAULT 0;
    UPDATE log SET merged_to = (SELECT max(first_offset + events) - 1 FROM block);
    INSERT INTO block SELECT first_offset, events, directory, body FROM fresh_block;
    DROP TABLE fresh_block;`,
};

/** Takes a file of this version back to an older format, 3 or later, as if that version had written it; the books must be settled. */
export function takeBack(db: DatabaseSync, format: number): void {
  const { user_version: now } = db.prepare('PRAGMA user_version').get() as { user_version: number };
  db.exec('BEGIN');
  for (let step = now; step > format; step--) {
    const sql = TAKEN_BACK[step];
    assert.ok(sql !== undefined, `say here what takes a file back by migration ${step}`);
    db.exec(sql);
  }
  db.exec(`PRAGMA user_version = ${format}; COMMIT`);
}
