import { TIMESTAMP_EXPECTED, firstMsFrom, parseTimestamp } from '@chronicleweaver/protocol';
import type { AuditTrail } from '../../audit/audit-trail.ts';
import type { Before, Retention } from '../../retention/retention.ts';
import { StillHeldError, StoreError } from '../../store/event-store.ts';
import type { Api } from '../api.ts';
import { requireTopic } from '../request/access.ts';
import { ProblemError } from '../request/problems.ts';
import { eventParams, problems, topicParams } from '../schemas.ts';
import { type AuditLog, keyNameIn, whoIn } from '../request/audit.ts';
import { erasedAnswer, forgetQuery, truncateQuery, truncatedAnswer } from './schemas.ts';

const TAGS = ['retention'];

/** What is let go of by request, whatever the policies say: the beginning of a topic, and single events. */
export function erasureRoutes(api: Api, retention: Retention, audit: AuditTrail, log: AuditLog): void {
  truncateRoute(api, retention, audit, log);
  eraseRoute(api, retention, audit, log);
}

function truncateRoute(api: Api, retention: Retention, audit: AuditTrail, log: AuditLog): void {
  api.delete(
    '/topics/:topic',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'Let go of the beginning of a topic',
        description: 'Answers once all of these events have expired. Their ids stay known.',
        tags: TAGS,
        params: topicParams,
        querystring: truncateQuery,
        response: { 200: truncatedAnswer, ...problems(400, 404, 409, 422, 503) },
      },
    },
    async (request) => {
      const { topic } = request.params;
      const { before } = request.query;
      requireTopic(request, topic);
      const done = await retention.truncate(topic, placeOf(before));
      switch (done.kind) {
        case 'beyond_end':
          throw beyondEnd(done.lastOffset);
        case 'unknown':
          throw new ProblemError('event_not_found', `topic ${JSON.stringify(topic)} has no events`);
        case 'cut_off':
          throw new ProblemError(
            'shutting_down',
            'the server is stopping; send the request again for the rest',
          );
        case 'truncated': {
          const { events, bytes, firstOffset } = done;
          log.info({ ...whoIn(request), topic, before, events, bytes }, 'a topic was truncated');
          await noted(audit.done('truncated', keyNameIn(request), { topic, events }));
          return { topic, events, bytes, first_offset: firstOffset || null };
        }
      }
    },
  );
}

function eraseRoute(api: Api, retention: Retention, audit: AuditTrail, log: AuditLog): void {
  api.delete(
    '/events/:topic/:event_id',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'Erase an event',
        description:
          'After the answer no byte of its text is left in the files of the store. Its id stays known, unless it is to be ' +
          'forgotten; then the next publish under it is accepted.',
        tags: TAGS,
        params: eventParams,
        querystring: forgetQuery,
        response: { 200: erasedAnswer, ...problems(400, 404, 422, 503) },
      },
    },
    async (request) => {
      const { topic, event_id: eventId } = request.params;
      const forgotten = request.query.forget === true;
      requireTopic(request, topic);
      // An id that is to be forgotten may identify a person, so the log must not keep it.
      const what = { ...whoIn(request), topic, ...(!forgotten && { event_id: eventId }), forgotten };
      const erased = await retention.erase(topic, eventId, forgotten).catch((error: unknown) => {
        if (!(error instanceof StoreError && error.code === 'blocked')) throw error;
        if (!(error instanceof StillHeldError)) {
          // A database may have done it, and its answer got lost.
          const again = 'send the request again, whether or not the event was erased';
          throw new ProblemError('store_unavailable', `${error.message}; ${again}`);
        }
        log.warn(
          { ...what, reason: error.message },
          'an event was erased, but something still holds its bytes',
        );
        throw new ProblemError(
          'store_unavailable',
          `${error.message}; nobody is shown the event any more: send the request again until its bytes are gone`,
        );
      });
      if (erased === null) {
        const text = `topic ${JSON.stringify(topic)} has no event ${JSON.stringify(eventId)}`;
        throw new ProblemError('event_not_found', text);
      }
      const { offset, receivedMs, wasKept } = erased;
      log.info({ ...what, offset, was_kept: wasKept }, 'an event was erased');
      await noted(audit.done('erased', keyNameIn(request), { offset, forgotten }));
      const received_at = new Date(receivedMs).toISOString();
      return { topic, event_id: eventId, offset, received_at, was_kept: wasKept, forgotten };
    },
  );
}

/** Waits until the audit trail has it, without which it is not done. */
async function noted(noting: Promise<void>): Promise<void> {
  await noting.catch((error: unknown) => {
    if (!(error instanceof StoreError)) throw error;
    const detail = `it is done, but the audit trail could not be written: ${error.message}; send the request again`;
    throw new ProblemError('store_unavailable', detail);
  });
}

function placeOf(before: string): Before {
  if (/^\d+$/.test(before) && Number.isSafeInteger(Number(before))) return { offset: Number(before) };
  const instant = parseTimestamp(before);
  // `received_at` has whole milliseconds, so a finer time means the next millisecond.
  if (instant !== undefined) return { timeMs: firstMsFrom(instant) };
  const message = `takes an offset, or ${TIMESTAMP_EXPECTED}, not ${JSON.stringify(before)}`;
  throw new ProblemError('invalid_parameter', `before: ${message}`, [
    { index: null, field: 'before', message },
  ]);
}

function beyondEnd(lastOffset: number): ProblemError {
  return new ProblemError(
    'cursor_beyond_end',
    `before: the log ends at offset ${lastOffset}, so this takes an offset up to ${lastOffset + 1}, or a time in the past; ` +
      'nothing has expired',
    [{ index: null, field: 'before', message: `is beyond the end of the log, which is at ${lastOffset}` }],
  );
}
