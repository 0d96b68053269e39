import type { ClientBase } from 'pg';
import type { EventBatch } from '../../event/event-batch.ts';
import { freeMemory } from '../../released-memory.ts';
import type { AuditStore } from '../audit-store.ts';
import { groupOf, resultsOf } from '../commit-group.ts';
import {
  type AppendResult,
  type Epoch,
  type EventPage,
  type EventStore,
  type ExpiredEvent,
  type PageQuery,
  type PlacedPage,
  type Snapshot,
  type SnapshotQuery,
  type StoreAbout,
  type StoreMessage,
  type StoreStats,
  type TopicFilter,
  type TopicSummary,
} from '../event-store.ts';
import type { GroupStore } from '../group-store.ts';
import { KeyHasher } from '../key-hash.ts';
import { refuseMarked } from '../move/move-mark.ts';
import type { News, NewsListener } from '../news.ts';
import { newsOf } from '../news-of-append.ts';
import type { RepeatStore } from '../repeat-store.ts';
import type { RetentionStore } from '../retention-store.ts';
import type { SourceStore } from '../source-store.ts';
import type { Tell } from '../tell.ts';
import { Watchers } from '../watchers.ts';
import { readAddress } from './address.ts';
import { AppendIds } from './append-ids.ts';
import { Calls } from './calls.ts';
import { Epochs } from './epochs.ts';
import { openErrorOf } from './errors.ts';
import { markIn } from './move-mark.ts';
import { type Ground, Parts, type PostgresOptions } from './parts.ts';
import { Policies } from './policies.ts';
import { refusePoolerOfTransactions } from './pooler.ts';
import { RecentKeys } from './recent-keys.ts';
import { prepareSchema } from './schema.ts';
import { GROUPS_AT_ONCE, type SessionStart, Sessions, ended } from './sessions.ts';

/** Smaller groups cost less to garbage-collect than to free. */
const FREED_BYTES_MIN = 4096;

/** For how long a close waits for what may be lost, such as a lease that is given back, milliseconds. */
const LEAVE_WITHIN_MS = 2_000;

/**
 * One log in a PostgreSQL database, for any number of instances, none of them special: what is exact, durable and failed
 * over is the database's. What is kept here can be lost: names of topics, blocks, how far the log is known to reach.
 */
export class PostgresStore implements EventStore {
  readonly #database: string;
  #version: string;
  readonly groupsAtOnce: number = GROUPS_AT_ONCE;
  readonly groups: GroupStore;
  readonly retention: RetentionStore;
  readonly repeats: RepeatStore;
  readonly sources: SourceStore;
  readonly audit: AuditStore;
  readonly #parts: Parts;
  readonly #sessions: Sessions;
  readonly #policies: Policies;
  readonly #epochs: Epochs;
  readonly #watchers = new Watchers<News>();
  readonly #epochWatchers = new Watchers<Epoch>();
  readonly #tell: Tell;
  readonly #calls = new Calls();
  #closing: Promise<void> | null = null;
  /** All commits up to here were told. */
  #lastOffset = 0;
  /** The end that was missed last, which is told once. */
  #missed = 0;

  private constructor(
    { database, version }: Place,
    ground: Ground,
    log: (message: StoreMessage) => void,
    options: PostgresOptions,
  ) {
    this.#database = database;
    this.#version = version;
    const tell: Tell = (fields, message, level = 'info') => log({ level, fields, message });
    this.#tell = tell;
    this.#sessions = ground.sessions;
    this.#policies = ground.policies;
    this.#epochs = ground.epochs;
    const parts = new Parts(ground, options, {
      tell,
      learn: (epochId) => this.#learn(epochId),
      reached: (lastOffset) => this.#reached(lastOffset),
    });
    this.#parts = parts;
    this.groups = this.#calls.groups(parts.groups);
    this.retention = this.#calls.retention(parts.retention);
    this.repeats = this.#calls.repeats(parts.repeats);
    this.sources = this.#calls.sources(parts.sources);
    this.audit = this.#calls.audit(parts.audit);
  }

