/** Makes the tables in PostgreSQL those of format 10 (migrations.ts), of which another row says by what appends are judged. */
const TO_FORMAT_10 = `
  ALTER TABLE retention ADD COLUMN version bigint;
  UPDATE retention SET version = (SELECT rules_version FROM head);
  ALTER TABLE retention ALTER COLUMN version SET NOT NULL;
  ALTER TABLE head DROP COLUMN rules_version;
  UPDATE about SET format = 10`;

/** Makes the tables in PostgreSQL those of format 9 (migrations.ts), of which each event has a history; it begins without any. */
export const TO_FORMAT_9 = `
  ${TO_FORMAT_10};
  CREATE TABLE history (first_offset bigint PRIMARY KEY, duplicates int NOT NULL, conflicts int NOT NULL, repeats text NOT NULL);
  DROP TABLE histories;
  ALTER TABLE repeats DROP COLUMN steps;
  UPDATE about SET format = 9`;

/** Makes the tables in PostgreSQL those of format 7 (migrations.ts), of which `lost` names the conflicts. */
export const TO_FORMAT_7 = `
  ${TO_FORMAT_9};
  ALTER TABLE repeat ADD COLUMN lost int[];
  UPDATE repeat SET
    lost = ARRAY(SELECT nth - 1 FROM unnest(conflicts) WITH ORDINALITY AS noted (is_conflict, nth) WHERE is_conflict ORDER BY nth),
    lost_hashes = array_remove(lost_hashes, NULL), lost_ids = array_remove(lost_ids, NULL),
    lost_texts = array_remove(lost_texts, NULL);
  ALTER TABLE repeat DROP COLUMN times, DROP COLUMN conflicts, ALTER COLUMN lost SET NOT NULL;
  DROP TABLE audit;
  UPDATE about SET format = 7`;

/** Makes the tables in PostgreSQL those of the first format (migrations.ts). */
export const TO_FORMAT_1 = `
  ALTER TABLE head DROP COLUMN rules_version;
  DROP TABLE repeats, repeat, histories, repeat_age, repeat_period, conflict;
  DROP TABLE source, audit;
  DROP TABLE policy, retention;
  ALTER TABLE topic DROP COLUMN bytes, DROP COLUMN expired, DROP COLUMN bare;
  ALTER TABLE log DROP COLUMN bytes;
  ALTER TABLE block DROP COLUMN version, DROP COLUMN kept_topics, DROP COLUMN gone_topics;
  ALTER TABLE merged_block DROP COLUMN version, DROP COLUMN kept_topics, DROP COLUMN gone_topics;
  ALTER TABLE merging DROP COLUMN rewrites;
  DROP INDEX key_by_append;
  ALTER TABLE event_group DROP COLUMN expired, DROP COLUMN push_format, DROP COLUMN pause_asked;
  UPDATE about SET format = 1`;
