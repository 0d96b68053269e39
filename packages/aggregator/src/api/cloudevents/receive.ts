import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS } from '@chronicleweaver/protocol';
import { eventsOf } from '../../cloudevents/events-of.ts';
import { type ReadCloudEvents, readJsonFormat } from '../../cloudevents/json-format.ts';
import type { OwnedBatch } from '../../event/event-batch.ts';
import { readEvents } from '../../event/event-reader.ts';
import { freeMemory } from '../../released-memory.ts';
import { batchIn, invalidEvents, requireUtf8 } from '../batch-of.ts';
import type { PublishParts } from '../publish-parts.ts';
import { admit, readPast, withBody } from '../request/body.ts';
import { charsetFault } from '../request/json-type.ts';
import { ProblemError } from '../request/problems.ts';
import { readBinary } from './binary.ts';
import type { Mode } from './mode.ts';

/**
 * What is wrong with such a request before its body is read.
 *
 * @param mode undefined if it carries no CloudEvents
 */
export function refusalOfCloudEvents(
  request: IncomingMessage,
  response: ServerResponse,
  mode: Mode | undefined,
  { queue, body }: PublishParts,
): Error | undefined {
  try {
    if (mode === undefined) throw noCloudEvent();
    const fault = mode === 'binary' ? undefined : charsetFault(request.headers['content-type']!);
    if (fault !== undefined) throw fault;
    admit(request, response, queue.budget, body.bytesMax);
    return undefined;
  } catch (error) {
    readPast(request);
    return error as Error;
  }
}

function noCloudEvent(): ProblemError {
  return new ProblemError(
    'unsupported_media_type',
    'send a CloudEvent as application/cloudevents+json, several as application/cloudevents-batch+json, ' +
      'or one in binary mode, with its attributes in headers such as ce-specversion and ce-id',
  );
}

/**
 * Receives the CloudEvents of a request as a batch of events, in which the caller then owns the memory. Throws as `withBody` does.
 *
 * @param topic null for the type of each
 */
export function receiveCloudEvents(
  request: IncomingMessage,
  mode: Mode,
  topic: string | null,
  { queue, body: limits }: PublishParts,
): Promise<OwnedBatch> {
  return withBody(request, queue.budget, limits, (body) => {
    const reading = { isBatch: mode === 'batch', isTopic: topic === null };
    const cloudEvents = goodOnes(
      mode === 'binary' ? readBinary(request, body, reading) : readStructured(body, reading),
    );
    const events = eventsOf(cloudEvents, topic);
    // What is left of it was copied.
    freeMemory(body);
    return batchIn(readEvents(events));
  });
}

function readStructured(body: Buffer, reading: Parameters<typeof readJsonFormat>[1]): ReadCloudEvents {
  requireUtf8(body);
  return readJsonFormat(body, reading);
}

function goodOnes(read: ReadCloudEvents) {
  switch (read.kind) {
    case 'read':
      return read.events;
    case 'not_json':
      throw new ProblemError('invalid_json', read.message);
    case 'too_many':
      throw new ProblemError(
        'batch_too_large',
        `a batch takes at most ${LIMITS.batchEventsMax} CloudEvents; send the rest in another one`,
      );
    case 'invalid':
      throw invalidEvents(read.errors, read.errorsFound);
  }
}
