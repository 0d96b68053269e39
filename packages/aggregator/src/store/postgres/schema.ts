import { randomBytes } from 'node:crypto';
import type { ClientBase } from 'pg';
import { StoreError } from '../event-store.ts';
import { FORMAT, migrate } from './migrations.ts';

/** Marks a schema as ours, beside its number. */
const PRODUCT = 'ChronicleWeaver';

/** One place in the space of advisory locks, beside a hash of the schema's name. */
const SCHEMA_LOCK = 0x43_57_44_42;

/**
 * The tables of format 1; migrations.ts has what was added since. `head` has the one row that every commit updates last, and
 * whose lock gives the commits their order; with room on its page for many versions, so that an update touches no index. A key
 * names its append and its place there and not its offset, so that nothing waits for the offset: that is `first_offset` of the
 * append's row in `log`, plus the place. An append without accepted events has a row in `log` too: what became of it must be known after a lost connection.
 */
const TABLES = `
  CREATE TABLE about (product text NOT NULL, format int NOT NULL, secret bytea NOT NULL);

  CREATE TABLE head (
    one          int    PRIMARY KEY CHECK (one = 1),
    last_offset  bigint NOT NULL,
    received     bigint NOT NULL,
    conflicts    bigint NOT NULL,
    last_ms      bigint NOT NULL,
    -- How many ranges of append ids were given to instances.
    ranges       bigint NOT NULL,
    -- The newest epoch, and what tells this life of the database from another (epochs.ts). Who has put the files of another
    -- time in place says so with is_copy, which nothing else can tell.
    epoch_id     int     NOT NULL,
    epoch        text    NOT NULL,
    system       text,
    timeline     text,
    home         text,
    is_copy      boolean NOT NULL DEFAULT false
  ) WITH (fillfactor = 10);

  CREATE TABLE key (
    append_id bigint NOT NULL,
    place     int    NOT NULL,
    digest    int    NOT NULL,
    hash      uuid   PRIMARY KEY
  );

  -- The accepted events of an append, as blocks (store/blocks/block-format.ts): one, or several where one is too large. Small
  -- ones go when they are merged.
  CREATE TABLE block (
    append_id bigint NOT NULL,
    place     int    NOT NULL,
    events    int    NOT NULL,
    directory bytea  NOT NULL,
    body      bytea  NOT NULL,
    PRIMARY KEY (append_id, place)
  );
  -- It is packed already.
  ALTER TABLE block ALTER COLUMN body SET STORAGE EXTERNAL, ALTER COLUMN directory SET STORAGE EXTERNAL;

  -- The log up to \`merging\`, in as few blocks as it needs: runs of small blocks of appends made into larger ones, the small
  -- ones removed in the same transaction; and in place of its bytes the name of a block that was large enough as it was.
  CREATE TABLE merged_block (
    first_offset bigint PRIMARY KEY,
    events       int    NOT NULL,
    topics       int[]  NOT NULL,
    bytes        int    NOT NULL,
    append_id    bigint,
    place        int,
    directory    bytea,
    body         bytea,
    CHECK ((append_id IS NULL) = (body IS NOT NULL))
  );
  ALTER TABLE merged_block ALTER COLUMN body SET STORAGE EXTERNAL, ALTER COLUMN directory SET STORAGE EXTERNAL;

  -- How far the log is merged, and the instance that goes on with it, until when by the database's clock.
  CREATE TABLE merging (
    one         int         PRIMARY KEY CHECK (one = 1),
    last_offset bigint      NOT NULL,
    holder      text        NOT NULL,
    until       timestamptz NOT NULL
  );

  CREATE TABLE log (
    append_id    bigint PRIMARY KEY,
    first_offset bigint NOT NULL,
    events       int    NOT NULL,
    received_ms  bigint NOT NULL,
    -- What it adds to the topics' counts: of each topic its id, its events, and the place of the last one.
    topics       int[]  NOT NULL,
    counts       int[]  NOT NULL,
    lasts        int[]  NOT NULL
  );
  CREATE UNIQUE INDEX log_by_offset ON log (first_offset) WHERE events > 0;

  -- Counts as of \`settled\`; the rows of the log above it tell the rest. Ids become visible in their order.
  CREATE TABLE topic (
    topic_id    int    PRIMARY KEY,
    name        text   COLLATE "C" NOT NULL UNIQUE,
    events      bigint NOT NULL DEFAULT 0,
    last_offset bigint NOT NULL DEFAULT 0
  );
  CREATE TABLE settled (one int PRIMARY KEY CHECK (one = 1), last_offset bigint NOT NULL);

  CREATE TABLE epoch (epoch_id int PRIMARY KEY, name text NOT NULL, after_offset bigint NOT NULL);

  -- The groups (store/groups/group-tables.ts). An apply updates rows in place, which leaves their indexes alone while there is
  -- room on the page. \`version\` is the id of the apply that wrote the row last.
  CREATE TABLE event_group (
    group_id         bigint PRIMARY KEY,
    name             text   COLLATE "C" NOT NULL UNIQUE,
    topics           text   NOT NULL,
    start            text   NOT NULL,
    lease_ms         bigint NOT NULL,
    deliveries_max   int    NOT NULL,
    secret           bytea  NOT NULL,
    created_ms       bigint NOT NULL,
    position         bigint NOT NULL,
    takes            bigint NOT NULL,
    void_takes       bigint NOT NULL,
    outstanding      int    NOT NULL,
    dead             bigint NOT NULL,
    deliveries       bigint NOT NULL,
    redeliveries     bigint NOT NULL,
    acknowledged     bigint NOT NULL,
    push_url         text,
    push_secrets     text,
    is_paused        int    NOT NULL,
    failing_since_ms bigint,
    last_failure     text,
    -- Which instance's sender may send, and until when.
    sender           text,
    sender_until_ms  bigint NOT NULL,
    version          bigint NOT NULL
  ) WITH (fillfactor = 30);
  CREATE TABLE hand (
    group_id     bigint NOT NULL,
    take         bigint NOT NULL,
    due_ms       bigint NOT NULL,
    is_last      int    NOT NULL,
    events       int    NOT NULL,
    first_offset bigint NOT NULL,
    last_offset  bigint NOT NULL,
    entries      bytea  NOT NULL,
    PRIMARY KEY (group_id, take, due_ms, is_last)
  );
  CREATE TABLE dead_letter (
    group_id    bigint NOT NULL,
    "offset"    bigint NOT NULL,
    deliveries  int    NOT NULL,
    bytes       int    NOT NULL,
    dead_ms     bigint NOT NULL,
    reason      text   NOT NULL,
    PRIMARY KEY (group_id, "offset")
  );
  -- The id of the group that was made last: none is given twice. Whoever makes groups holds the row.
  CREATE TABLE last_group (one int PRIMARY KEY CHECK (one = 1), group_id bigint NOT NULL);
  -- Where an instance does one apply after another: the id of the last one that was committed, and when that was.
  CREATE TABLE lane (
    lane_id  bigint PRIMARY KEY,
    apply_id bigint NOT NULL,
    used_ms  bigint NOT NULL
  ) WITH (fillfactor = 10);

  -- What a move leaves in the schema that it moved, and in the one that it made (store/move/move-mark.ts).
  CREATE TABLE move (
    one   int  PRIMARY KEY CHECK (one = 1),
    role  text NOT NULL,
    name  text NOT NULL,
    log   text NOT NULL,
    other text NOT NULL
  );
`;

