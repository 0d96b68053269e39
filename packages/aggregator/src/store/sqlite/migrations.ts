/**
 * The steps that made the file what it is, in order. A released step is never changed, only followed by another; the
 * file's `user_version` is the number of steps it has seen.
 */
export const MIGRATIONS: readonly string[] = [
  // 1: the plain store. A row an event; the unique index is the deduplication.
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
];
