import { IncomingMessage } from 'node:http';
import type { PublishAnswer } from '@chronicleweaver/protocol';
import type { FastifyRequest } from 'fastify';
import { type EventBatch, OwnedBatch } from '../event/event-batch.ts';
import type { Principal } from '../access/principal.ts';
import type { PublishQueue } from '../queue/publish-queue.ts';
import type { AppendResult } from '../store/event-store.ts';
import { releasedYoung } from '../released-memory.ts';
import { batchOf } from './batch-of.ts';
import { ANY_FORMAT, modeOf } from './cloudevents/mode.ts';
import { receiveCloudEvents, refusalOfCloudEvents } from './cloudevents/receive.ts';
import { type PublishParts, publishedBy, resultsOf } from './publish-parts.ts';
import { requireTopics } from './request/access.ts';
import { telling } from './request/answers.ts';
import { withBody } from './request/body.ts';
import { JSON_TYPE, refusalOf } from './request/json-type.ts';
import { LINES_TYPE, publishLines, refusalOfLines } from './line-publish.ts';
import { compileParametersAlone } from './request/parameters.ts';
import { problems, publishAnswer, publishBody, publishQuery } from './schemas.ts';
import type { Api } from './api.ts';

/** `POST /publish`: the body becomes a batch, the batch waits in the queue, the answer comes after its commit. */
export async function publishRoutes(api: Api, parts: PublishParts): Promise<void> {
  const { queue, body, answers } = parts;
  // A refusal is passed on like a body, and the handler throws it: if a parser fails, Fastify closes the connection.
  // No other body is read between here and the queue, so every batch is always counted somewhere.
  api.addContentTypeParser(JSON_TYPE, async (_request: FastifyRequest, raw: IncomingMessage) =>
    modeOf(raw) === undefined ? receiveBatch(raw, parts).catch((error: unknown) => error) : raw,
  );
  // Read by the handler: lines a part at a time, CloudEvents by their mode.
  api.addContentTypeParser(LINES_TYPE, async (_request: FastifyRequest, raw: IncomingMessage) => raw);
  api.addContentTypeParser('*', async (_request: FastifyRequest, raw: IncomingMessage) => raw);
  api.post(
    '/publish',
    {
      config: { scope: 'publish' },
      schema: {
        summary: 'Publish one event or a batch',
        description:
          'The body is a batch, an array of events or one event; or, as `application/x-ndjson`, any number of lines, an event ' +
          'each; or CloudEvents, in any of their modes. Answered after the events are committed and synced to disk. Send it ' +
          'again whenever no answer came: events that are already stored are dropped and reported as duplicates.',
        tags: ['events'],
        querystring: publishQuery,
        body: publishBody,
        response: { 200: publishAnswer, ...problems(400, 408, 413, 415, 422, 503) },
      },
      onRequest: ({ raw }, reply, done) => {
        const mode = modeOf(raw);
        const type = raw.headers['content-type'] ?? '';
        if (mode !== undefined || ANY_FORMAT.test(type))
          done(refusalOfCloudEvents(raw, reply.raw, mode, parts));
        else if (LINES_TYPE.test(type)) done(refusalOfLines(raw, reply.raw));
        else done(refusalOf(raw, reply.raw, queue.budget, body.bytesMax, { isBodyNeeded: true }));
      },
      onSend: telling(answers),
      // The body was checked while it was read, in one pass.
      validatorCompiler: compileParametersAlone,
    },
    async (request, reply) => {
      const withResults = request.query.results === true;
      const mode = modeOf(request.raw);
      if (mode !== undefined) {
        using owned = await receiveCloudEvents(request.raw, mode, null, parts);
        return await publish(owned.events, request.principal, queue, withResults);
      }
      if (request.body instanceof IncomingMessage)
        return await publishLines(request, reply, parts, withResults);
      if (request.body instanceof Error) throw request.body;
      // Only a body without a type and a length arrives here unread.
      using owned = request.body instanceof OwnedBatch ? request.body : batchOf(Buffer.alloc(0));
      return await publish(owned.events, request.principal, queue, withResults);
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
  const result = batch.count === 0 ? NOTHING : await queue.publish(publishedBy(principal, batch));
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
  bare: null,
};

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
  if (withResults) answer.results = resultsOf(batch, result);
  return answer;
}
