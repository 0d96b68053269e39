import { type EventResult, VERDICTS } from '@chronicleweaver/protocol';
import { ANYONE, type Principal } from '../access/principal.ts';
import { EVENT_ID, type EventBatch, TOPIC, partText } from '../event/event-batch.ts';
import type { PublishQueue } from '../queue/publish-queue.ts';
import type { AppendResult } from '../store/event-store.ts';
import type { AnswerListener } from './request/answers.ts';
import type { BodyLimits } from './request/body.ts';

/** What every way of publishing needs. */
export interface PublishParts {
  readonly queue: PublishQueue;
  readonly body: BodyLimits;
  readonly answers: AnswerListener;
}

/**
 * The most bytes that all events of a request together may have which are made of its records: what many of these share, such as
 * a resource or labels, the request may say once, and each event says.
 */
export function eventsBytesMax({ bytesMax }: BodyLimits): number {
  return Math.max(64 * 1024 * 1024, bytesMax);
}

/** What became of each event, in order. */
export function resultsOf(batch: EventBatch, { verdicts, offsets }: AppendResult): EventResult[] {
  return Array.from(verdicts, (verdict, i) => ({
    event_id: partText(batch, i, EVENT_ID),
    topic: partText(batch, i, TOPIC),
    verdict: VERDICTS[verdict]!,
    offset: offsets[i]!,
  }));
}

/** Notes the key, of which the store tells whoever asks for the repeats of an event. */
export function publishedBy(principal: Principal, batch: EventBatch): EventBatch {
  return principal === ANYONE ? batch : { ...batch, publisher: principal.name };
}
