import type { ClientBase } from 'pg';
import { type EventBatch, TOPIC, partText } from '../../event/event-batch.ts';
import type { CommitGroup, GroupResult } from '../commit-group.ts';
import { ACCEPTED, CONFLICT, StoreError } from '../event-store.ts';
import type { KeyHasher } from '../key-hash.ts';
import { recordedCommit } from './audit/recorded.ts';
import { commit } from './commit.ts';
import { blocksOf, countsOf, keysOf, lengthsOf, topicsOf } from './commit-values.ts';
import { WaitedInVainError, remedyFor } from './errors.ts';
import { GroupKeys, KEY_WORDS } from './group-keys.ts';
import { Judged, type OwnCommit } from './judged.ts';
import { Looking } from './looking.ts';
import { PATIENCE_MS, patiently } from './patience.ts';
import { type InForce, type Policies, isOutdated } from './policies.ts';
import type { Probing } from './probing.ts';
import type { RecentKeys } from './recent-keys.ts';
import { notedRepeats } from './repeats/noted.ts';
import { type Known, type Sessions, answered, using } from './sessions.ts';
import type { Topics } from './topics.ts';
import { Turns } from './turns.ts';
import { UnderWay } from './under-way.ts';
import { undisturbed } from './undisturbed.ts';

/** How long a group is tried again after one that was tried in vain, milliseconds: its publishers have waited already. */
const SHORT_PATIENCE_MS = 1000;

/** Where a group was undone so often because what it goes by had changed, that has to wait for it. */
const UNDONE_MAX = 2;

/**
 * Appends groups of events. In: the events of many publishes as one flat group. Out: a verdict and an offset for each, after
 * the commit. The unique index on the keys' hashes is what makes an event be stored once; what is looked up before only
 * spares the insert of what is there already.
 *
 * A group is *judged* (looked up, repeats within it told apart), then *committed* by one statement. Where another append
 * with one of its keys was faster, the whole statement is undone and the group is judged again. Where the answer does not
 * come, it is *in doubt*: the next look, in a session begun after it, tells whether this append was committed. All tries
 * of a group share one append id, unique in the log, so at most one of them is ever committed, even one whose server goes
 * on working after its connection was lost.
 *
 * Invariants: an answer is given after the server has confirmed the commit, which is when it is ready for the next query;
 * at `CommandComplete` it has not committed yet (PostgreSQL's protocol, "Extended Query"). Keys are inserted in the order
 * of their bytes. What is committed was judged by the policies that are in force, and by ids that are not forgotten
 * (policies.ts). No lock but those on keys, and the turn (turns.ts), is held when the head row is taken, and none is waited for
 * after it.
 */
export class Appender {
  readonly #sessions: Sessions;
  readonly #topics: Topics;
  readonly #hasher: KeyHasher;
  readonly #recent: RecentKeys;
  readonly #policies: Policies;
  readonly #channel: string;
  readonly #nextAppendId: (client: ClientBase) => Promise<number>;
  readonly #now: (() => number) | undefined;
  readonly #confirmed: (lastOffset: number) => void;
  readonly #noted: (repeats: number) => void;
  readonly #isAudited: () => boolean;
  /** The last append of this instance that stored something and was confirmed. */
  lastKept: Known['append'] = null;
  readonly #probing: Probing;
  #patienceMs = PATIENCE_MS;
  readonly #turns = new Turns();
  readonly #underWay = new UnderWay();
  readonly #looking: Looking;

