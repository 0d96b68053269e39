import { randomUUID } from 'node:crypto';
import type { ClientBase } from 'pg';
import { noteOf } from '../audit-store.ts';
import type {
  Due,
  DueQuery,
  Erased,
  ExpireQuery,
  ExpiredSome,
  Expiry,
  ForgetQuery,
  ForgottenSome,
  Policy,
  PutPolicy,
  RetentionStore,
} from '../retention-store.ts';
import type { PostgresAudit } from './audit/audit.ts';
import type { Part } from './block-reader.ts';
import type { Epochs } from './epochs.ts';
import type { Expiries } from './expiries.ts';
import { forgetOne, forgetSome } from './forgetting.ts';
import { keptIn } from './kept.ts';
import { listPolicies, putPolicy, removePolicy } from './policies.ts';
import { type Gone, Rewriting } from './rewriting.ts';
import { type Sessions, using } from './sessions.ts';
import type { Topics } from './topics.ts';
import { transaction } from './transaction.ts';
import type { Vacuuming } from './vacuum.ts';

/** A step ends with the block that brings it to so many texts, or bytes of them, or blocks. */
const STEP_EVENTS_MAX = 8192;
const STEP_BYTES_MAX = 2 * 1024 * 1024;
const STEP_BLOCKS_MAX = 256;

/** How long an instance that has stopped keeps others from the policies' work. */
const LEASE_SECONDS = 30;

const CLAIM = `
  UPDATE retention SET holder = $1::text, until = clock_timestamp() + $2::int * interval '1 second'
  WHERE holder = $1::text OR until <= clock_timestamp()`;
const NOW = 'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms';
const RELEASE = "UPDATE retention SET until = '-infinity' WHERE holder = $1::text";

const LOCATE = `
  SELECT append_id, place, log.first_offset + place AS "offset", received_ms FROM key JOIN log USING (append_id)
  WHERE hash = $1::uuid`;

/**
 * How many instances on one database let go. In: what is to go. Out: blocks without those texts, in transactions that are
 * short (rewriting.ts); keys that are deleted (forgetting.ts); and the news of it (expiries.ts).
 *
 * An instance may be asked for any step at any time: steps of several instances come one after another, and each does what
 * the others have left.
 */
export class PostgresRetention implements RetentionStore {
  readonly #sessions: Sessions;
  readonly #topics: Topics;
  readonly #epochs: Epochs;
  readonly #expiries: Expiries;
  readonly #vacuuming: Vacuuming;
  readonly #audit: PostgresAudit;
  /** The identity of an event. */
  readonly #hashOf: (topic: string, eventId: string) => Buffer;
  readonly #now: (() => number) | undefined;
  readonly #holder = randomUUID();
  #hasClaimed = false;

  constructor(parts: {
    sessions: Sessions;
    topics: Topics;
    epochs: Epochs;
    expiries: Expiries;
    vacuuming: Vacuuming;
    audit: PostgresAudit;
    hashOf: (topic: string, eventId: string) => Buffer;
    /** The clock of tests; without one it is the database's. */
    now: (() => number) | undefined;
  }) {
    this.#sessions = parts.sessions;
    this.#topics = parts.topics;
    this.#epochs = parts.epochs;
    this.#expiries = parts.expiries;
    this.#vacuuming = parts.vacuuming;
    this.#audit = parts.audit;
    this.#hashOf = parts.hashOf;
    this.#now = parts.now;
  }

  policies(): Promise<readonly Policy[]> {
    return this.#sessions.read(listPolicies);
  }

