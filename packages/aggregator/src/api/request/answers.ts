import type { IncomingMessage } from 'node:http';
import type { ProblemCode } from '@chronicleweaver/protocol';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** Told of what the HTTP side answers, by whoever counts it. It must not throw. */
export interface AnswerListener {
  /** A publish gets its answer now, this long after its head arrived. */
  published(status: number, ms: number): void;
  /** A request, or what was sent in place of one, is refused with this code. */
  refused(code: ProblemCode, about?: RefusedRequest): void;
  /** Of a request of log records that was taken, so many records were not, each for the reason of this code. */
  recordsRefused(code: ProblemCode, count: number, request: IncomingMessage): void;
}

interface RefusedRequest {
  readonly request: IncomingMessage;
  /** The topic that is at fault, if it is one. */
  readonly topic: string | undefined;
}

/** The hook `onSend` of a route that takes publishes: tells of each answer. */
export function telling(answers: AnswerListener) {
  return (
    _request: FastifyRequest,
    reply: FastifyReply,
    payload: unknown,
    done: (error: null, payload: unknown) => void,
  ): void => {
    answers.published(reply.statusCode, reply.elapsedTime);
    done(null, payload);
  };
}

/** Told of what becomes of deliveries, by whoever counts them. It must not throw. */
export interface DeliveryListener {
  /** @param kind of the source; `unknown` for those that there are not */
  delivered(kind: string, outcome: DeliveryOutcome): void;
}

/** What became of a delivery: the best that became of its events, an answer without an event, a refusal, or no room for it. */
export type DeliveryOutcome = 'accepted' | 'conflict' | 'duplicate' | 'answered' | 'refused' | 'unavailable';
