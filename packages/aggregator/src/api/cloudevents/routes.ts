import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { publish } from '../publish.ts';
import type { PublishParts } from '../publish-parts.ts';
import { telling } from '../request/answers.ts';
import { compileParametersAlone } from '../request/parameters.ts';
import { problems, publishAnswer, publishQuery, topicParams } from '../schemas.ts';
import type { Api } from '../api.ts';
import { modeOf } from './mode.ts';
import { receiveCloudEvents, refusalOfCloudEvents } from './receive.ts';
import { cloudEventBody } from './schemas.ts';

/** `POST /topics/{topic}/cloudevents`: publishes CloudEvents on a topic, whatever their types. */
export async function cloudEventRoutes(api: Api, parts: PublishParts): Promise<void> {
  const { queue, answers } = parts;
  // In binary mode a body may be of any type. The handler reads it.
  api.addContentTypeParser('*', async (_request: FastifyRequest, raw: IncomingMessage) => raw);
  api.post(
    '/topics/:topic/cloudevents',
    {
      config: { scope: 'publish' },
      schema: {
        summary: 'Publish CloudEvents on a topic',
        description:
          'One CloudEvent in structured or binary mode, or a batch. Its source and id are its identity: sent again, it is a ' +
          'duplicate. Answered as `POST /publish`, which takes CloudEvents, too, and makes the type of each its topic.',
        tags: ['events'],
        consumes: ['application/cloudevents+json', 'application/cloudevents-batch+json'],
        params: topicParams,
        querystring: publishQuery,
        body: cloudEventBody,
        response: { 200: publishAnswer, ...problems(400, 408, 413, 415, 422, 503) },
      },
      onRequest: ({ raw }, reply, done) => {
        done(refusalOfCloudEvents(raw, reply.raw, modeOf(raw), parts));
      },
      onSend: telling(answers),
      // The body is checked while it is read.
      validatorCompiler: compileParametersAlone,
    },
    async (request) => {
      const { topic } = request.params;
      using owned = await receiveCloudEvents(request.raw, modeOf(request.raw)!, topic, parts);
      return await publish(owned.events, request.principal, queue, request.query.results === true);
    },
  );
}
