import type { Retention } from '../retention/retention.ts';
import { type Exposition, labels } from './exposition.ts';
import type { Section } from './section.ts';

const OURS =
  'As this process has done it, or found it at its last look; of several on a store one does the work.';

/** How the policies are obeyed. */
export class RetentionFigures implements Section {
  readonly part = 'retention';
  readonly #retention: Retention;

  constructor(retention: Retention) {
    this.#retention = retention;
  }

  write(out: Exposition): void {
    const policies = [...this.#retention.figures()].map((one) => ({
      ...one,
      labels: labels({ policy: one.policy }),
    }));
    const figures = (value: (one: (typeof policies)[number]) => number) =>
      policies.map((one): [string, number] => [one.labels, value(one)]);
    out.counter(
      'chronicleweaver_retention_expired_events_total',
      `Events that a policy has let go of. ${OURS}`,
      figures(({ expiredEvents }) => expiredEvents),
    );
    out.counter(
      'chronicleweaver_retention_expired_bytes_total',
      `Bytes of their texts, uncompressed. ${OURS}`,
      figures(({ expiredBytes }) => expiredBytes),
    );
    out.counter(
      'chronicleweaver_retention_forgotten_ids_total',
      `Ids that a policy has let be forgotten. ${OURS}`,
      figures(({ forgottenIds }) => forgottenIds),
    );
    out.gauge(
      'chronicleweaver_retention_due_events',
      `Kept events beyond the bounds of a policy, held up or about to go. ${OURS}`,
      figures(({ dueEvents }) => dueEvents),
    );
    const holds = policies.flatMap(({ policy, holds }) =>
      holds.map((hold) => ({ ...hold, labels: labels({ policy, group: hold.group }) })),
    );
    out.gauge(
      'chronicleweaver_retention_held_events',
      `Events that are due and that a group has not finished. ${OURS}`,
      holds.map((hold) => [hold.labels, hold.events]),
    );
    out.gauge(
      'chronicleweaver_retention_held_since_timestamp_seconds',
      `When the first of these events was due, seconds since 1970. ${OURS}`,
      holds.map((hold) => [hold.labels, hold.sinceMs / 1000]),
    );
  }
}
