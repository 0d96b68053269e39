import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { type PublishAnswer, VERDICTS, encodingFault } from '@chronicleweaver/protocol';
import type { FastifyRequest } from 'fastify';
import { EMPTY_BATCH, EVENT_ID, type EventBatch, OwnedBatch, TOPIC, partText } from '../event/event-batch.ts';
import type { Principal } from '../access/principal.ts';
import type { PublishQueue } from '../queue/publish-queue.ts';
import type { AppendResult } from '../store/event-store.ts';
import { readEvents } from '../event/event-reader.ts';
import { releasedYoung } from '../released-memory.ts';
import { requireTopics } from './request/access.ts';
import { type BodyLimits, withBody } from './request/body.ts';
import { JSON_TYPE, refusalOf } from './request/json-type.ts';
import { compileParameters } from './request/parameters.ts';
import { ProblemError } from './request/problems.ts';
import { problems, publishAnswer, publishBody, publishQuery } from './schemas.ts';
import type { Api } from './api.ts';

export interface PublishParts {
  readonly queue: PublishQueue;
  readonly body: BodyLimits;
}

/** `POST /publish`: the body becomes a batch, the batch waits in the queue, the answer comes after its commit. */
export async function publishRoutes(api: Api, parts: PublishParts): Promise<void> {
  const { queue, body } = parts;
  // A refusal is passed on like a body, and the handler throws it: if a parser fails, Fastify closes the connection.
  // No other body is read between here and the queue, so every batch is always counted somewhere.
  api.addContentTypeParser(JSON_TYPE, (_request: FastifyRequest, raw: IncomingMessage) =>
    receiveBatch(raw, parts).catch((error: unknown) => error),
  );
  api.post(
    '/publish',
    {
      config: { scope: 'publish' },
      schema: {
        summary: 'Publish one event or a batch',
        description:
          'Answered after the events are committed and synced to disk. Send it again whenever no answer came: ' +
          'events that are already stored are dropped and reported as duplicates.',
        tags: ['events'],
        querystring: publishQuery,
        body: publishBody,
        response: { 200: publishAnswer, ...problems(400, 408, 413, 415, 422, 503) },
      },
      onRequest: ({ raw }, reply, done) => {
        done(refusalOf(raw, reply.raw, queue.budget, body.bytesMax, { isBodyNeeded: true }));
      },
      // The body was checked while it was read, in one pass.
      validatorCompiler: (part) => (part.httpPart === 'body' ? () => true : compileParameters(part)),
    },
    async (request) => {
      if (request.body instanceof Error) throw request.body;
      // Only a body without a type and a length arrives here unread.
      using owned = request.body instanceof OwnedBatch ? request.body : batchOf(Buffer.alloc(0));
      return await publish(owned.events, request.principal, queue, request.query.results === true);
    },
  );
}

/** Receives the body of a request, in whose batch the caller then owns the memory. Throws as `withBody` does. */
export function receiveBatch(request: IncomingMessage, { queue, body }: PublishParts): Promise<OwnedBatch> {
  return withBody(request, queue.budget, body, batchOf);
}

/** Answers after the commit. Rejects with a ProblemError if the principal may not publish this, or as the queue does. */
export async function publish(
  batch: EventBatch,
  principal: Principal,
  queue: PublishQueue,
  withResults: boolean,
): Promise<PublishAnswer> {
  // The request itself has already counted as one.
  if (batch.count > 1) principal.charge(batch.count - 1);
  requireTopics(principal, batch);
  const result = batch.count === 0 ? NOTHING : await queue.publish(batch);
  const answer = answerOf(batch, result, withResults);
  // The buffer from the socket was copied and is garbage now.
  releasedYoung(batch.bytes.length);
  return answer;
}

const NOTHING: AppendResult = {
  accepted: 0,
  duplicates: 0,
  conflicts: 0,
  receivedMs: 0,
  verdicts: new Uint8Array(0),
  offsets: new Float64Array(0),
};

function batchOf(body: Buffer): OwnedBatch {
  if (!isUtf8(body)) {
    throw new ProblemError('invalid_encoding', `the body ${encodingFault(body)}: send it as UTF-8`);
  }
  const read = readEvents(body);
  switch (read.kind) {
    case 'batch':
      return new OwnedBatch(read.batch.count === 0 ? EMPTY_BATCH : read.batch);
    case 'not_json':
      throw new ProblemError('invalid_json', read.message);
    case 'too_many':
      throw new ProblemError('batch_too_large', read.message);
    case 'invalid': {
      const { index, field, message } = read.errors[0]!;
      const place = [index === null ? '' : `event ${index}`, field ?? ''].filter(Boolean).join(', ');
      const more = read.errorsFound > 1 ? ` (the first of ${read.errorsFound} errors)` : '';
      throw new ProblemError('invalid_event', `${place}: ${message}${more}; nothing was stored`, read.errors);
    }
  }
}

function answerOf(batch: EventBatch, result: AppendResult, withResults: boolean): PublishAnswer {
  const { accepted, duplicates, conflicts } = result;
  const answer: PublishAnswer = {
    status: 'success',
    message: `Published ${batch.count} events`,
    events_count: batch.count,
    accepted,
    duplicates,
    conflicts,
  };
  if (withResults) {
    answer.results = Array.from(result.verdicts, (verdict, i) => ({
      event_id: partText(batch, i, EVENT_ID),
      topic: partText(batch, i, TOPIC),
      verdict: VERDICTS[verdict]!,
      offset: result.offsets[i]!,
    }));
  }
  return answer;
}
