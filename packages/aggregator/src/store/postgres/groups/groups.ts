import type { ClientBase } from 'pg';
import type { GroupNews, GroupNewsListener } from '../../group-news.ts';
import type { GroupStore, OutcomesOf, Step } from '../../group-store.ts';
import { TableSteps } from '../../groups/group-steps.ts';
import { newsOfSteps } from '../../news-of-steps.ts';
import { Watchers } from '../../watchers.ts';
import { StaleError } from '../errors.ts';
import { PATIENCE_MS, patiently } from '../patience.ts';
import type { Reader } from '../read.ts';
import { type Sessions, answered, using } from '../sessions.ts';
import { unbroken } from '../unbroken.ts';
import { Answers } from './answers.ts';
import type { GroupWatch } from './group-watch.ts';
import { HandTable } from './hand-table.ts';
import { HandsOfGroups } from './kept-hands.ts';
import { Lanes } from './lanes.ts';
import { type Meant, load, meantBy } from './load.ts';
import { questionsTo } from './questions.ts';
import { savingOf } from './save.ts';
import { type Loaded, LoadedTables } from './tables.ts';

/**
 * The steps of groups in the database. In: steps, many at once. Out: their outcomes after the commit, and news of them, first to
 * the listeners here, then to the other instances.
 *
 * An apply takes two round trips: one that locks and loads what the steps are about (load.ts), and one that writes what they
 * changed and commits (save.ts). In between the steps are done in memory, by the code that all stores on a disk share, at the
 * database's time after the locks were granted. Where a step asks for what is not loaded, all are done again (answers.ts).
 *
 * An apply is *in doubt* where the answer to its commit does not come. It holds the row of its lane, which the commit marks with
 * its id: the next try waits for that row, and then finds the mark, so that the outcomes stand, or does not find it, and
 * then it never will: whoever could still commit it would hold the row.
 *
 * What is kept of groups here is a hint with a proof (kept-hands.ts); it is forgotten when an apply fails and when a session
 * begins.
 */
export class PostgresGroups implements GroupStore {
  readonly #sessions: Sessions;
  readonly #reader: Reader;
  readonly #lanes: Lanes;
  readonly #nextApplyId: (client: ClientBase) => Promise<number>;
  readonly #now: (() => number) | undefined;
  readonly #isAudited: () => boolean;
  readonly #hands = new HandsOfGroups();
  readonly #watchers = new Watchers<GroupNews>();
  readonly #others: Others;

  /** @param now the clock of tests; without one it is the database's */
  constructor(parts: {
    sessions: Sessions;
    reader: Reader;
    nextApplyId: (client: ClientBase) => Promise<number>;
    now: (() => number) | undefined;
    /** Whether what becomes of events is written into the audit trail. */
    isAudited: () => boolean;
    others: Others;
  }) {
    this.#sessions = parts.sessions;
    this.#reader = parts.reader;
    this.#nextApplyId = parts.nextApplyId;
    this.#now = parts.now;
    this.#isAudited = parts.isAudited;
    this.#others = parts.others;
    this.#lanes = new Lanes(parts.nextApplyId);
  }

  async apply<const S extends readonly Step[]>(steps: S): Promise<OutcomesOf<S>> {
    const meant = meantBy(steps);
    if (meant.isReading) {
      return patiently(() => this.#read(steps, meant), { patienceMs: PATIENCE_MS, isInDoubt: () => false });
    }
    const lane = this.#lanes.take();
    const apply: Apply<S> = { steps, meant, lane, id: null, inDoubt: null, wrote: [] };
    let isDone = false;
    try {
      const outcomes = await patiently(() => this.#tried(apply), {
        patienceMs: PATIENCE_MS,
        isInDoubt: () => apply.inDoubt !== null,
      });
      isDone = true;
      const news = newsOfSteps(steps, outcomes);
      for (const one of news) this.#watchers.tell(one);
      if (news.length > 0) this.#others.tell(news);
      return outcomes;
    } finally {
      this.#lanes.giveBack(lane);
      const idsOf = (removed: boolean): number[] =>
        apply.wrote.flatMap(({ id, isRemoved }) => (isDone && isRemoved === removed ? [id] : []));
      if (apply.id !== null) this.#others.ends(apply.id, idsOf(false), idsOf(true));
    }
  }

  watch(listener: GroupNewsListener): () => void {
    return this.#watchers.add(listener);
  }

  /** News of another instance. */
  heard(news: readonly GroupNews[]): void {
    for (const one of news) this.#watchers.tell(one);
  }

  /** Another session has begun: another server may be there, which lacks what is kept here. */
  forget(): void {
    this.#hands.forgetAll();
  }

  /** When no apply is under way any more. */
  async close(): Promise<void> {
    // What stays behind is swept up by the next instance that closes.
    await using(this.#sessions.groups, (client) => answered(client, () => this.#lanes.sweep(client))).catch(
      () => {},
    );
  }

