import { type ClientBase, DatabaseError } from 'pg';
import { textBytesByTopic } from '../blocks/block-directory.ts';
import { StoreError } from '../event-store.ts';
import { intArray, textArray } from './arrays.ts';
import { AUDIT_TABLES } from './audit/tables.ts';
import { NOTED_BY_PLACE, PACKED_HISTORIES, REPEAT_TABLES } from './repeats/tables.ts';

/** Events that groups passed over because they had expired. Instances of the format before go on: they leave it as it is. */
const EXPIRED_OF_GROUPS = 'ALTER TABLE event_group ADD COLUMN expired bigint NOT NULL DEFAULT 0';

/**
 * Retention. A column without a default keeps instances of the format before from appending and merging: they know nothing of
 * events without texts.
 *
 * A block that was rewritten has another `version`. `kept_topics` are the topics of which the block may have texts, `gone_topics`
 * those of which it may have ids without a text; null: any of its topics, as nobody has looked. So whoever lets go, or looks for the
 * first event that is kept, passes over whatever is done already. Of a merged block that names another one, only its own
 * columns count.
 */
const RETENTION = `
  CREATE TABLE policy (name text COLLATE "C" PRIMARY KEY, definition text NOT NULL);
  -- \`version\` counts the changes of policies, \`expiries\` how often events expired, \`forgotten\` ids; and who does the work of the
  -- policies, until when by the database's clock.
  CREATE TABLE retention (
    one       int         PRIMARY KEY CHECK (one = 1),
    version   bigint      NOT NULL,
    expiries  bigint      NOT NULL,
    forgotten bigint      NOT NULL,
    holder    text        NOT NULL,
    until     timestamptz NOT NULL
  ) WITH (fillfactor = 10);
  INSERT INTO retention VALUES (1, 0, 0, 0, '', '-infinity');

  -- \`events\` are all of them; of these \`expired\` and \`bare\` ones have no text. \`bytes\` are those of the texts that are kept.
  ALTER TABLE topic ADD COLUMN bytes bigint NOT NULL DEFAULT 0, ADD COLUMN expired bigint NOT NULL DEFAULT 0,
    ADD COLUMN bare bigint NOT NULL DEFAULT 0;
  -- Of each topic the bytes of its texts; 0 if its events are bare.
  ALTER TABLE log ADD COLUMN bytes int[] NOT NULL DEFAULT '{}';
  ALTER TABLE log ALTER COLUMN bytes DROP DEFAULT;

  ALTER TABLE block ADD COLUMN version int NOT NULL DEFAULT 0, ADD COLUMN kept_topics int[], ADD COLUMN gone_topics int[];
  ALTER TABLE merged_block ADD COLUMN version int NOT NULL DEFAULT 0, ADD COLUMN kept_topics int[], ADD COLUMN gone_topics int[];
  ALTER TABLE merged_block ALTER COLUMN version DROP DEFAULT;
  CREATE INDEX merged_block_kept ON merged_block (first_offset) WHERE kept_topics IS NULL OR kept_topics <> '{}';
  CREATE INDEX merged_block_gone ON merged_block (first_offset) WHERE gone_topics IS NULL OR gone_topics <> '{}';
  -- How often blocks were rewritten that are not merged yet.
  ALTER TABLE merging ADD COLUMN rewrites bigint NOT NULL DEFAULT 0;
  -- Keys lie in the order of their appends, but for the gaps that others left: a few bytes for a hundred pages find them.
  CREATE INDEX key_by_append ON key USING brin (append_id int8_minmax_multi_ops) WITH (autosummarize = on);

  -- What is let go of leaves dead rows, above all beside the tables, where their bytes are.
  ALTER TABLE block SET (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05);
  ALTER TABLE merged_block SET (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05);

  -- As \`settled\` lags behind, so would the counts that are made here.
  UPDATE topic SET events = topic.events + added.events, last_offset = added.last_offset
  FROM (
    SELECT one.topic_id, sum(one.count) AS events, max(log.first_offset + one.last) AS last_offset
    FROM log, unnest(log.topics, log.counts, log.lasts) AS one (topic_id, count, last)
    WHERE log.events > 0 AND log.first_offset > (SELECT last_offset FROM settled) GROUP BY one.topic_id
  ) AS added WHERE topic.topic_id = added.topic_id;
  UPDATE settled SET last_offset = (SELECT last_offset FROM head);
`;

