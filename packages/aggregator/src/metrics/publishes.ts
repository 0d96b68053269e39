import { PROBLEMS } from '@chronicleweaver/protocol';
import type { Exposition } from './exposition.ts';
import { Counter, Histogram } from './instruments.ts';
import type { Section } from './section.ts';

/** Seconds: from an answer on a fast disk to one that its publisher may have stopped waiting for. */
const ANSWER_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The answers to publishes, and what was refused. In: each answer, as the api gives it. */
export class PublishFigures implements Section {
  readonly part = 'publishes';
  readonly #requests = new Counter('status', ['200', '503']);
  readonly #refusals = new Counter('code', Object.keys(PROBLEMS));
  readonly #recordRefusals = new Counter('code', ['invalid_event', 'forbidden_topic']);
  readonly #durations = new Histogram(ANSWER_BOUNDS);

  /** A publish got its answer this long after its head had arrived. */
  published(status: number, ms: number): void {
    this.#requests.add(`${status}`);
    this.#durations.observe(ms / 1000);
  }

  /** Some request was refused with this code. */
  refused(code: string): void {
    this.#refusals.add(code);
  }

  /** Records of a request that was taken are not stored. */
  recordsRefused(code: string, count: number): void {
    this.#recordRefusals.add(code, count);
  }

  write(out: Exposition): void {
    out.counter(
      'chronicleweaver_publish_requests_total',
      'Answered publish requests of this process, by status.',
      this.#requests,
    );
    out.histogram(
      'chronicleweaver_publish_duration_seconds',
      'Time from the head of a publish request to its answer, in this process. The answer comes after the sync.',
      this.#durations,
    );
    out.counter(
      'chronicleweaver_refusals_total',
      'Refused requests of this process, of all kinds, by the code of the problem.',
      this.#refusals,
    );
    out.counter(
      'chronicleweaver_refused_log_records_total',
      'Log records that this process refused in requests that it took, by the code of the problem.',
      this.#recordRefusals,
    );
  }
}