/**
 * Makes the schema, or brings an older one up to date. One instance does it, the others wait for its lock and find it done;
 * all in one transaction, so that a crash leaves it as it was.
 *
 * @returns the secret under which events are hashed
 */
export async function prepareSchema(client: ClientBase, schema: string): Promise<Uint8Array> {
  await client.query('BEGIN');
  try {
    await client.query('SELECT pg_advisory_xact_lock($1::int, hashtext($2))', [SCHEMA_LOCK, schema]);
    const secret = await prepared(client, schema);
    await client.query('COMMIT');
    return secret;
  } catch (error) {
    // Where the connection is gone there is nothing to undo, and the first error is the one to tell.
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function prepared(client: ClientBase, schema: string): Promise<Uint8Array> {
  const tables = await client.query<{ name: string }>(
    'SELECT relname AS name FROM pg_class WHERE relnamespace = to_regnamespace($1)',
    [schema],
  );
  if (tables.rows.length === 0) return await made(client, schema);
  if (!tables.rows.some(({ name }) => name === 'about')) throw notOurs(schema);
  // Before anything is read: a schema that may not be used looks like one without tables.
  await refuseMissingRights(client, schema);
  const about = await client
    .query<{ product: string; format: number; secret: Buffer }>('SELECT product, format, secret FROM about')
    .catch((error: unknown) => {
      throw notOurs(schema, error);
    });
  const [row] = about.rows;
  if (row?.product !== PRODUCT) throw notOurs(schema);
  if (row.format > FORMAT) {
    throw new StoreError(
      'unusable',
      `the schema ${schema} has format ${row.format}, which a newer version wrote; this one knows ${FORMAT}: start the newer version`,
    );
  }
  await migrate(client, schema, row.format);
  return row.secret;
}

/** Rejects with a StoreError `unusable` where the tables, which are there, have not been brought up to date. */
export async function refuseOlderFormat(client: ClientBase, place: string): Promise<void> {
  const { rows } = await client.query<{ format: number }>('SELECT format FROM about');
  const format = rows[0]?.format;
  if (format === FORMAT) return;
  throw new StoreError(
    'unusable',
    `${place} has format ${format}, and this version reads ${FORMAT}: ` +
      (format !== undefined && format > FORMAT
        ? 'take the newer version'
        : 'start the service on it once, which brings it up to date'),
  );
}

/** What the user may not do with the schema and its tables, of all that is needed. */
const MISSING_RIGHTS = `
  SELECT 'USAGE on the schema' AS missing FROM pg_namespace
  WHERE nspname = $1 AND NOT has_schema_privilege(oid, 'USAGE')
  UNION ALL
  SELECT right_name || ' on ' || relname FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS right_name
  WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p') AND NOT has_table_privilege(pg_class.oid, right_name)
  LIMIT 1`;

async function refuseMissingRights(client: ClientBase, schema: string): Promise<void> {
  const { rows } = await client.query<{ missing: string }>(MISSING_RIGHTS, [schema]);
  const [first] = rows;
  if (first === undefined) return;
  throw new StoreError(
    'unusable',
    `the user lacks a right in the schema ${schema}: ${first.missing}; GRANT USAGE on it, and SELECT, INSERT, UPDATE and DELETE on all its tables, or let the user own them`,
  );
}

async function made(client: ClientBase, schema: string): Promise<Uint8Array> {
  const secret = randomBytes(16);
  const made = await client.query('SELECT FROM pg_namespace WHERE nspname = $1', [schema]);
  // With IF NOT EXISTS the server asks for the right to create, also of somebody who owns the schema that is there. The name
  // is checked (address.ts); CREATE takes no parameters.
  if (made.rowCount === 0) await client.query(`CREATE SCHEMA ${schema}`);
  await client.query(TABLES);
  await client.query('INSERT INTO about VALUES ($1, $2, $3)', [PRODUCT, 1, secret]);
  const epoch = randomBytes(8).toString('hex');
  await client.query('INSERT INTO head VALUES (1, 0, 0, 0, 0, 0, 1, $1)', [epoch]);
  await client.query('INSERT INTO settled VALUES (1, 0)');
  await client.query("INSERT INTO merging VALUES (1, 0, '', '-infinity')");
  await client.query('INSERT INTO last_group VALUES (1, 0)');
  await client.query('INSERT INTO epoch VALUES (1, $1, 0)', [epoch]);
  await migrate(client, schema, 1);
  return secret;
}

function notOurs(schema: string, cause?: unknown): StoreError {
  return new StoreError(
    'unusable',
    `the schema ${schema} holds tables of another program: name another one with ?schema= in the address; nothing was changed`,
    { cause },
  );
}