/** In which form a webhook's events are sent; null: as they are read. Instances of the format before send them so in any case. */
const FORMAT_OF_WEBHOOKS = 'ALTER TABLE event_group ADD COLUMN push_format text';

/**
 * Webhooks that were paused on request; is_paused is 1 as well, so that instances of the format before also send nothing. If one of
 * them resumes it, the next pause after failures is told as one on request.
 */
const PAUSES_ON_REQUEST = 'ALTER TABLE event_group ADD COLUMN pause_asked int NOT NULL DEFAULT 0';

/** From where deliveries come (store/source-store.ts). Instances of the format before take none. */
const SOURCES = 'CREATE TABLE source (name text COLLATE "C" PRIMARY KEY, definition text NOT NULL)';

/**
 * What appends go by is of a version that stands in the row which each of them updates last (policies.ts). Instances of the format before
 * take no events.
 */
const VERSION_AT_HEAD = `
  ALTER TABLE head ADD COLUMN rules_version bigint NOT NULL DEFAULT 0;
  UPDATE head SET rules_version = (SELECT version FROM retention);
  ALTER TABLE retention DROP COLUMN version;
`;

/** Directories alone; texts stay where they are. */
const DIRECTORIES = 'DECLARE directories NO SCROLL CURSOR FOR SELECT directory FROM block UNION ALL SELECT directory FROM merged_block WHERE append_id IS NULL'; // prettier-ignore
const SOME = 'FETCH 200 FROM directories';
const BYTES = `
  UPDATE topic SET bytes = new.bytes FROM unnest($1::int[], $2::text[]::bigint[]) AS new (topic_id, bytes)
  WHERE topic.topic_id = new.topic_id`;

async function retention(client: ClientBase): Promise<void> {
  await client.query(RETENTION);
  const bytes = new Map<number, number>();
  await client.query(DIRECTORIES);
  for (;;) {
    const { rows } = await client.query<{ directory: Buffer }>(SOME);
    if (rows.length === 0) break;
    for (const { directory } of rows) {
      for (const [id, more] of textBytesByTopic(directory)) bytes.set(id, (bytes.get(id) ?? 0) + more);
    }
  }
  await client.query('CLOSE directories');
  await client.query(BYTES, [intArray([...bytes.keys()]), textArray([...bytes.values()].map(String))]);
}

/** The steps from each format to the next one. A released step never changes. */
const MIGRATIONS: readonly ((client: ClientBase) => Promise<unknown>)[] = [
  (client) => client.query(EXPIRED_OF_GROUPS),
  retention,
  (client) => client.query(FORMAT_OF_WEBHOOKS),
  (client) => client.query(REPEAT_TABLES),
  (client) => client.query(PAUSES_ON_REQUEST),
  (client) => client.query(SOURCES),
  (client) => client.query(NOTED_BY_PLACE),
  (client) => client.query(AUDIT_TABLES),
  (client) => client.query(PACKED_HISTORIES),
  (client) => client.query(VERSION_AT_HEAD),
];

/** What this program writes. */
export const FORMAT = 1 + MIGRATIONS.length;

/** A table is altered by its owner alone, which the user of an instance need not be. */
const MAY_NOT = '42501';

/** Brings the tables of that format up to date, in the caller's transaction. */
export async function migrate(client: ClientBase, schema: string, format: number): Promise<void> {
  if (format === FORMAT) return;
  try {
    for (const step of MIGRATIONS.slice(format - 1)) await step(client);
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== MAY_NOT) throw error;
    throw new StoreError(
      'unusable',
      `the schema ${schema} has format ${format}, and the user may not bring it to ${FORMAT}: start this version once as the owner of its tables; nothing was changed`,
      { cause: error },
    );
  }
  await client.query('UPDATE about SET format = $1', [FORMAT]);
}