  /** Does steps that change nothing, on one snapshot. */
  #read<S extends readonly Step[]>(steps: S, meant: Meant): Promise<OutcomesOf<S>> {
    return this.#inTransaction(meant, async (client) => {
      const loaded = await load(client, meant, this.#hands.kept, null);
      const kept = new Map(
        [...loaded.hands].map(([id, hands]) => [id, { hands, known: this.#hands.kept.get(id) }]),
      );
      const { outcomes } = await this.#done(client, loaded, steps, () => {
        for (const [id, { hands, known }] of kept) {
          if (known?.hands === hands && this.#hands.kept.get(id) !== known) {
            throw new StaleError('hands that were kept have changed');
          }
        }
      });
      await client.query('COMMIT');
      for (const [id, { version }] of loaded.rows) {
        if (!this.#hands.kept.has(id)) this.#hands.keep(id, version, loaded.hands.get(id)!);
      }
      return outcomes;
    });
  }

  #tried<S extends readonly Step[]>(apply: Apply<S>): Promise<OutcomesOf<S>> {
    const { meant, lane, steps } = apply;
    return this.#inTransaction(meant, async (client) => {
      const id = (apply.id ??= await this.#nextApplyId(client));
      await lane.make(client);
      const loaded = await load(client, meant, this.#hands.kept, lane.id);
      if (loaded.applyId === null) {
        lane.isLost();
        throw new StaleError('the row of the lane is gone');
      }
      if (loaded.applyId === id && apply.inDoubt !== null) {
        await client.query('ROLLBACK');
        return apply.inDoubt;
      }
      const { outcomes, tables } = await this.#done(client, loaded, steps);
      const changed = tables.changed();
      // What others did is told only behind a commit of one's own: its standby may lack theirs.
      const isTold = loaded.awaitsStandby && steps.some(([name]) => name !== 'take');
      if (changed.length === 0 && !isTold) {
        await client.query('ROLLBACK');
      } else {
        apply.inDoubt = outcomes;
        apply.wrote = changed.map(({ row, isRemoved }) => ({ id: row.group_id, isRemoved }));
        this.#others.begins(id);
        const atMs = this.#now?.() ?? loaded.nowMs;
        const text = [
          ...savingOf(tables, { lane: lane.id, applyId: id, nowMs: loaded.nowMs, atMs }),
          'COMMIT',
        ].join(';\n');
        await unbroken(client, () => client.query(text));
      }
      for (const [group, { version }] of loaded.rows)
        this.#hands.keep(group, version, loaded.hands.get(group)!);
      for (const { row, hands, isRemoved } of changed) {
        if (isRemoved) this.#hands.forget([row.group_id]);
        else this.#hands.keep(row.group_id, id, hands.commit());
      }
      return outcomes;
    });
  }

  /** Lends a session; where the work fails, the transaction is undone, and what is kept of its groups is forgotten. */
  #inTransaction<T>({ ids, isAll, names }: Meant, work: (client: ClientBase) => Promise<T>): Promise<T> {
    return using(this.#sessions.groups, (client) =>
      answered(client, async () => {
        try {
          return await work(client);
        } catch (error) {
          if (isAll || names.length > 0) this.#hands.forgetAll();
          else this.#hands.forget(ids);
          // Where the connection is gone there is nothing to undo, and the first error is the one to tell.
          await client.query('ROLLBACK').catch(() => {});
          throw error;
        }
      }),
    );
  }

  /** Does the steps on what was loaded. */
  async #done<S extends readonly Step[]>(
    client: ClientBase,
    loaded: Loaded,
    steps: S,
    before: () => void = () => {},
  ): Promise<{ outcomes: OutcomesOf<S>; tables: LoadedTables }> {
    const nowMs = this.#now?.() ?? loaded.nowMs;
    const answers = new Answers();
    const questions = questionsTo(client, this.#reader, loaded.lastOffset);
    return answers.complete(() => {
      before();
      const tables = new LoadedTables(
        loaded,
        { answers, questions },
        () => new HandTable(),
        this.#isAudited(),
      );
      return { outcomes: new TableSteps(tables).apply(nowMs, steps), tables };
    });
  }
}

/** The other instances. */
type Others = Pick<GroupWatch, 'tell' | 'begins' | 'ends'>;

/** An apply, over all its tries. */
interface Apply<S extends readonly Step[]> {
  readonly steps: S;
  readonly meant: Meant;
  readonly lane: ReturnType<Lanes['take']>;
  id: number | null;
  /** The outcomes of the last try whose commit was sent. */
  inDoubt: OutcomesOf<S> | null;
  /** The groups that it wrote or removed. */
  wrote: readonly { readonly id: number; readonly isRemoved: boolean }[];
}