  /** Opens the log, or makes it. Rejects with a StoreError `unusable` that says what to do. */
  static async open(
    given: string,
    log: (message: StoreMessage) => void = () => {},
    options: PostgresOptions = {},
  ): Promise<PostgresStore> {
    const address = readAddress(given);
    const ids = new AppendIds(options.rangeIds);
    const recent = new RecentKeys();
    const policies = new Policies((secret) => {
      // At once: nobody may go by the new version and by a key of before.
      recent.clear();
      hasher?.use(secret);
    });
    const epochs = new Epochs((epoch) => {
      if (opened !== undefined) opened.#begins(epoch);
    });
    let opened: PostgresStore | undefined;
    let hasher: KeyHasher | undefined;
    const sessions = new Sessions(address, {
      allowsLoss: options.allowsLoss ?? false,
      known: () =>
        opened === undefined
          ? { lastOffset: 0, epochId: 0, append: null }
          : {
              lastOffset: opened.#lastOffset,
              epochId: epochs.lastId,
              append: opened.#parts.appender.lastKept,
            },
      began: async (client, start) => {
        // Where the log has gone back, others may still draw from this range.
        if (start.heldUpTo === null) ids.add(start.ranges);
        await policies.load(client);
        if (opened !== undefined) await opened.#began(client, start);
      },
    });
    try {
      const client = await sessions.connect();
      try {
        await refusePoolerOfTransactions(client, () => sessions.connect());
        const { schema } = address;
        hasher = new KeyHasher(await prepareSchema(client, schema));
        refuseMarked(address.place, await markIn(client));
        await epochs.learn(client, 1);
        const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
        const place = { database: address.place, version: rows[0]!.server_version };
        const ground = { schema, sessions, ids, recent, policies, hasher, epochs };
        const store = new PostgresStore(place, ground, log, options);
        opened = store;
        await store.probe();
        store.#lastOffset = await store.#parts.end.look();
        await store.#parts.open();
        return store;
      } finally {
        await ended(client);
      }
    } catch (error) {
      // It may listen already, on a connection that would keep the process from ending.
      await left(sessions, async () => {
        if (opened !== undefined) await opened.#parts.hearing.close();
      });
      throw openErrorOf(address.place, error);
    }
  }

  get about(): StoreAbout {
    return { store: 'postgres', database: this.#database, storeVersion: this.#version };
  }

  get epochs(): readonly Epoch[] {
    return this.#epochs.list;
  }

  async append(batches: readonly EventBatch[]): Promise<AppendResult[]> {
    const group = groupOf(batches);
    this.#parts.watch.ownBegins();
    try {
      const results = resultsOf(batches, await this.#calls.make(() => this.#parts.appender.append(group)));
      const news = newsOf(batches, results);
      if (news !== null) {
        if (news.after === this.#lastOffset) this.#lastOffset = news.lastOffset;
        this.#watchers.tell(news);
        this.#parts.settling.appended();
        this.#parts.merging.appended();
      }
      return results;
    } finally {
      this.#parts.watch.ownEnds();
      if (group.bytes.buffer.byteLength >= FREED_BYTES_MIN) freeMemory(new Uint8Array(group.bytes.buffer));
    }
  }

  async probe(): Promise<void> {
    this.#parts.end.confirm(await this.#calls.make(() => this.#parts.probing.probe()));
  }

  snapshot(query: SnapshotQuery): Promise<Snapshot> {
    return this.#calls.make(() => this.#epochs.inOne(() => this.#parts.reader.snapshot(query)));
  }

  read(query: PageQuery): Promise<EventPage> {
    return this.#calls.make(() => this.#parts.reader.page(query));
  }

  readAt(offsets: Float64Array): Promise<PlacedPage> {
    return this.#calls.make(() => this.#parts.reader.pageAt(offsets));
  }

  countAt(offsets: Float64Array, filter: TopicFilter): Promise<number> {
    return this.#calls.make(() => this.#parts.reader.countAt(offsets, filter));
  }

  find(topic: string, eventId: string): Promise<string | ExpiredEvent | undefined> {
    const hash = this.#parts.hashOf(topic, eventId);
    return this.#calls.make(() =>
      this.#epochs.inOne(async () => {
        const offset = await this.#parts.reader.locate(hash);
        return offset === null ? undefined : this.#parts.reader.at(offset);
      }),
    );
  }

