/**
 * The tables of repeats (store/repeat-store.ts), as format 5 has them. A commit notes its repeats in one row of `repeat`, which is
 * *settled* soon after: taken out, and counted in the other tables (settle-repeats.ts).
 */
export const REPEAT_TABLES = `
  -- Since when repeats are counted, how many conflicts were settled, and how many pairs of topic and source have counts of their
  -- own. Whoever settles, or makes something expire that repeats tell of, holds the row.
  CREATE TABLE repeats (one int PRIMARY KEY CHECK (one = 1), since_ms bigint NOT NULL, conflicts bigint NOT NULL, pairs bigint NOT NULL)
    WITH (fillfactor = 10);
  INSERT INTO repeats VALUES (1, floor(extract(epoch FROM clock_timestamp()) * 1000), 0, 0);

  -- Of each repeat of an append: the offset of the first one (below 0: -1 less its place in the same append), the topic, the
  -- source, the publisher (empty: none). \`lost\` are the places of the conflicts here, beside them their identities, ids and texts.
  CREATE TABLE repeat (
    append_id   bigint   PRIMARY KEY,
    firsts      bigint[] NOT NULL,
    topics      int[]    NOT NULL,
    sources     text[]   NOT NULL,
    publishers  text[]   NOT NULL,
    lost        int[]    NOT NULL,
    lost_hashes uuid[]   NOT NULL,
    lost_ids    text[]   NOT NULL,
    lost_texts  bytea[]  NOT NULL
  ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

  -- How many repeats an event has had, and the last ones, the newest first: of each a line with the time of its commit, a space
  -- or (a conflict) an exclamation mark, the source as JSON, a tab and the publisher. Arrays would take four times as much.
  CREATE TABLE history (
    first_offset bigint PRIMARY KEY,
    duplicates   int    NOT NULL,
    conflicts    int    NOT NULL,
    repeats      text   NOT NULL
  );

  -- By age (its place in AGE_BOUNDS_MS), topic and source; an empty source is all those that have no counts of their own.
  CREATE TABLE repeat_age (
    topic_id   int    NOT NULL,
    source     text   COLLATE "C" NOT NULL,
    age        int    NOT NULL,
    duplicates bigint NOT NULL,
    conflicts  bigint NOT NULL,
    PRIMARY KEY (topic_id, source, age)
  );
  -- The same by the beginning of the period in which they were committed.
  CREATE TABLE repeat_period (
    period_ms  bigint NOT NULL,
    topic_id   int    NOT NULL,
    source     text   COLLATE "C" NOT NULL,
    duplicates bigint NOT NULL,
    conflicts  bigint NOT NULL,
    PRIMARY KEY (period_ms, topic_id, source)
  );

  CREATE TABLE conflict (
    number       bigint PRIMARY KEY,
    first_offset bigint NOT NULL,
    received_ms  bigint NOT NULL,
    topic_id     int    NOT NULL,
    event_id     text   NOT NULL,
    source       text   NOT NULL,
    publisher    text   NOT NULL,
    body         bytea
  );
  CREATE INDEX conflict_by_offset ON conflict (first_offset);
`;

/** Of each repeat of an append what stands beside it, from an array that has an entry for each conflict alone. */
const BESIDE = (what: string) => `
  ARRAY(
    SELECT ${what} FROM unnest(firsts) WITH ORDINALITY AS noted (first, nth)
    LEFT JOIN unnest(lost, lost_hashes, lost_ids, lost_texts) AS lost_one (place, hash, id, body) ON place = nth - 1
    ORDER BY nth
  )`;

/**
 * What format 8 notes, so that nothing has to be looked up, or searched in an array, to settle it. \`times\` says when the first
 * event was committed (0: by the same append), \`conflicts\` which repeats are conflicts. The arrays of what is lost are empty
 * without any; else they reach to the last one at least, with nulls for all that is no conflict, or that newer ones in the same
 * append push off the list.
 */
export const NOTED_BY_PLACE = `
  SET LOCAL enable_hashjoin = on;
  ALTER TABLE repeat ADD COLUMN times bigint[], ADD COLUMN conflicts bool[];
  -- To compress them takes longer than to write them.
  ALTER TABLE repeat ALTER COLUMN lost_texts SET STORAGE EXTERNAL;
  UPDATE repeat SET
    times = ARRAY(
      SELECT CASE WHEN first < 0 THEN 0 ELSE (
        SELECT received_ms FROM log WHERE events > 0 AND first_offset <= first ORDER BY first_offset DESC LIMIT 1
      ) END
      FROM unnest(firsts) WITH ORDINALITY AS noted (first, nth) ORDER BY nth
    ),
    conflicts = ${BESIDE('place IS NOT NULL')};
  UPDATE repeat SET
    lost_hashes = ${BESIDE('hash')}, lost_ids = ${BESIDE('id')}, lost_texts = ${BESIDE('body')}
  WHERE lost <> '{}';
  ALTER TABLE repeat ALTER COLUMN times SET NOT NULL, ALTER COLUMN conflicts SET NOT NULL, DROP COLUMN lost;
`;

/**
 * What format 10 tells of events: the histories of a *stretch* of 1024 neighbouring offsets in one row a step, where each event had a row
 * and an entry of an index. The lines of many events compress well; they stay in the table, as few stretches have more than a page.
 */
export const PACKED_HISTORIES = `
  -- How many steps were settled.
  ALTER TABLE repeats ADD COLUMN steps bigint NOT NULL DEFAULT 0;

  -- Of each event in \`events\` a line with an equals sign, its place in the stretch, and how many duplicates and conflicts it had;
  -- then of its last repeats, the newest first, a line with the time of the commit, a space or (a conflict) an exclamation mark,
  -- the source as JSON, a tab and the publisher. Rows of a lower level are newer, and within a level those of a later step.
  CREATE TABLE histories (
    stretch bigint NOT NULL,
    level   int    NOT NULL,
    step    bigint NOT NULL,
    events  text   NOT NULL,
    PRIMARY KEY (stretch, level, step)
  ) WITH (toast_tuple_target = 256);
  ALTER TABLE histories ALTER COLUMN events SET STORAGE MAIN;
  INSERT INTO histories SELECT first_offset >> 10, 0, 0,
    string_agg('=' || (first_offset & 1023) || ' ' || duplicates || ' ' || conflicts || E'\\n' || repeats, '' ORDER BY first_offset)
  FROM history GROUP BY 1;
  DROP TABLE history;
`;
