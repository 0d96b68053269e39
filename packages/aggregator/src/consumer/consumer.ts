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

/**
 * How long to wait for publishers that were just answered: at most this share of a commit's time, and this many
 * milliseconds.
 */
const GATHER_SHARE_MAX = 0.5;
const GATHER_MS_MAX = 2;
/** Each wait in vain doubles the number of commits until the next wait, up to 64. */
const GATHERS_IN_VAIN_MAX = 6;

/** How often failures are logged while all commits fail, milliseconds: the log may be on the disk that is full. */
const FAILURES_LOGGED_EVERY_MS = 10_000;

/** How often the log gets a summary of dropped events, milliseconds. */
const DROPS_LOGGED_EVERY_MS = 10_000;

/**
 * The only one that appends. In: the queued publishes. Out: each publish's result, after the commit that holds it.
 * The store tells what was committed.
 *
 * Each turn takes everything that arrived while the previous turn was committing, and appends it in one transaction:
 * the more publishers there are at once, the more events share a sync (group commit). Nobody is answered before the
 * commit, because such an answer could promise an event that a crash loses. If a commit fails, all of its publishes
 * are refused, none of their events is stored, and the next turn tries again.
 */
export class Consumer {
  readonly #queue: PublishQueue;
  readonly #store: EventStore;
  readonly #log: Logger;
  readonly #finished: Promise<void>;
  #commitsMade = 0;
  #gathersInVain = 0;
  #gathersToSkip = 0;
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

  /** Commits and answers the queued publishes, accepts no more, and ends. */
  async close(): Promise<void> {
    this.#queue.close();
    await this.#finished;
    if (this.#dropsTimer !== null) clearTimeout(this.#dropsTimer);
    this.#sumUpDrops();
  }

  async #run(): Promise<void> {
    for (;;) {
      const group = await this.#queue.take(GROUP_EVENTS_MAX, GROUP_BYTES_MAX);
      if (group.length === 0) return;
      const startMs = performance.now();
      await this.#commit(group);
      await this.#gather(group.length, performance.now() - startMs);
    }
  }

  /**
   * Publishers that send one publish after another return within moments of their answer. Without this wait, those
   * that arrived during a commit and those that it answered would take turns, in two commits instead of one. If they
   * do not return, the wait only delays the others and keeps a core busy, so it is tried ever more rarely.
   */
  async #gather(answered: number, commitMs: number): Promise<void> {
    const waiting = this.#queue.waiting;
    const expected = waiting + answered;
    // A single publisher has nobody to share with.
    if (expected === 1) return;
    const isTried = this.#gathersToSkip === 0;
    const waitMs = isTried ? Math.min(commitMs * GATHER_SHARE_MAX, GATHER_MS_MAX) : 0;
    const untilMs = performance.now() + waitMs;
    do await new Promise(setImmediate);
    while (this.#queue.waiting < expected && performance.now() < untilMs);

    if (!isTried) {
      this.#gathersToSkip -= 1;
    } else if (this.#queue.waiting - waiting >= answered / 2) {
      this.#gathersInVain = 0;
    } else {
      this.#gathersToSkip = 2 ** this.#gathersInVain;
      this.#gathersInVain = Math.min(this.#gathersInVain + 1, GATHERS_IN_VAIN_MAX);
    }
  }

  async #commit(group: readonly QueuedPublish[]): Promise<void> {
    const batches = group.map(({ batch }) => batch);
    let results: AppendResult[];
    try {
      results = await this.#store.append(batches);
    } catch (error) {
      this.#noteFailure(error);
      for (const publish of group) publish.reject(error as Error);
      return;
    }
    this.#commitsMade += 1;
    if (this.#failed > 0) this.#log.info({ failed: this.#failed }, 'commits succeed again');
    this.#failed = 0;
    for (const [i, publish] of group.entries()) {
      const result = results[i]!;
      publish.resolve(result);
      if (result.duplicates > 0) this.#noteDrops(publish, result);
    }
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
