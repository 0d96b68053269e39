import type { ClientBase } from 'pg';
import type { EventBatch } from '../../event/event-batch.ts';
import { freeMemory } from '../../released-memory.ts';
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
import type { AuditStore } from '../audit-store.ts';
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
import { type Address, readAddress } from './address.ts';
import { AppendIds } from './append-ids.ts';
import { Appender } from './append.ts';
import { PostgresAudit } from './audit/audit.ts';
import { Calls } from './calls.ts';
import { Epochs } from './epochs.ts';
import { openErrorOf } from './errors.ts';
import { Expiries } from './expiries.ts';
import { GroupWatch } from './groups/group-watch.ts';
import { hashOf } from './group-keys.ts';
import { PostgresGroups } from './groups/groups.ts';
import { Hearing } from './hearing.ts';
import { LogEnd } from './log-end.ts';
import { type MergeShape, Merging } from './merge.ts';
import { markIn } from './move-mark.ts';
import { Policies } from './policies.ts';
import { refusePoolerOfTransactions } from './pooler.ts';
import { Probing } from './probing.ts';
import { Reader } from './read.ts';
import { RecentKeys } from './recent-keys.ts';
import { PostgresRepeats } from './repeats/repeats.ts';
import { PostgresRetention } from './retention.ts';
import { PostgresSources } from './sources.ts';
import { prepareSchema } from './schema.ts';
import { GROUPS_AT_ONCE, type SessionStart, Sessions } from './sessions.ts';
import { Settling } from './settle.ts';
import { Topics } from './topics.ts';
import { type VacuumShape, Vacuuming } from './vacuum.ts';
import { Watch } from './watch.ts';