  put(policy: Policy, by: string | null = null): Promise<PutPolicy> {
    return transaction(this.#sessions, async (client) => {
      const outcome = await putPolicy(client, policy);
      if (outcome.kind === 'created' || outcome.kind === 'changed')
        await this.#audit.noteWithin(client, [noteOf('policy_set', by, { policy: policy.name })]);
      return outcome;
    });
  }

  remove(name: string, by: string | null = null): Promise<boolean> {
    return transaction(this.#sessions, async (client) => {
      const isRemoved = await removePolicy(client, name);
      if (isRemoved) await this.#audit.noteWithin(client, [noteOf('policy_deleted', by, { policy: name })]);
      return isRemoved;
    });
  }

  async claim(): Promise<boolean> {
    const values = [this.#holder, LEASE_SECONDS];
    const { rowCount } = await this.#sessions.read((client) =>
      client.query({ name: 'claim', text: CLAIM, values }),
    );
    this.#hasClaimed = rowCount === 1;
    return this.#hasClaimed;
  }

  async now(): Promise<number> {
    if (this.#now !== undefined) return this.#now();
    const { rows } = await this.#sessions.read((client) => client.query<{ now_ms: string }>(NOW));
    return Number(rows[0]!.now_ms);
  }

  async due(query: DueQuery): Promise<Due> {
    const topicIds = await this.#topics.of(query);
    return this.#sessions.read(async (client) => {
      // One view of it all: what another instance lets go of meanwhile would be due twice.
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      try {
        const due = await dueIn(client, query, topicIds);
        this.#topics.still(topicIds);
        return due;
      } finally {
        await client.query('ROLLBACK');
      }
    });
  }

  async expire({ upTo, epoch, ...filter }: ExpireQuery): Promise<ExpiredSome> {
    const topicIds = await this.#topics.of(filter);
    if (topicIds?.size === 0) return { events: 0, bytes: 0, isDone: true };
    const done = await Rewriting.transaction(this.#sessions, async (rewriting) => {
      this.#topics.still(topicIds);
      if (epoch !== undefined) this.#epochs.still(epoch);
      const { parts, isDone } = await firstParts(rewriting, upTo, topicIds);
      const gone = await rewriting.expire(
        parts,
        ({ block, last }, i) => block.firstOffset + i <= last && (topicIds?.has(block.topicId(i)) ?? true),
      );
      return { ...gone, isDone, number: await this.#numbered(rewriting, gone), parts };
    });
    const { events, bytes, isDone, number, parts } = done;
    if (events > 0) {
      await this.#expiries.made(number, { from: parts[0]!.block.firstOffset, upTo: parts.at(-1)!.last });
      this.#vacuuming.expired(bytes, isDone);
    }
    return { events, bytes, isDone };
  }

  async erase(topic: string, eventId: string, isForgotten: boolean): Promise<Erased | null> {
    const hash = this.#hashOf(topic, eventId).toString('hex');
    // Of a try whose commit was answered by nobody.
    let before: Erased | null = null;
    const erased = await Rewriting.transaction(this.#sessions, async (rewriting) => {
      const { rows } = await rewriting.client.query<LocatedRow>({
        name: 'locate key',
        text: LOCATE,
        values: [hash],
      });
      const [key] = rows;
      const offset = Number(key?.offset);
      // Once that try has forgotten the id it may be that of an event by now that was published again.
      if (key === undefined || (before !== null && before.offset !== offset)) {
        return before === null ? null : { ...before, number: 0 };
      }
      const gone = await erasedAt(rewriting, offset);
      if (isForgotten) await forgetOne(rewriting.client, { ...key, hash }, offset);
      const one = {
        offset,
        receivedMs: Number(key.received_ms),
        wasKept: gone.events > 0 || (before?.wasKept ?? false),
      };
      before = one;
      return { ...one, number: await this.#numbered(rewriting, gone) };
    });
    if (erased === null) return null;
    const { number, ...told } = erased;
    if (number > 0) await this.#expiries.made(number, { from: told.offset, upTo: told.offset });
    this.#vacuuming.erased();
    return told;
  }

  async forget({ committedBeforeMs, ...filter }: ForgetQuery): Promise<ForgottenSome> {
    const topicIds = await this.#topics.of(filter);
    if (topicIds?.size === 0) return { ids: 0, isDone: true };
    const some = await Rewriting.transaction(this.#sessions, (rewriting) => {
      this.#topics.still(topicIds);
      return forgetSome(rewriting, committedBeforeMs, topicIds);
    });
    if (some.ids > 0) this.#vacuuming.forgot(some.ids, some.isDone);
    return some;
  }

  watch(listener: (expiry: Expiry) => void): () => void {
    return this.#expiries.watch(listener);
  }

  /** Lets another instance do the policies' work at once. */
  async close(): Promise<void> {
    if (!this.#hasClaimed) return;
    await using(this.#sessions.readers, (client) => client.query(RELEASE, [this.#holder])).catch(() => {});
  }

  async #numbered({ client }: Rewriting, { events }: Gone): Promise<number> {
    return events === 0 ? 0 : this.#expiries.numbered(client);
  }
}

interface LocatedRow {
  readonly append_id: string;
  readonly place: number;
  readonly offset: string;
  readonly received_ms: string;
}

/** The first blocks that may have kept events of the topics up to the offset, as many as one step does. */
async function firstParts(
  { blocks }: Rewriting,
  upTo: number,
  topicIds: ReadonlySet<number> | undefined,
): Promise<{ parts: Part[]; isDone: boolean }> {
  const parts: Part[] = [];
  let events = 0;
  let bytes = 0;
  for await (const part of blocks.of({ order: 'asc', after: 0, upTo }, topicIds, 'kept')) {
    parts.push(part);
    events += part.block.count;
    bytes += part.block.textBytes;
    if (events >= STEP_EVENTS_MAX || bytes >= STEP_BYTES_MAX || parts.length === STEP_BLOCKS_MAX) {
      return { parts, isDone: false };
    }
  }
  return { parts, isDone: true };
}

async function erasedAt(rewriting: Rewriting, offset: number): Promise<Gone> {
  const parts: Part[] = [];
  const range = { order: 'asc', after: offset - 1, upTo: offset } as const;
  for await (const part of rewriting.blocks.of(range, undefined)) parts.push(part);
  return rewriting.expire(parts, ({ block }, i) => block.firstOffset + i === offset);
}

/** Counts what is kept, and walks along the oldest of it. */
async function dueIn(
  client: ClientBase,
  { committedBeforeMs, eventsMax, bytesMax, upTo }: DueQuery,
  topicIds: ReadonlySet<number> | undefined,
): Promise<Due> {
  const { counted, walk } = await keptIn(client, topicIds);
  let { events, bytes } = counted;
  const due = { events: 0, bytes: 0, upTo: 0 };
  for await (const { offset, receivedMs, length } of walk) {
    const isDue =
      (committedBeforeMs !== null && receivedMs < committedBeforeMs) ||
      (eventsMax !== null && events > eventsMax) ||
      (bytesMax !== null && bytes > bytesMax);
    if (!isDue || offset > upTo) return { ...due, oldestKept: { offset, receivedMs } };
    events -= 1;
    bytes -= length;
    due.events += 1;
    due.bytes += length;
    due.upTo = offset;
  }
  return { ...due, oldestKept: null };
}
