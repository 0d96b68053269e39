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
  -- A commit is a row, later a merged part of the log is; the format is told in blocks/block-format.ts.
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
];
