import { callErrorOf } from './errors.ts';
import { type Sessions, answered, using } from './sessions.ts';

/** After so many appends that were made here, the counts of topics are brought up to date. */
const APPENDS = 256;

/**
 * Adds what the log tells above `settled` to the topics' rows. Whoever finds the row of `settled` locked leaves it to the
 * other; those who let go of texts hold it, too, while they count (rewriting.ts). That row may be newer than the statement's
 * view of the log, which then has nothing to add.
 */
const SETTLE = `
  WITH turn AS MATERIALIZED (
    SELECT last_offset FROM settled FOR UPDATE SKIP LOCKED
  ), log_end AS MATERIALIZED (
    SELECT head.last_offset FROM head, turn WHERE head.last_offset > turn.last_offset
  ), added AS MATERIALIZED (
    SELECT one.topic_id, sum(one.count) AS events, max(log.first_offset + one.last) AS last_offset, sum(one.bytes) AS bytes,
      coalesce(sum(one.count) FILTER (WHERE one.bytes = 0), 0) AS bare
    FROM turn, log_end, log, unnest(log.topics, log.counts, log.lasts, log.bytes) AS one (topic_id, count, last, bytes)
    WHERE log.events > 0 AND log.first_offset > turn.last_offset AND log.first_offset <= log_end.last_offset
    GROUP BY one.topic_id
  ), counted AS (
    UPDATE topic SET events = topic.events + added.events, last_offset = added.last_offset,
      bytes = topic.bytes + added.bytes, bare = topic.bare + added.bare
    FROM added WHERE topic.topic_id = added.topic_id
    RETURNING 1
  )
  UPDATE settled SET last_offset = log_end.last_offset
  FROM log_end WHERE (SELECT count(*) FROM counted) >= 0`;

/**
 * Keeps the counts of topics from lagging far behind the log: a reader of them adds up the rows of the log that they lack. In:
 * each append that was made here. One settling at a time; what fails is done by the next one, here or elsewhere.
 */
export class Settling {
  readonly #sessions: Sessions;
  #appends = 0;
  #settling: Promise<void> | null = null;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  appended(): void {
    this.#appends += 1;
    if (this.#appends < APPENDS || this.#settling !== null) return;
    this.#appends = 0;
    this.#settling = this.settle()
      // Whoever appends or reads reports that the database does not answer.
      .catch(() => {})
      .finally(() => (this.#settling = null));
  }

  async settle(): Promise<void> {
    try {
      await using(this.#sessions.readers, (client) =>
        answered(client, () => client.query({ name: 'settle', text: SETTLE })),
      );
    } catch (error) {
      throw callErrorOf(error);
    }
  }

  async close(): Promise<void> {
    await this.#settling;
  }
}
