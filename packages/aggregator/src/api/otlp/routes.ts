import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RecordRules } from '../../otlp/record-events.ts';
import { TopicTemplate } from '../../event/topic-template.ts';
import type { Principal } from '../../access/principal.ts';
import type { Api } from '../api.ts';
import { publish } from '../publish.ts';
import { type PublishParts, eventsBytesMax } from '../publish-parts.ts';
import { type AnswerListener, telling } from '../request/answers.ts';
import { admit, readPast } from '../request/body.ts';
import { JSON_TYPE, charsetFault } from '../request/json-type.ts';
import { compileParametersAlone } from '../request/parameters.ts';
import { ProblemError, problemAnswer } from '../request/problems.ts';
import { OTLP_TYPE, encodingOf } from './encoding.ts';
import type { ReceivedLogs } from './messages.ts';
import { logsBody, logsResponses } from './schemas.ts';

export interface OtlpSettings {
  /** How topics are named, as `TopicTemplate` takes it. */
  readonly otlpTopic: string;
  /** The attribute that identifies a record. */
  readonly otlpIdAttribute: string;
}

/** The code that reads and writes these messages, loaded when the first of them comes. */
const loaded = () => import('./messages.ts');

/**
 * `POST /v1/logs`, to which OpenTelemetry's exporters and collectors send log records (OTLP/HTTP 1.x,
 * https://opentelemetry.io/docs/specs/otlp/#otlphttp). Records become events and are published like any others; requests
 * and answers are OTLP's messages, and so are refusals.
 */
export async function otlpRoutes(api: Api, parts: PublishParts & OtlpSettings): Promise<void> {
  const { queue, body, answers } = parts;
  const topic = new TopicTemplate(parts.otlpTopic);
  const rulesFor = ({ mayUse }: Principal): RecordRules => ({
    topic,
    idAttribute: parts.otlpIdAttribute,
    mayUse,
    bytesMax: eventsBytesMax(body),
  });
  // A refusal is passed on like a body, and the handler throws it: if a parser fails, Fastify closes the connection.
  api.addContentTypeParser(OTLP_TYPE, (request: FastifyRequest, raw: IncomingMessage) =>
    loaded()
      .then(({ receiveLogs }) => receiveLogs(raw, parts, rulesFor(request.principal)))
      .catch((error: unknown) => error),
  );
  api.post(
    '/v1/logs',
    {
      config: { scope: 'publish' },
      schema: {
        summary: 'Take log records of OpenTelemetry (OTLP/HTTP)',
        description:
          'An ExportLogsServiceRequest, as JSON or protobuf. Each record becomes an event; answered after they are committed ' +
          'and synced to disk. Records that are already stored are dropped, so an exporter may retry.',
        tags: ['events'],
        body: logsBody,
        response: logsResponses,
      },
      onRequest: ({ raw }, reply, done) => {
        try {
          const type = raw.headers['content-type'] ?? '';
          const fault = JSON_TYPE.test(type) ? charsetFault(type) : undefined;
          if (fault !== undefined) throw fault;
          if (encodingOf(raw) === undefined) {
            throw new ProblemError(
              'unsupported_media_type',
              'send application/x-protobuf or application/json',
            );
          }
          admit(raw, reply.raw, queue.budget, body.bytesMax);
          done();
        } catch (error) {
          readPast(raw);
          done(error as Error);
        }
      },
      onSend: telling(answers),
      errorHandler: statusesAnswered(answers),
      // The body was checked while it was read, in one pass.
      validatorCompiler: compileParametersAlone,
    },
    async ({ body: received, principal, raw }, reply) => {
      if (received instanceof Error) throw received;
      const { owned: batch, refused } = received as ReceivedLogs;
      using owned = batch;
      const { conflicts } = await publish(owned.events, principal, queue, false);
      if (refused.tooLarge > 0) answers.recordsRefused('invalid_event', refused.tooLarge, raw);
      if (refused.foreign > 0) answers.recordsRefused('forbidden_topic', refused.foreign, raw);
      const { logsAnswer } = await loaded();
      const encoding = encodingOf(raw)!;
      return reply.header('content-type', encoding).send(logsAnswer(encoding, conflicts, refused));
    },
  );
}

/** What answers any error with a Status, encoded as the request. */
function statusesAnswered(answers: AnswerListener) {
  return (cause: Error, { raw, log }: FastifyRequest, reply: FastifyReply): void => {
    const { headers, problem } = problemAnswer(cause, raw, log, answers);
    const encoding = encodingOf(raw) ?? 'application/json';
    const answer = async (): Promise<void> => {
      const { statusAnswer } = await loaded();
      const { status, retryAfterS, body } = statusAnswer(problem, encoding);
      reply.code(status).headers({ ...headers, 'content-type': encoding });
      // A key's rate says by itself when it allows more.
      if (retryAfterS !== undefined && !reply.hasHeader('retry-after'))
        reply.header('retry-after', retryAfterS);
      reply.send(body);
    };
    // Without the code for messages, a problem document is the answer.
    answer().catch((failure: unknown) => reply.send(failure));
  };
}
