import { VERDICTS } from '@chronicleweaver/protocol';
import type { Logger } from 'pino';
import { EVENT_ID, SOURCE, TOPIC, partText } from '../event/event-batch.ts';
import type { PublishQueue, QueuedPublish } from '../queue/publish-queue.ts';
import { ACCEPTED, type AppendResult, type EventStore } from '../store/event-store.ts';

/**
 * Events and bytes of one commit. A sync costs the same for one event as for thousands. Beyond these bounds the gain
 * is small, and the first publish of a group waits for the last.
 */
const GROUP_EVENTS_MAX = 16_384;
const GROUP_BYTES_MAX = 16 * 1024 * 1024;

/** A group that begins while another one is under way has at least so many events: a small commit costs nearly as much. */
const SECOND_EVENTS_MIN = 512;

/**
 * This many turns of the event loop without a new publish mean that none is waiting to be read. The turns take a few
 * microseconds each and delay nobody, because the writer is idle meanwhile.
 */
const QUIET_TURNS = 8;

/** How long publishes are gathered while they keep arriving, milliseconds. */
const GATHER_MS_MAX = 2;

/**
 * How long after an answer its publishers are waited for, if they are not back by then: at most this share of the
 * commit's time, and this many milliseconds. A timer takes one at least.
 */
const RETURN_SHARE_MAX = 0.5;
const RETURN_MS_MAX = 2;
const RETURN_MS_MIN = 1;
/** Each wait in vain doubles the number of commits until the next wait, up to 64. */
const WAITS_IN_VAIN_MAX = 6;

/** How often failures are logged while all commits fail, milliseconds: the log may be on the disk that is full. */
const FAILURES_LOGGED_EVERY_MS = 10_000;

/** How often the log gets a summary of dropped events, milliseconds. */
const DROPS_LOGGED_EVERY_MS = 10_000;

/** What one commit did for all of its publishes. Duplicates include conflicts. */
export interface GroupCommit {
  readonly accepted: number;
  readonly duplicates: number;
  readonly conflicts: number;
  /** How long the store took, milliseconds. */
  readonly ms: number;
  /** As in AppendResult. */
  readonly syncMs: number | undefined;
}

/** It must not throw. */
export interface CommitListener {
  committed(commit: GroupCommit): void;
  /** A commit failed; its publishes are refused. */
  failed(): void;
}

/**
 * The only one that appends. In: the queued publishes. Out: each publish's result, after the commit that holds it.
 * The store tells what was committed.
 *
 * Each round gathers everything that arrived while the previous one was committing, and whatever follows at once, and
 * appends it in one transaction: the more publishers there are at once, the more events share a sync (group commit).
 * Where the store does several appends at once, a large group is divided: while one part commits, the next one is judged and
 * packed. But a second group that is small would cost nearly as much as a large one (docs/adr/0003-threads.md).
 *
 * Nobody is answered before the commit, because such an answer could promise an event that a crash loses. If a commit
 * fails, all of its publishes are refused, none of their events is stored, and the next round tries again.
 */
export class Consumer {
  readonly #queue: PublishQueue;
  readonly #store: EventStore;
  readonly #log: Logger;
  readonly #finished: Promise<void>;
  readonly #listeners = new Set<CommitListener>();
  #commitsMade = 0;
  /** The likely number of publishers: those that the last commit answered, and those that were waiting then. */
  #expected = 0;
  /** Until when it is worth waiting for the answered ones. */
  #returnUntilMs = 0;
  #waitsInVain = 0;
  #waitsToSkip = 0;
  /** Commits that failed since the last success. */
  #failed = 0;
  #failureLoggedMs = 0;
  #dropped = 0;
  #conflicts = 0;
  #dropsTimer: NodeJS.Timeout | null = null;

  constructor(queue: PublishQueue, store: EventStore, log: Logger) {
    this.#queue = queue;
    this.#store = store;
    this.#log = log;
    this.#finished = this.#run();
  }

  /** Commits since the start. */
  get commits(): number {
    return this.#commitsMade;
  }

