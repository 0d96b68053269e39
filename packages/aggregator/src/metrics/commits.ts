import type { CommitListener, GroupCommit } from '../consumer/consumer.ts';
import type { Exposition } from './exposition.ts';
import { Counter, Histogram } from './instruments.ts';
import type { Section } from './section.ts';

/** Seconds. The lowest bounds tell a disk that syncs from one that only says so. */
const COMMIT_BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Events: from a lone publish to the largest group and beyond, where a batch exceeds it. */
const EVENTS_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 100_000];

/** The commits of the consumer. In: each commit, when it is over. */
export class CommitFigures implements Section, CommitListener {
  readonly part = 'commits';
  readonly #events = new Counter('verdict', []);
  readonly #durations = new Histogram(COMMIT_BOUNDS);
  readonly #syncs = new Histogram(COMMIT_BOUNDS);
  readonly #sizes = new Histogram(EVENTS_BOUNDS);
  #failed = 0;

  constructor() {
    for (const verdict of ['accepted', 'duplicate', 'conflict']) this.#events.add(verdict, 0);
  }

  committed({ accepted, duplicates, conflicts, ms, syncMs }: GroupCommit): void {
    this.#events.add('accepted', accepted);
    this.#events.add('duplicate', duplicates - conflicts);
    this.#events.add('conflict', conflicts);
    this.#durations.observe(ms / 1000);
    if (syncMs !== undefined) this.#syncs.observe(syncMs / 1000);
    this.#sizes.observe(accepted + duplicates);
  }

  failed(): void {
    this.#failed += 1;
  }

  write(out: Exposition): void {
    out.counter(
      'chronicleweaver_events_total',
      'Events that this process has had committed since its start, by verdict; a conflict is not counted as a duplicate.',
      this.#events,
    );
    out.histogram(
      'chronicleweaver_commit_duration_seconds',
      'Time of a commit of publishes in this process, from its handover to the store to its durable end.',
      this.#durations,
    );
    out.histogram(
      'chronicleweaver_sync_duration_seconds',
      'The part of a commit in which this process waits for what makes it durable: the sync of the log, or the answer of the database.',
      this.#syncs,
    );
    out.histogram(
      'chronicleweaver_commit_events',
      'Events of a commit of publishes in this process, dropped ones included.',
      this.#sizes,
    );
    out.counter(
      'chronicleweaver_commit_failures_total',
      'Commits of this process that failed, and whose publishes were refused.',
      this.#failed,
    );
  }
}