  /**
   * @param now the clock of tests; without one it is the database's
   * @param confirmed called after each commit that was confirmed, with the end of the log that it saw
   * @param noted called after each commit that has noted repeats, with their number
   * @param isAudited whether commits are written into the audit trail
   */
  constructor(parts: {
    sessions: Sessions;
    topics: Topics;
    hasher: KeyHasher;
    recent: RecentKeys;
    policies: Policies;
    channel: string;
    nextAppendId: (client: ClientBase) => Promise<number>;
    now: (() => number) | undefined;
    confirmed: (lastOffset: number) => void;
    noted: (repeats: number) => void;
    isAudited: () => boolean;
    probing: Probing;
  }) {
    this.#sessions = parts.sessions;
    this.#topics = parts.topics;
    this.#hasher = parts.hasher;
    this.#recent = parts.recent;
    this.#policies = parts.policies;
    this.#channel = parts.channel;
    this.#nextAppendId = parts.nextAppendId;
    this.#now = parts.now;
    this.#confirmed = parts.confirmed;
    this.#noted = parts.noted;
    this.#isAudited = parts.isAudited;
    this.#probing = parts.probing;
    this.#looking = new Looking(parts.recent, this.#underWay);
  }

  async append(group: CommitGroup): Promise<GroupResult> {
    const keys = new GroupKeys(group, this.#hasher);
    let appendId: number | null = null;
    let isInDoubt = false;
    let isAgain = false;
    const sent: Sent = { isBare: null };
    const work = async (): Promise<GroupResult> => {
      try {
        return await using(this.#sessions.writers, async (client) => {
          // Only now: the first session gives the range that ids are drawn from.
          appendId ??= await this.#nextAppendId(client);
          const id = appendId;
          const tried = () => this.#tried(client, group, keys, { id, sent }, isAgain);
          return await this.#turns.within(client, () => this.#inForce(client, tried));
        });
      } catch (error) {
        this.#probing.failed(error, group.bytes.length);
        isInDoubt ||= appendId !== null && remedyFor(error) === 'reconnect';
        isAgain = true;
        throw error;
      }
    };
    const result = await patiently(work, {
      patienceMs: this.#patienceMs,
      isInDoubt: () => isInDoubt,
      lostInVain: () => (this.#patienceMs = SHORT_PATIENCE_MS),
    });
    this.#patienceMs = PATIENCE_MS;
    this.#probing.done();
    return result;
  }

  async #tried(
    client: ClientBase,
    group: CommitGroup,
    given: GroupKeys,
    { id: appendId, sent }: { readonly id: number; readonly sent: Sent },
    isAgain: boolean,
  ): Promise<GroupResult> {
    // Before anything is looked up: what is forgotten from here on makes this another version, and so does another secret.
    const { inForce } = this.#policies;
    const keys = given.replaced === this.#hasher.replaced ? given : new GroupKeys(group, this.#hasher);
    const { version } = inForce;
    const found = await this.#looking.look(client, keys, { appendId, version, isAgain });
    // From here to the beginning of the attempt nothing may be awaited: what is committed or begun meanwhile would be missed.
    const known = { recent: this.#recent, underWay: this.#underWay, version };
    const judged = new Judged(keys, known, found ?? []);
    if (judged.committed !== null) return bared(group, foundAgain(judged, judged.committed), sent);
    const attempt = this.#underWay.begin(keys, judged.freshPlaces, version);
    try {
      const { values, repeatedTopicIds } = await this.#valuesOf(group, keys, judged, inForce);
      for (const { ended } of judged.restsOn) if (!(await ended)) throw new WaitedInVainError();
      const repeats = judged.repeats();
      values.push(...notedRepeats(group, keys, repeats, repeatedTopicIds));
      const isAudited = this.#isAudited();
      if (isAudited) values.push(...recordedCommit(group.publishers, judged, repeats));
      sent.isBare = inForce.isBare;
      const startMs = performance.now();
      const name = isAudited ? 'commit audited' : 'commit';
      const { firstOffset, receivedMs } = await commit(client, name, [appendId, ...values]).catch(
        (error: unknown) => {
          if (found !== null && remedyFor(error) === 'repeat' && !isOutdated(error)) this.#turns.lost();
          throw error;
        },
      );
      const syncMs = performance.now() - startMs;
      this.#confirmed(firstOffset + judged.fresh.length - 1);
      if (judged.fresh.length > 0 && firstOffset > (this.lastKept?.firstOffset ?? 0)) {
        this.lastKept = { appendId, firstOffset };
      }
      if (repeats.length > 0) this.#noted(repeats.length);
      const committed = bared(group, judged.result(receivedMs, firstOffset), sent);
      const result = this.#kept(keys, judged, committed, inForce);
      attempt.committed(firstOffset, receivedMs);
      return { ...result, syncMs };
    } finally {
      attempt.failed();
    }
  }

  /** All parameters between the id and the repeats, and the topics of the repeats. */
  async #valuesOf(
    group: EventBatch,
    keys: GroupKeys,
    judged: Judged,
    { version, isBare }: InForce,
  ): Promise<{ values: unknown[]; repeatedTopicIds: number[] }> {
    const { fresh, conflicts } = judged;
    const topics = topicsOf(group, fresh);
    const repeated = topicsOf(group, judged.repeated);
    await this.#topics.make(new Set([...topics.names, ...repeated.names]));
    const ids = Int32Array.from(topics.names, (name) => this.#topics.idOf(name));
    const repeatedIds = repeated.names.map((name) => this.#topics.idOf(name));
    const topicIds = topics.places.map((place) => ids[place]!);
    const repeatedTopicIds = Array.from(repeated.places, (place) => repeatedIds[place]!);
    const bare = isBare === null ? null : topics.names.map(isBare);
    const lengths = lengthsOf(group, fresh, bare === null ? null : (i) => bare[topics.places[i]!]!);
    const values = [
      ...blocksOf(group, fresh, topicIds, lengths),
      ...keysOf(keys, judged),
      fresh.length,
      group.count,
      conflicts,
      this.#now?.() ?? null,
      ...countsOf(ids, topics.places, lengths),
      this.#channel,
      version,
    ];
    return { values, repeatedTopicIds };
  }

  /** Does the work again where policies have changed, or ids were forgotten, since they were read here. */
  async #inForce<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
    const inForce = async (): Promise<T> => {
      await answered(client, () => this.#policies.load(client));
      return work();
    };
    for (let undone = 0; ; undone++) {
      try {
        if (undone === 0) return await work();
        return await (undone < UNDONE_MAX ? inForce() : undisturbed(client, inForce));
      } catch (error) {
        if (!isOutdated(error)) throw error;
      }
    }
  }

  /**
   * Remembers what is committed; unless all was forgotten since it was judged, as ids may have been that are among these, and the log
   * may have gone back.
   */
  #kept(
    { count, words, digests }: GroupKeys,
    judged: Judged,
    result: GroupResult,
    inForce: InForce,
  ): GroupResult {
    if (inForce !== this.#policies.inForce) return result;
    for (let i = 0; i < count; i++) {
      // Another event's digest is not the stored one's.
      if (result.verdicts[i] === CONFLICT) continue;
      const receivedMs = judged.timeOf(i, result.receivedMs);
      this.#recent.add(words, i * KEY_WORDS, digests[i]!, result.offsets[i]!, receivedMs);
    }
    return result;
  }
}

/** What the last commit was sent with that may be in doubt. */
interface Sent {
  isBare: InForce['isBare'];
}

/**
 * The answer to a group that a look has found committed. Where ids were forgotten since, those that are not known any more were
 * stored with it, as long as their number fits; else some had repeated others that were forgotten, and nothing tells which.
 */
function foundAgain(judged: Judged, { receivedMs, firstOffset, events }: OwnCommit): GroupResult {
  if (judged.fresh.length === events) return judged.result(receivedMs, firstOffset);
  throw new StoreError('in_doubt', 'ids of these events were forgotten before their commit was answered');
}

/** Says which of the accepted events were stored bare. */
function bared(group: EventBatch, result: GroupResult, { isBare }: Sent): GroupResult {
  if (isBare === null) return result;
  const bare = Uint8Array.from(result.verdicts, (verdict, i) =>
    Number(verdict === ACCEPTED && isBare(partText(group, i, TOPIC))),
  );
  return { ...result, bare: bare.includes(1) ? bare : null };
}