/** Smaller groups cost less to garbage-collect than to free. */
const FREED_BYTES_MIN = 4096;

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
  readonly #repeats: PostgresRepeats;
  readonly #retention: PostgresRetention;
  readonly #expiries: Expiries;
  readonly #vacuuming: Vacuuming;
  readonly #groups: PostgresGroups;
  readonly #hearing: Hearing;
  readonly #groupWatch: GroupWatch;
  readonly #sessions: Sessions;
  readonly #hasher: KeyHasher;
  readonly #policies: Policies;
  readonly #probing: Probing;
  readonly #appender: Appender;
  readonly #end: LogEnd;
  readonly #reader: Reader;
  readonly #watch: Watch;
  readonly #settling: Settling;
  readonly #merging: Merging;
  readonly #topics: Topics;
  readonly #watchers = new Watchers<News>();
  readonly #epochs: Epochs;
  readonly #epochWatchers = new Watchers<Epoch>();
  readonly #tell: Tell;
  readonly #calls = new Calls();
  #closing: Promise<void> | null = null;
  /** All commits up to here were told. */
  #lastOffset = 0;
  /** The end that was missed last, which is told once. */
  #missed = 0;

  private constructor(parts: Parts, log: (message: StoreMessage) => void, options: PostgresOptions) {
    const { address, sessions, ids, version, secret, epochs } = parts;
    this.#database = address.place;
    this.#version = version;
    const tell: Tell = (fields, message, level = 'info') => log({ level, fields, message });
    this.#tell = tell;
    this.#sessions = sessions;
    this.#probing = new Probing(sessions);
    this.#settling = new Settling(sessions);
    this.#vacuuming = new Vacuuming(sessions, tell, options.vacuuming);
    this.#merging = new Merging(sessions, this.#vacuuming, tell, options.merging);
    this.#epochs = epochs;
    this.#hasher = new KeyHasher(secret);
    this.#policies = parts.policies;
    const topics = new Topics(sessions);
    this.#topics = topics;
    const end = new LogEnd(
      sessions,
      () => this.#probing.probe(),
      (epochId) => this.#learn(epochId),
      (expiries, lastOffset) => this.#expiries.looked(expiries, lastOffset),
    );
    this.#end = end;
    this.#reader = new Reader(sessions, topics, end);
    const hashOfNames = (topic: string, eventId: string) => this.#hashOf(topic, eventId);
    const audit = new PostgresAudit({
      sessions,
      reader: this.#reader,
      hashOf: hashOfNames,
      now: options.now,
    });
    this.audit = this.#calls.audit(audit);
    const channel = `${address.schema}_commits`;
    this.#appender = new Appender({
      sessions,
      topics,
      hasher: this.#hasher,
      recent: parts.recent,
      policies: parts.policies,
      channel,
      nextAppendId: (client) => ids.next(client),
      now: options.now,
      confirmed: (lastOffset) => end.confirm(lastOffset),
      noted: (repeats) => this.#repeats.noted(repeats),
      isAudited: () => audit.isOn,
      probing: this.#probing,
    });
    this.#hearing = new Hearing(sessions, tell);
    this.#groupWatch = new GroupWatch({
      hearing: this.#hearing,
      channel: `${address.schema}_groups`,
      sessions,
      told: (news) => this.#groups.heard(news),
    });
    this.#groups = new PostgresGroups({
      sessions,
      reader: this.#reader,
      nextApplyId: (client) => ids.next(client),
      now: options.now,
      isAudited: () => audit.isOn,
      others: this.#groupWatch,
    });
    this.groups = this.#calls.groups(this.#groups);
    this.#expiries = new Expiries(this.#hearing, `${address.schema}_expiries`);
    const retention = new PostgresRetention({
      sessions,
      topics,
      expiries: this.#expiries,
      vacuuming: this.#vacuuming,
      audit,
      hashOf: hashOfNames,
      now: options.now,
    });
    this.#retention = retention;
    this.retention = this.#calls.retention(retention);
    this.sources = this.#calls.sources(new PostgresSources(sessions, audit));
    const repeats = new PostgresRepeats({
      sessions,
      topics,
      reader: this.#reader,
      end,
      vacuuming: this.#vacuuming,
      hashOf: hashOfNames,
    });
    this.#repeats = repeats;
    this.repeats = this.#calls.repeats(repeats);
    this.#watch = new Watch({
      hearing: this.#hearing,
      channel,
      end,
      epochId: () => epochs.lastId,
      told: (lastOffset) => this.#reached(lastOffset),
    });
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
      if (opened !== undefined) opened.#hasher.use(secret);
    });
    const epochs = new Epochs((epoch) => {
      if (opened !== undefined) opened.#begins(epoch);
    });
    let opened: PostgresStore | undefined;
    const sessions = new Sessions(address, {
      allowsLoss: options.allowsLoss ?? false,
      known: () =>
        opened === undefined
          ? { lastOffset: 0, epochId: 0, append: null }
          : {
              lastOffset: opened.#lastOffset,
              epochId: epochs.lastId,
              append: opened.#appender.lastKept,
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
        const secret = await prepareSchema(client, address.schema);
        refuseMarked(address.place, await markIn(client));
        await epochs.learn(client, 1);
        const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
        const version = rows[0]!.server_version;
        const parts = { address, sessions, ids, recent, policies, secret, epochs, version };
        const store = new PostgresStore(parts, log, options);
        opened = store;
        await store.probe();
        store.#lastOffset = await store.#end.look();
        await store.#watch.open();
        store.#merging.open();
        store.#groupWatch.open();
        return store;
      } finally {
        await client.end();
      }
    } catch (error) {
      // It may listen already, on a connection that would keep the process from ending.
      if (opened !== undefined) await opened.#hearing.close();
      await sessions.close();
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
    this.#watch.ownBegins();
    try {
      const results = resultsOf(batches, await this.#calls.make(() => this.#appender.append(group)));
      const news = newsOf(batches, results);
      if (news !== null) {
        if (news.after === this.#lastOffset) this.#lastOffset = news.lastOffset;
        this.#watchers.tell(news);
        this.#settling.appended();
        this.#merging.appended();
      }
      return results;
    } finally {
      this.#watch.ownEnds();
      if (group.bytes.buffer.byteLength >= FREED_BYTES_MIN) freeMemory(new Uint8Array(group.bytes.buffer));
    }
  }

  async probe(): Promise<void> {
    this.#end.confirm(await this.#calls.make(() => this.#probing.probe()));
  }

  snapshot(query: SnapshotQuery): Promise<Snapshot> {
    return this.#calls.make(() => this.#reader.snapshot(query));
  }

  read(query: PageQuery): Promise<EventPage> {
    return this.#calls.make(() => this.#reader.page(query));
  }

  readAt(offsets: Float64Array): Promise<PlacedPage> {
    return this.#calls.make(() => this.#reader.pageAt(offsets));
  }

  countAt(offsets: Float64Array, filter: TopicFilter): Promise<number> {
    return this.#calls.make(() => this.#reader.countAt(offsets, filter));
  }

  find(topic: string, eventId: string): Promise<string | ExpiredEvent | undefined> {
    const hash = this.#hashOf(topic, eventId);
    return this.#calls.make(async () => {
      const offset = await this.#reader.locate(hash);
      return offset === null ? undefined : this.#reader.at(offset);
    });
  }

  topics(filter: TopicFilter = {}): Promise<TopicSummary[]> {
    return this.#calls.make(() => this.#reader.topics(filter));
  }

  stats(): Promise<StoreStats> {
    return this.#calls.make(() => this.#reader.stats());
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
    return this.#calls.make(() => this.#merging.merge());
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#calls.close();
    await this.#watch.close();
    await this.#retention.close();
    await this.#vacuuming.close();
    await this.#groupWatch.close();
    await this.#groups.close();
    await this.#hearing.close();
    await this.#settling.close();
    await this.#repeats.close();
    await this.#merging.close();
    await this.#sessions.close();
  }

  /** What a session sees before it is used. */
  async #began(client: ClientBase, start: SessionStart): Promise<void> {
    this.#topics.forget();
    this.#groups.forget();
    this.#version = start.version;
    await this.#epochs.learn(client, start.epochId);
    this.#end.confirm(start.lastOffset);
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
    if ((this.#appender.lastKept?.firstOffset ?? 0) > afterOffset) this.#appender.lastKept = null;
    this.#reader.forget();
    this.#expiries.forget();
    this.#end.fall(afterOffset);
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

  /** The identity of the event. */
  #hashOf(topic: string, eventId: string): Buffer {
    this.#hasher.hashNames(topic, eventId);
    return hashOf(this.#hasher);
  }
}

export interface PostgresOptions {
  /** A clock for tests, milliseconds since 1970, in place of the database's. */
  readonly now?: (() => number) | undefined;
  /** Whether to take a server that could lose what it confirmed. For tests that are about something else. */
  readonly allowsLoss?: boolean;
  /** How many ids of appends a range has; few for tests. */
  readonly rangeIds?: number;
  /** Other sizes of merging, for tests. */
  readonly merging?: Partial<MergeShape>;
  /** Other bounds of vacuuming, for tests. */
  readonly vacuuming?: Partial<VacuumShape>;
}

interface Parts {
  readonly address: Address;
  readonly sessions: Sessions;
  readonly ids: AppendIds;
  readonly recent: RecentKeys;
  readonly policies: Policies;
  readonly version: string;
  readonly secret: Uint8Array;
  readonly epochs: Epochs;
}
