import { compileTopicFilter, selectsAll } from '../topic-filter.ts';
import type { TopicFilter } from '../event-store.ts';
import { damaged } from '../errors.ts';
import { textArray } from './arrays.ts';
import type { Epochs } from './epochs.ts';
import { type Reading } from './sessions.ts';
import { unbroken } from './unbroken.ts';

const ABOVE = 'SELECT topic_id, name FROM topic WHERE topic_id > $1 ORDER BY topic_id';

/** The lock makes ids visible in their order, so that whoever has read up to one has read all below it. */
const MAKE = `
  WITH lock AS MATERIALIZED (SELECT pg_advisory_xact_lock('topic'::regclass::oid::int, 0))
  SELECT count(*) FROM lock`;
const INSERT = `
  INSERT INTO topic (topic_id, name)
  SELECT (SELECT coalesce(max(topic_id), 0) FROM topic) + row_number() OVER (), name
  FROM unnest($1::text[]) AS new (name) WHERE NOT EXISTS (SELECT FROM topic WHERE topic.name = new.name)`;

/**
 * The topics' names and ids, as far as they are known here. A topic keeps both for ever, and ids become visible in their
 * order, so what was read stays true and only what was added since is read.
 */
export class Topics {
  readonly #sessions: Reading;
  readonly #epochs: Pick<Epochs, 'newest' | 'still'>;
  readonly #idOf = new Map<string, number>();
  readonly #nameOf = new Map<number, string>();
  #lastId = 0;
  #generation = 0;
  /** In which epoch ids were given out that are still in use. */
  readonly #epochOf = new WeakMap<ReadonlySet<number>, string>();

  constructor(sessions: Reading, epochs: Pick<Epochs, 'newest' | 'still'>) {
    this.#sessions = sessions;
    this.#epochs = epochs;
  }

  /** The id of a topic that `make` was called for, without anything awaited since. */
  idOf(name: string): number {
    const id = this.#idOf.get(name);
    if (id === undefined) throw new Error(`the topic ${name} has no id here`);
    return id;
  }

  /** The name of the topic with this id, which must exist. */
  async nameOf(id: number): Promise<string> {
    if (!this.#nameOf.has(id)) await this.refresh();
    const name = this.#nameOf.get(id);
    if (name === undefined) throw damaged(`there is no topic with the id ${id}`);
    return name;
  }

  /** Makes ids for those of the names that have none, in a transaction of its own; afterwards all are known here. */
  async make(names: Iterable<string>): Promise<void> {
    const unknown = () => [...names].filter((name) => !this.#idOf.has(name));
    if (unknown().length === 0) return;
    await this.refresh();
    const missing = unknown();
    if (missing.length === 0) return;
    await this.#insert(missing);
    await this.refresh();
    // Where a session began meanwhile, all was forgotten.
    await this.make(names);
  }

  /** Reads the topics that were added since. */
  async refresh(): Promise<void> {
    const generation = this.#generation;
    const { rows } = await this.#sessions.read((client) =>
      client.query<{ topic_id: number; name: string }>({
        name: 'topics',
        text: ABOVE,
        values: [generation === this.#generation ? this.#lastId : 0],
      }),
    );
    // All was forgotten meanwhile: these rows may be only a part, or of another database.
    if (generation !== this.#generation) return this.refresh();
    for (const { topic_id: id, name } of rows) {
      this.#idOf.set(name, id);
      this.#nameOf.set(id, name);
      this.#lastId = Math.max(this.#lastId, id);
    }
  }

  /** Forgets all: a database that others have taken over may lack the newest, and give their ids to others. */
  forget(): void {
    this.#generation += 1;
    this.#idOf.clear();
    this.#nameOf.clear();
    this.#lastId = 0;
  }

  /**
   * The ids of the topics that the filter selects, or undefined if it selects every topic. What rests on them holds only if they
   * are `still` good once it was read or is about to be committed.
   */
  async of(filter: TopicFilter): Promise<ReadonlySet<number> | undefined> {
    const epoch = this.#epochs.newest;
    const ids = await this.#selected(filter);
    if (ids !== undefined) this.#epochOf.set(ids, epoch);
    return ids;
  }

  /** Throws where an epoch has begun since these were selected: they may be the ids of other topics in the session that has it. */
  still(ids: ReadonlySet<number> | undefined): void {
    if (ids !== undefined) this.#epochs.still(this.#epochOf.get(ids)!);
  }

  async #selected(filter: TopicFilter): Promise<ReadonlySet<number> | undefined> {
    const { topic } = filter;
    if (selectsAll(filter)) return undefined;
    const isMeant = compileTopicFilter(filter);
    if (topic !== undefined && !isMeant(topic)) return new Set();
    if (topic === undefined || !this.#idOf.has(topic)) await this.refresh();
    if (topic !== undefined) {
      const id = this.#idOf.get(topic);
      return new Set(id === undefined ? [] : [id]);
    }
    const ids = new Set<number>();
    for (const [name, id] of this.#idOf) if (isMeant(name)) ids.add(id);
    return ids;
  }

  async #insert(names: readonly string[]): Promise<void> {
    await this.#sessions.read(async (client) => {
      await client.query('BEGIN');
      try {
        await client.query(MAKE);
        await client.query(INSERT, [textArray(names)]);
        await unbroken(client, () => client.query('COMMIT'));
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {});
        throw error;
      }
    });
  }
}
