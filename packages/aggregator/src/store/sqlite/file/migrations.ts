/**
 * The migration steps of the file, in order. A released step never changes; new ones are added after it. The
 * file's `user_version` is the number of steps applied to it.
 */
export const MIGRATIONS: readonly string[] = [
  // 1: the plain store. One row per event; the unique index is the deduplication. Later steps do not need its indexes.
  `
  CREATE TABLE topic (
    topic_id    INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    events      INTEGER NOT NULL,
    last_offset INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE event (
    offset      INTEGER PRIMARY KEY,
    topic_id    INTEGER NOT NULL REFERENCES topic,
    event_id    TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    time_ms     INTEGER NOT NULL,  -- the event's own timestamp
    received_ms INTEGER NOT NULL,  -- its commit
    digest      BLOB    NOT NULL,  -- of source, timestamp and payload: tells a retry from a conflict
    text        TEXT    NOT NULL   -- the event's JSON as it came, without whitespace between tokens
  ) STRICT;
  CREATE UNIQUE INDEX event_by_key ON event (topic_id, event_id);
  CREATE INDEX event_by_topic ON event (topic_id, offset);

  -- The books, one row, kept in the transaction of the events: received = accepted + duplicates.
  CREATE TABLE ledger (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    received    INTEGER NOT NULL,
    accepted    INTEGER NOT NULL,
    duplicates  INTEGER NOT NULL,
    conflicts   INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    last_ms     INTEGER NOT NULL,  -- the latest received_ms, so that a clock set back does not turn the order
    CHECK (received = accepted + duplicates),
    CHECK (conflicts <= duplicates)
  ) STRICT;
  INSERT INTO ledger VALUES (1, 0, 0, 0, 0, 0, 0);
  `,

  // 2: blocks and the log-structured key index. The rows of step 1 are moved afterwards (migrate-plain.ts), a
  // part at a time, and their table is dropped with the last of them.
  `
  -- A commit is a row, later a merged part of the log is; the format is told in store/blocks/block-format.ts.
  CREATE TABLE block (
    first_offset INTEGER PRIMARY KEY,
    events       INTEGER NOT NULL,
    directory    BLOB    NOT NULL,
    body         BLOB    NOT NULL
  ) STRICT;

  -- Which merged blocks hold a topic. Fresh ones are few and are all looked into.
  CREATE TABLE block_topic (
    topic_id     INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    PRIMARY KEY (topic_id, first_offset)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE log (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    merged_to INTEGER NOT NULL,  -- the last offset of the merged blocks
    secret    BLOB    NOT NULL   -- of the key hash; drawn once, never told
  ) STRICT;
  INSERT INTO log VALUES (1, 0, randomblob(16));

  -- Runs of the key index (keys/key-index.ts).
  CREATE TABLE key_run (
    run_id      INTEGER PRIMARY KEY,
    level       INTEGER NOT NULL,
    keys        INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,  -- with the older runs it holds every key up to here
    filled      INTEGER NOT NULL,  -- buckets written so far
    merged_into INTEGER
  ) STRICT;
  CREATE TABLE key_block  (place INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
  CREATE TABLE key_filter (place INTEGER PRIMARY KEY, bits    BLOB NOT NULL) STRICT;

  -- Only what takes time to move is kept from step 1.
  DROP INDEX event_by_key;
  DROP INDEX event_by_topic;
  `,

  // 3: subscriptions, which are called groups since step 8, and their progress (groups/).
  `
  CREATE TABLE subscription (
    subscription_id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: what is late for one must not hit another
    name            TEXT    NOT NULL UNIQUE,
    topics          TEXT    NOT NULL,  -- patterns, a JSON array
    start           TEXT    NOT NULL,  -- as it was asked for, JSON
    lease_ms        INTEGER NOT NULL,
    deliveries_max  INTEGER NOT NULL,
    secret          BLOB    NOT NULL,  -- signs its lease ids; never told
    created_ms      INTEGER NOT NULL,
    position        INTEGER NOT NULL,            -- above it nothing was given out
    takes           INTEGER NOT NULL DEFAULT 0,  -- so far
    void_takes      INTEGER NOT NULL DEFAULT 0,  -- leases of takes up to this one ended with a seek
    outstanding     INTEGER NOT NULL DEFAULT 0,  -- events in hands
    dead            INTEGER NOT NULL DEFAULT 0,  -- rows of dead_letter
    deliveries      INTEGER NOT NULL DEFAULT 0,  -- of all time, and these two
    redeliveries    INTEGER NOT NULL DEFAULT 0,
    acknowledged    INTEGER NOT NULL DEFAULT 0
  ) STRICT;

  -- Events that were given out and are neither acknowledged nor dead: a row is those of one take that fall due together
  -- (hands.ts tells what stands in it).
  CREATE TABLE hand (
    subscription_id INTEGER NOT NULL,
    take            INTEGER NOT NULL,  -- 0: nobody holds them
    due_ms          INTEGER NOT NULL,  -- when the lease ends; where nobody holds them, from when on they may be given again
    is_last         INTEGER NOT NULL,  -- 1: delivered as often as they may be; when they are due they are dead
    events          INTEGER NOT NULL,
    first_offset    INTEGER NOT NULL,
    last_offset     INTEGER NOT NULL,
    entries         BLOB    NOT NULL,
    PRIMARY KEY (subscription_id, take, due_ms, is_last)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX hand_by_due ON hand (subscription_id, is_last, due_ms);

  CREATE TABLE dead_letter (
    subscription_id INTEGER NOT NULL,
    offset          INTEGER NOT NULL,
    deliveries      INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    dead_ms         INTEGER NOT NULL,
    reason          TEXT    NOT NULL,
    PRIMARY KEY (subscription_id, offset)
  ) STRICT, WITHOUT ROWID;
  `,

  // 4: separate tables for fresh and merged blocks. A large commit is a merged block at once, so a position in the log
  // no longer separates merged blocks from fresh ones.
  `
  ALTER TABLE block RENAME TO merged_block;

  -- What small commits made; when they fill a block they go and a merged one comes.
  CREATE TABLE fresh_block (
    first_offset INTEGER PRIMARY KEY,
    events       INTEGER NOT NULL,
    directory    BLOB    NOT NULL,
    body         BLOB    NOT NULL
  ) STRICT;
  INSERT INTO fresh_block SELECT * FROM merged_block WHERE first_offset > (SELECT merged_to FROM log);
  DELETE FROM merged_block WHERE first_offset > (SELECT merged_to FROM log);
  ALTER TABLE log DROP COLUMN merged_to;

  -- The log. A look for the last block up to an offset is ORDER BY … LIMIT 1: max() would go through both tables.
  CREATE VIEW block AS SELECT * FROM merged_block UNION ALL SELECT * FROM fresh_block;
  `,

  // 5: checksums at the end of blocks, key blocks and filters (checksum.ts). Older rows have none, so there is nothing to
  // migrate; but a program without support for checksums must not write to the file.
  '',

  // 6: epochs (epochs.ts).
  `
  CREATE TABLE epoch (
    epoch_id     INTEGER PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,  -- drawn at random
    after_offset INTEGER NOT NULL          -- the last offset of the one before
  ) STRICT;
  INSERT INTO epoch VALUES (1, lower(hex(randomblob(8))), 0);
  ALTER TABLE log ADD COLUMN is_copy INTEGER NOT NULL DEFAULT 0;  -- 1: nobody wrote it since it was copied
  `,

  // 7: webhooks: where a subscription's events are sent, and the state of sending.
  `
  ALTER TABLE subscription ADD COLUMN push_url TEXT;                        -- NULL: they are pulled
  ALTER TABLE subscription ADD COLUMN push_secret TEXT;                     -- signs what is sent; never told
  ALTER TABLE subscription ADD COLUMN is_paused INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE subscription ADD COLUMN failing_since_ms INTEGER;             -- NULL: the last attempt went well
  ALTER TABLE subscription ADD COLUMN last_failure TEXT;
  `,

  // 8: one word for what workers share: a group. (`group` alone is a keyword of SQL.)
  `
  ALTER TABLE subscription RENAME TO event_group;
  ALTER TABLE event_group RENAME COLUMN subscription_id TO group_id;
  ALTER TABLE hand RENAME COLUMN subscription_id TO group_id;
  ALTER TABLE dead_letter RENAME COLUMN subscription_id TO group_id;
  `,

  // 9: several secrets may sign each message: a JSON array of 1 to 3.
  `
  UPDATE event_group SET push_secret = json_array(push_secret) WHERE push_secret IS NOT NULL;
  ALTER TABLE event_group RENAME COLUMN push_secret TO push_secrets;
  `,

  // 10: a small commit writes the books into its own row. The rows of ledger and topic are then as of an earlier commit,
  // that of ledger.last_offset; the fresh blocks above it hold the rest (books.ts).
  `
  CREATE TABLE told_block (
    first_offset INTEGER PRIMARY KEY,
    events       INTEGER NOT NULL,
    received     INTEGER,  -- as in ledger, after this commit; NULL where the commit wrote the ledger
    conflicts    INTEGER,
    last_ms      INTEGER,
    directory    BLOB    NOT NULL,
    body         BLOB    NOT NULL
  ) STRICT;
  INSERT INTO told_block (first_offset, events, directory, body)
    SELECT first_offset, events, directory, body FROM fresh_block;
  DROP VIEW block;
  DROP TABLE fresh_block;
  ALTER TABLE told_block RENAME TO fresh_block;
  CREATE VIEW block AS
    SELECT first_offset, events, directory, body FROM merged_block UNION ALL
    SELECT first_offset, events, directory, body FROM fresh_block;

  -- The books as of now. Each commit receives something, so the row with the most is the newest.
  CREATE VIEW books AS
    SELECT received, accepted, received - accepted AS duplicates, conflicts, last_offset, last_ms
    FROM (
      SELECT received, accepted, conflicts, last_offset, last_ms FROM ledger UNION ALL
      SELECT * FROM (
        SELECT received, first_offset + events - 1, conflicts, first_offset + events - 1, last_ms
        FROM fresh_block ORDER BY first_offset DESC LIMIT 1
      )
    )
    ORDER BY received DESC, last_ms DESC LIMIT 1;
  `,

  // 11: what a move leaves in the file that it moved, and in the one that it made (store/move/move-mark.ts).
  `
  CREATE TABLE move (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    role  TEXT NOT NULL,  -- moved, filling or complete
    name  TEXT NOT NULL,  -- drawn at random; both stores have the same
    log   TEXT NOT NULL,  -- the first epoch of the moved log
    other TEXT NOT NULL   -- the other store, without a password
  ) STRICT;
  `,

  // 12: keys that cannot be computed from texts (keys/bare-keys.ts), and keys that are forgotten.
  `
  CREATE TABLE bare_key (first_offset INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT;
  ALTER TABLE key_run ADD COLUMN first_offset INTEGER NOT NULL DEFAULT 1;  -- no key of the run is below it
  ALTER TABLE log ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;         -- accepted events without a key
  `,

  // 13: events that a group passed over because they had expired.
  'ALTER TABLE event_group ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;',

  // 14: letting go of texts (retention.ts). A topic's `events` and `bytes` are those that are kept.
  `
  CREATE TABLE retention (
    name   TEXT PRIMARY KEY,
    policy TEXT NOT NULL  -- Policy in retention-store.ts, JSON
  ) STRICT;
  ALTER TABLE topic ADD COLUMN bytes        INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE topic ADD COLUMN expired      INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE topic ADD COLUMN bare         INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE topic ADD COLUMN first_offset INTEGER NOT NULL DEFAULT 0;  -- no event below it is kept
  ALTER TABLE ledger ADD COLUMN expired     INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE ledger ADD COLUMN bare        INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE log ADD COLUMN rewrites INTEGER NOT NULL DEFAULT 0;        -- transactions that changed blocks in their place
  -- The texts of an older file are counted up to here (count-texts.ts); NULL where all are.
  ALTER TABLE log ADD COLUMN counted_to INTEGER;
  UPDATE log SET counted_to = 0 WHERE (SELECT accepted FROM books) > 0;

  -- Expired and bare are those of the ledger's row, as of the ledger's last offset.
  DROP VIEW books;
  CREATE VIEW books AS
    SELECT received, accepted, received - accepted AS duplicates, conflicts, last_offset, last_ms,
      (SELECT expired FROM ledger) AS expired, (SELECT bare FROM ledger) AS bare
    FROM (
      SELECT received, accepted, conflicts, last_offset, last_ms FROM ledger UNION ALL
      SELECT * FROM (
        SELECT received, first_offset + events - 1, conflicts, first_offset + events - 1, last_ms
        FROM fresh_block ORDER BY first_offset DESC LIMIT 1
      )
    )
    ORDER BY received DESC, last_ms DESC LIMIT 1;
  `,

  // 15: erasure (scrub.ts). Older versions left the bytes of deleted rows in free pages.
  `
  ALTER TABLE log ADD COLUMN is_dirty INTEGER NOT NULL DEFAULT 0;
  UPDATE log SET is_dirty = 1 WHERE (SELECT accepted FROM books) > 0;
  CREATE TABLE filler (filler_id INTEGER PRIMARY KEY, zeros BLOB NOT NULL) STRICT;  -- takes free pages, for a moment
  -- Zeros that keep the body off the row's own page (scrub.ts); in rows of older versions it is the body.
  DROP VIEW block;
  ALTER TABLE merged_block RENAME COLUMN body TO lead;
  ALTER TABLE merged_block ADD COLUMN body BLOB;
  CREATE VIEW block AS
    SELECT first_offset, events, directory, ifnull(body, lead) AS body FROM merged_block UNION ALL
    SELECT first_offset, events, directory, body FROM fresh_block;
  `,

  // 16: in which form a webhook's events are sent; NULL: as they are read.
  'ALTER TABLE event_group ADD COLUMN push_format TEXT;',

  // 17: what is remembered of repeats (repeats/). A commit writes its repeats into its own row, if it makes one.
  `
  CREATE TABLE repeating_block (
    first_offset INTEGER PRIMARY KEY,
    events       INTEGER NOT NULL,
    received     INTEGER,
    conflicts    INTEGER,
    last_ms      INTEGER,
    repeats      BLOB,  -- packed (repeats/packed.ts); settled in the rows up to repeat_state.settled_to
    directory    BLOB    NOT NULL,
    body         BLOB    NOT NULL
  ) STRICT;
  INSERT INTO repeating_block (first_offset, events, received, conflicts, last_ms, directory, body)
    SELECT first_offset, events, received, conflicts, last_ms, directory, body FROM fresh_block;
  DROP VIEW block;
  DROP VIEW books;
  DROP TABLE fresh_block;
  ALTER TABLE repeating_block RENAME TO fresh_block;
  CREATE VIEW block AS
    SELECT first_offset, events, directory, ifnull(body, lead) AS body FROM merged_block UNION ALL
    SELECT first_offset, events, directory, body FROM fresh_block;
  CREATE VIEW books AS
    SELECT received, accepted, received - accepted AS duplicates, conflicts, last_offset, last_ms,
      (SELECT expired FROM ledger) AS expired, (SELECT bare FROM ledger) AS bare
    FROM (
      SELECT received, accepted, conflicts, last_offset, last_ms FROM ledger UNION ALL
      SELECT * FROM (
        SELECT received, first_offset + events - 1, conflicts, first_offset + events - 1, last_ms
        FROM fresh_block ORDER BY first_offset DESC LIMIT 1
      )
    )
    ORDER BY received DESC, last_ms DESC LIMIT 1;

  -- Repeats that no block's row holds and that are not settled, in the order of the books.
  CREATE TABLE pending_repeat (received INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

  CREATE TABLE repeat_state (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    since_ms          INTEGER,           -- repeats are counted since then; NULL: since the next start
    duplicates_before INTEGER NOT NULL,  -- those of the books before that
    conflicts_before  INTEGER NOT NULL,
    settled_to        INTEGER NOT NULL   -- the first offset of a fresh block
  ) STRICT;
  INSERT INTO repeat_state SELECT 1, NULL, duplicates, conflicts, 0 FROM books;

  -- Settled repeats: of each event, of each pair of topic and source, and of these by periods (repeats/settling.ts). An empty
  -- source stands for those that are too many to be named.
  CREATE TABLE repeat_history (
    offset     INTEGER PRIMARY KEY,
    duplicates INTEGER NOT NULL,
    conflicts  INTEGER NOT NULL,
    repeats    BLOB    NOT NULL  -- the last ones, packed
  ) STRICT;
  CREATE TABLE repeat_count (
    topic_id   INTEGER NOT NULL,
    source     TEXT    NOT NULL,
    duplicates INTEGER NOT NULL,
    conflicts  INTEGER NOT NULL,
    ages       BLOB    NOT NULL,  -- duplicates by age, then conflicts, packed
    PRIMARY KEY (topic_id, source)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE repeat_period (
    period     INTEGER NOT NULL,
    topic_id   INTEGER NOT NULL,
    source     TEXT    NOT NULL,
    duplicates INTEGER NOT NULL,
    conflicts  INTEGER NOT NULL,
    PRIMARY KEY (period, topic_id, source)
  ) STRICT, WITHOUT ROWID;

  -- The last conflicts, by their number in the books, and their texts (repeats/conflicts.ts).
  CREATE TABLE conflict (
    number      INTEGER PRIMARY KEY,
    offset      INTEGER NOT NULL,  -- of the event that it lost to
    received_ms INTEGER NOT NULL,
    topic_id    INTEGER NOT NULL,
    event_id    TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    publisher   TEXT,
    texts       INTEGER NOT NULL,  -- the row of conflict_texts that holds its text
    text_at     INTEGER NOT NULL,
    text_bytes  INTEGER            -- NULL: its text is not kept
  ) STRICT;
  CREATE INDEX conflict_by_offset ON conflict (offset);
  CREATE TABLE conflict_texts (
    last_number  INTEGER PRIMARY KEY,
    first_number INTEGER NOT NULL,
    lead         BLOB    NOT NULL,  -- zeros, which keep the body off the row's own page (scrub.ts)
    body         BLOB    NOT NULL   -- the texts one after the other; zeros where one is gone
  ) STRICT;
  `,

  // 18: webhooks that were paused on request; is_paused is 1 as well.
  'ALTER TABLE event_group ADD COLUMN pause_asked INTEGER NOT NULL DEFAULT 0;',

  // 19: from where deliveries come (store/source-store.ts).
  'CREATE TABLE source (name TEXT PRIMARY KEY, definition TEXT NOT NULL) STRICT;',

  // 20: the audit trail (audit/).
  `
  CREATE TABLE audit (
    record  INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,  -- never goes back
    action  INTEGER NOT NULL,  -- its place in AUDIT_ACTIONS (store/audit-store.ts)
    who     TEXT,              -- the key or the group
    entries INTEGER NOT NULL,
    body    TEXT    NOT NULL   -- JSON (store/audit/audit-records.ts)
  ) STRICT;
  `,
];
