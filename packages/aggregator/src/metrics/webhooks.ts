import type { AttemptOutcome } from '../groups/pusher.ts';
import type { Exposition } from './exposition.ts';
import { Counter } from './instruments.ts';
import type { Section } from './section.ts';

/** Attempts to send events to webhooks. In: each attempt, when its outcome is known. */
export class WebhookFigures implements Section {
  readonly part = 'webhooks';
  readonly #attempts = new Counter('outcome', ['taken', 'refused', 'unanswered']);

  attempted(outcome: AttemptOutcome): void {
    this.#attempts.add(outcome);
  }

  write(out: Exposition): void {
    out.counter(
      'chronicleweaver_webhook_attempts_total',
      'Attempts of this process to send an event to a webhook: taken (2xx), refused (another status), unanswered (no connection, or no answer in time).',
      this.#attempts,
    );
  }
}
