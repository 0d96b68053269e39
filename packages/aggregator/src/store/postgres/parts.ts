import type { Tell } from '../tell.ts';
import type { KeyHasher } from '../key-hash.ts';
import type { AppendIds } from './append-ids.ts';
import { Appender } from './append.ts';
import { PostgresAudit } from './audit/audit.ts';
import type { Epochs } from './epochs.ts';
import { Expiries } from './expiries.ts';
import { hashOf } from './group-keys.ts';
import { GroupWatch } from './groups/group-watch.ts';
import { PostgresGroups } from './groups/groups.ts';
import { Hearing } from './hearing.ts';
import { LogEnd } from './log-end.ts';
import { type MergeShape, Merging } from './merge.ts';
import type { Policies } from './policies.ts';
import { Probing } from './probing.ts';
import { Reader } from './read.ts';
import type { RecentKeys } from './recent-keys.ts';
import { PostgresRepeats } from './repeats/repeats.ts';
import { PostgresRetention } from './retention.ts';
import type { Sessions } from './sessions.ts';
import { Settling } from './settle.ts';
import { PostgresSources } from './sources.ts';
import { Topics } from './topics.ts';
import { type VacuumShape, Vacuuming } from './vacuum.ts';
import { Watch } from './watch.ts';

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

/** What the parts stand on. */
export interface Ground {
  readonly schema: string;
  readonly sessions: Sessions;
  readonly ids: AppendIds;
  readonly recent: RecentKeys;
  readonly policies: Policies;
  readonly hasher: KeyHasher;
  readonly epochs: Epochs;
}

/** What the parts tell their store. */
export interface PartsListener {
  readonly tell: Tell;
  /** An epoch with this number was seen. Resolves with whether a newer one is known. */
  readonly learn: (epochId: number) => Promise<boolean>;
  /** Another instance has committed up to here, or may have. */
  readonly reached: (lastOffset: number) => void;
}

/** The parts of a store, each made with those that it needs. Background work begins with `open`. */
export class Parts {
  readonly probing: Probing;
  readonly settling: Settling;
  readonly merging: Merging;
  readonly topics: Topics;
  readonly end: LogEnd;
  readonly reader: Reader;
  readonly appender: Appender;
  readonly hearing: Hearing;
  readonly expiries: Expiries;
  readonly groups: PostgresGroups;
  readonly retention: PostgresRetention;
  readonly repeats: PostgresRepeats;
  readonly sources: PostgresSources;
  readonly audit: PostgresAudit;
  readonly watch: Watch;
  readonly #hasher: KeyHasher;
  readonly #groupWatch: GroupWatch;
  readonly #vacuuming: Vacuuming;

  constructor(ground: Ground, options: PostgresOptions, { tell, learn, reached }: PartsListener) {
    const { schema, sessions, ids, recent, policies, hasher, epochs } = ground;
    const { now } = options;
    const hashOfNames = (topic: string, eventId: string) => this.hashOf(topic, eventId);
    const isAudited = () => this.audit.isOn;
    this.#hasher = hasher;
    this.probing = new Probing(sessions);
    this.settling = new Settling(sessions);
    const vacuuming = new Vacuuming(sessions, tell, options.vacuuming);
    this.#vacuuming = vacuuming;
    this.merging = new Merging(sessions, vacuuming, tell, options.merging);
    const topics = new Topics(sessions, epochs);
    this.topics = topics;
    const end = new LogEnd(
      sessions,
      () => this.probing.probe(),
      learn,
      (expiries, lastOffset) => this.expiries.looked(expiries, lastOffset),
    );
    this.end = end;
    const reader = new Reader(sessions, topics, end);
    this.reader = reader;
    const audit = new PostgresAudit({ sessions, reader, hashOf: hashOfNames, now });
    this.audit = audit;
    const channel = `${schema}_commits`;
    this.appender = new Appender({
      sessions,
      topics,
      hasher,
      recent,
      policies,
      channel,
      nextAppendId: (client) => ids.next(client),
      now,
      confirmed: (lastOffset) => end.confirm(lastOffset),
      noted: (repeats) => this.repeats.noted(repeats),
      isAudited,
      probing: this.probing,
    });
    const hearing = new Hearing(sessions, tell);
    this.hearing = hearing;
    this.#groupWatch = new GroupWatch({
      hearing,
      channel: `${schema}_groups`,
      sessions,
      told: (news) => this.groups.heard(news),
    });
    this.groups = new PostgresGroups({
      sessions,
      reader,
      nextApplyId: (client) => ids.next(client),
      now,
      isAudited,
      others: this.#groupWatch,
    });
    this.expiries = new Expiries(hearing, `${schema}_expiries`);
    this.retention = new PostgresRetention({
      sessions,
      topics,
      epochs,
      expiries: this.expiries,
      vacuuming,
      audit,
      hashOf: hashOfNames,
      now,
    });
    this.sources = new PostgresSources(sessions, audit);
    this.repeats = new PostgresRepeats({
      sessions,
      topics,
      epochs,
      reader,
      end,
      vacuuming,
      hashOf: hashOfNames,
    });
    this.watch = new Watch({ hearing, channel, end, epochId: () => epochs.lastId, told: reached });
  }

  /** Begins to hear of others, and to work in the background. */
  async open(): Promise<void> {
    await this.watch.open();
    this.merging.open();
    this.#groupWatch.open();
  }

  /** Resolves when nothing works any more; the sessions are left open. */
  async close(): Promise<void> {
    await this.watch.close();
    await this.retention.close();
    await this.#vacuuming.close();
    await this.#groupWatch.close();
    await this.groups.close();
    await this.hearing.close();
    await this.settling.close();
    await this.repeats.close();
    await this.merging.close();
  }

  /** The identity of the event. */
  hashOf(topic: string, eventId: string): Buffer {
    this.#hasher.hashNames(topic, eventId);
    return hashOf(this.#hasher);
  }
}