  /** Tells the listener of every commit to come, before its publishers are answered, until the returned function is called. */
  listen(listener: CommitListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Commits and answers the queued publishes, accepts no more, and ends. */
  async close(): Promise<void> {
    this.#queue.close();
    await this.#finished;
    if (this.#dropsTimer !== null) clearTimeout(this.#dropsTimer);
    this.#sumUpDrops();
  }

  async #run(): Promise<void> {
    const underWay = new Set<Promise<void>>();
    for (;;) {
      await this.#queue.arrival(() => this.#isWorthAGroup);
      await this.#gather();
      const group = this.#queue.take(this.#groupEventsMax, GROUP_BYTES_MAX);
      if (group.length === 0) break;
      this.#expected = Math.max(0, this.#expected - group.length);
      const committing = this.#commit(group).finally(() => underWay.delete(committing));
      underWay.add(committing);
      if (underWay.size >= this.#store.groupsAtOnce) await Promise.race(underWay);
    }
    await Promise.all(underWay);
  }

  get #isWorthAGroup(): boolean {
    const { waitingEvents, takenEvents } = this.#queue;
    return waitingEvents >= (takenEvents > 0 ? Math.max(takenEvents, SECOND_EVENTS_MIN) : 1);
  }

  /** All groups that are under way at once have about as many events: of two, the larger would keep the publishers waiting. */
  get #groupEventsMax(): number {
    const share = Math.ceil(this.#queue.events / this.#store.groupsAtOnce);
    return share < SECOND_EVENTS_MIN ? GROUP_EVENTS_MAX : Math.min(share, GROUP_EVENTS_MAX);
  }

  /**
   * Publishers that send one publish after another return within moments of their answer. If they were not gathered,
   * those that arrived during a commit and those that it answered would take turns, in two commits instead of one.
   */
  async #gather(): Promise<void> {
    await this.#quiet();
    const leftMs = this.#returnUntilMs - performance.now();
    if (this.#isComplete || leftMs < RETURN_MS_MIN) return;
    if (this.#waitsToSkip > 0) {
      this.#waitsToSkip -= 1;
      return;
    }
    const { waiting } = this.#queue;
    await this.#queue.arrival(() => this.#isComplete, leftMs);
    if (this.#queue.waiting - waiting >= (this.#expected - waiting) / 2) {
      this.#waitsInVain = 0;
    } else {
      // Waiting in vain only delays the others, so do it more and more rarely.
      this.#waitsToSkip = 2 ** this.#waitsInVain;
      this.#waitsInVain = Math.min(this.#waitsInVain + 1, WAITS_IN_VAIN_MAX);
    }
  }

  /** Lets arrived publishes be read, until all expected ones are queued or no more arrive. */
  async #quiet(): Promise<void> {
    const untilMs = performance.now() + GATHER_MS_MAX;
    let quietTurns = 0;
    do {
      const { waiting } = this.#queue;
      await new Promise(setImmediate);
      quietTurns = this.#queue.waiting > waiting ? 0 : quietTurns + 1;
    } while (!this.#isComplete && quietTurns < QUIET_TURNS && performance.now() < untilMs);
  }

  get #isComplete(): boolean {
    return this.#queue.waiting >= this.#expected;
  }

  async #commit(group: readonly QueuedPublish[]): Promise<void> {
    const batches = group.map(({ batch }) => batch);
    const startMs = performance.now();
    let results: AppendResult[];
    try {
      results = await this.#store.append(batches);
    } catch (error) {
      this.#noteFailure(error);
      for (const listener of this.#listeners) listener.failed();
      for (const publish of group) publish.reject(error as Error);
      return;
    }
    this.#commitsMade += 1;
    if (this.#failed > 0) this.#log.info({ failed: this.#failed }, 'commits succeed again');
    this.#failed = 0;
    const ms = performance.now() - startMs;
    this.#expect(group.length, ms);
    this.#tell(results, ms);
    for (const [i, publish] of group.entries()) {
      const result = results[i]!;
      publish.resolve(result);
      if (result.duplicates > 0) this.#noteDrops(publish, result);
    }
  }

  #tell(results: readonly AppendResult[], ms: number): void {
    if (this.#listeners.size === 0) return;
    const commit = { accepted: 0, duplicates: 0, conflicts: 0, ms, syncMs: results[0]!.syncMs };
    for (const { accepted, duplicates, conflicts } of results) {
      commit.accepted += accepted;
      commit.duplicates += duplicates;
      commit.conflicts += conflicts;
    }
    for (const listener of this.#listeners) listener.committed(commit);
  }

  #expect(answered: number, commitMs: number): void {
    this.#expected = answered + this.#queue.waiting;
    this.#returnUntilMs = performance.now() + Math.min(commitMs * RETURN_SHARE_MAX, RETURN_MS_MAX);
  }

  #noteFailure(error: unknown): void {
    this.#failed += 1;
    const nowMs = performance.now();
    if (this.#failed > 1 && nowMs < this.#failureLoggedMs + FAILURES_LOGGED_EVERY_MS) return;
    this.#failureLoggedMs = nowMs;
    this.#log.error({ err: error, failed: this.#failed }, 'a commit failed; its publishes were refused');
  }

  #noteDrops({ batch }: QueuedPublish, result: AppendResult): void {
    this.#dropped += result.duplicates;
    this.#conflicts += result.conflicts;
    this.#dropsTimer ??= setTimeout(() => this.#sumUpDrops(), DROPS_LOGGED_EVERY_MS).unref();
    if (!this.#log.isLevelEnabled('debug')) return;
    for (const [i, verdict] of result.verdicts.entries()) {
      if (verdict === ACCEPTED) continue;
      this.#log.debug(
        {
          topic: partText(batch, i, TOPIC),
          event_id: partText(batch, i, EVENT_ID),
          source: partText(batch, i, SOURCE),
          verdict: VERDICTS[verdict],
          offset: result.offsets[i],
        },
        'event dropped',
      );
    }
  }

  #sumUpDrops(): void {
    this.#dropsTimer = null;
    if (this.#dropped === 0) return;
    this.#log.info({ dropped: this.#dropped, conflicts: this.#conflicts }, 'duplicates dropped');
    this.#dropped = 0;
    this.#conflicts = 0;
  }
}