  topics(filter: TopicFilter = {}): Promise<TopicSummary[]> {
    return this.#calls.make(() => this.#epochs.inOne(() => this.#parts.reader.topics(filter)));
  }

  stats(): Promise<StoreStats> {
    return this.#calls.make(() => this.#parts.reader.stats());
  }

  watch(after: number, listener: NewsListener): () => void {
    if (this.#lastOffset > after) listener({ after, lastOffset: this.#lastOffset, events: null });
    return this.#watchers.add(listener);
  }

  watchEpochs(listener: (epoch: Epoch) => void): () => void {
    return this.#epochWatchers.add(listener);
  }

  /** Merges small blocks now, and not only in the background; unless another instance does. */
  merge(): Promise<void> {
    return this.#calls.make(() => this.#parts.merging.merge());
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#calls.close();
    await left(this.#sessions, () => this.#parts.close());
  }

  /** What a session sees before it is used. */
  async #began(client: ClientBase, start: SessionStart): Promise<void> {
    this.#parts.topics.forget();
    this.#parts.groups.forget();
    this.#version = start.version;
    await this.#epochs.learn(client, start.epochId);
    this.#parts.end.confirm(start.lastOffset);
    if (start.isNewEpoch) {
      this.#tell(
        { afterOffset: start.lastOffset },
        'the database was restored, promoted or copied: a new epoch begins after its end',
      );
    }
    const { known, heldUpTo: found } = start;
    if (found === null) return;
    await this.#epochs.missed(client, known.epochId, found);
    // Sessions begin side by side: another one has told it, too.
    if (known.lastOffset === this.#missed) return;
    this.#missed = known.lastOffset;
    this.#tell(
      { acknowledged: known.lastOffset, found },
      'the database has lost events that were acknowledged: a new epoch begins, as after a restore',
      'error',
    );
  }

  /** An epoch begins: what was known above its beginning is forgotten. */
  #begins(epoch: Epoch): void {
    const { afterOffset } = epoch;
    this.#lastOffset = Math.min(this.#lastOffset, afterOffset);
    if ((this.#parts.appender.lastKept?.firstOffset ?? 0) > afterOffset) this.#parts.appender.lastKept = null;
    // Again: what was read since its session began may be of the one before.
    this.#parts.topics.forget();
    this.#parts.reader.forget();
    this.#parts.expiries.forget();
    this.#parts.end.fall(afterOffset);
    this.#epochWatchers.tell(epoch);
  }

  /** Learns of epochs that others have begun. Says whether a newer one is known. */
  async #learn(epochId: number): Promise<boolean> {
    if (epochId <= this.#epochs.lastId) return epochId < this.#epochs.lastId;
    await this.#sessions.read(async (client) => {
      await this.#policies.load(client);
      await this.#epochs.learn(client, epochId);
    });
    this.#tell({ epoch: this.epochs.at(-1)!.name }, 'another instance has begun a new epoch');
    return epochId < this.#epochs.lastId;
  }

  #reached(lastOffset: number): void {
    if (lastOffset <= this.#lastOffset || this.#calls.isClosed) return;
    const after = this.#lastOffset;
    this.#lastOffset = lastOffset;
    this.#watchers.tell({ after, lastOffset, events: null });
  }
}

/** Closes what uses the sessions, and then these. Nobody waits for it, so a database that does not answer must not hold it up. */
async function left(sessions: Sessions, closeUsers: () => Promise<void>): Promise<void> {
  const cutting = setTimeout(() => sessions.cut(), LEAVE_WITHIN_MS);
  try {
    await closeUsers();
    await sessions.close();
  } finally {
    clearTimeout(cutting);
  }
}

interface Place {
  readonly database: string;
  /** The server's own. */
  readonly version: string;
}
