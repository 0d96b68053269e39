import type { IncomingMessage } from 'node:http';
import {
  type FieldError,
  PROBLEMS,
  type Problem,
  type ProblemCode,
  type PublishCounts,
} from '@chronicleweaver/protocol';
import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { QueueFull } from '../../queue/publish-queue.ts';
import { StoreError, type StoreErrorCode } from '../../store/event-store.ts';
import { GroupGone } from '../../groups/dispatcher.ts';
import { FollowRefused } from '../../followers/followers.ts';
import type { ErrorObject } from 'ajv';
import type { AnswerListener } from './answers.ts';
import { detailOf, faultsOf } from './field-faults.ts';

/** Seconds after which to retry a refused publish: a full queue is written in less. */
const RETRY_AFTER_S = 1;

/** What became of a publish that the store failed, where it is not certain that nothing did. */
const OUTCOMES: Partial<Record<StoreErrorCode, string>> = {
  // After a failed sync the events may still be on disk, and the next start may find them.
  failed: 'send it again after the restart, whether or not it was stored',
  in_doubt: 'send it again, whether or not it was stored: it is stored once',
};

/** What a problem tells besides what every problem tells. */
type ProblemMembers = Omit<Problem, 'type' | 'status' | 'title' | 'detail' | 'code' | 'errors'>;

/** Thrown by a handler to answer with a problem document. `detail` says what happened and what to do. */
export class ProblemError extends Error {
  readonly code: ProblemCode;
  readonly errors: FieldError[] | undefined;
  readonly members: ProblemMembers;
  /** The topic that it is about, if it is about one, for the audit trail. */
  topic: string | undefined;

  constructor(code: ProblemCode, detail: string, errors?: FieldError[], members: ProblemMembers = {}) {
    super(detail);
    this.code = code;
    this.errors = errors;
    this.members = members;
  }

  /** Says which topic it is about. */
  about(topic: string): this {
    this.topic = topic;
    return this;
  }
}

export function problemOf({ code, message, errors, members }: ProblemError): Problem {
  const { status, title } = PROBLEMS[code];
  const problem: Problem = { type: 'about:blank', status, title, detail: message, code };
  if (errors !== undefined) problem.errors = errors;
  return { ...problem, ...members };
}

/** What answers any error as a problem document. */
export function errorsAnswered(answers: AnswerListener) {
  return (error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): void => {
    const { headers, problem } = problemAnswer(error, request.raw, request.log, answers);
    // Without a serializer of its own Fastify would add a charset to the type.
    reply.code(problem.status).headers(headers).serializer(JSON.stringify).send(problem);
  };
}

interface ProblemAnswer {
  readonly headers: Readonly<Record<string, string>>;
  readonly problem: Problem;
}

/** The answer to a request that this error ended. An unexpected error is logged with its cause. */
export function problemAnswer(
  error: Error,
  request: IncomingMessage,
  log: FastifyBaseLogger,
  answers: AnswerListener,
): ProblemAnswer {
  const { method, url } = request;
  const known = knownProblem(error);
  if (known === undefined) log.error({ err: error, method, url }, 'a request failed');
  else if (known.code === 'store_damaged')
    log.error({ err: error, method, url }, 'stored events could not be read');
  const problem =
    known ?? new ProblemError('internal_error', 'the request could not be answered; the log says why');
  answers.refused(problem.code, { request, topic: problem.topic });
  const { status } = PROBLEMS[problem.code];
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (status === 503) headers['retry-after'] = `${RETRY_AFTER_S}`;
  // Nobody waits for the rest of a body that is too slow, so the connection cannot carry another request. The rest of
  // any other refused body is read and dropped, because closing with unread bytes would destroy the answer.
  if (status === 408) headers['connection'] = 'close';
  return { headers, problem: problemOf(problem) };
}

/** The problem that an error of a publish means to its client; the error itself if it is unexpected. */
export function publishFailure(error: Error, published: PublishCounts): Error {
  const known = knownProblem(error);
  if (known === undefined) return error;
  const { events_count: count } = published;
  const members = { ...known.members, published };
  if (error === known || count === 0)
    return new ProblemError(known.code, known.message, known.errors, members);
  const stored = count === 1 ? 'the event before is stored' : `the ${count} events before are stored`;
  const detail = `${error.message}; ${stored}: send the rest or all of it again`;
  return new ProblemError(known.code, detail, known.errors, members);
}

function knownProblem(error: FastifyError | Error): ProblemError | undefined {
  if (error instanceof ProblemError) return error;
  if (error instanceof FollowRefused) {
    return new ProblemError(error.reason === 'full' ? 'followers_full' : 'shutting_down', error.message);
  }
  if (error instanceof GroupGone) {
    return new ProblemError(
      'subscription_not_found',
      `${error.message}; PUT /subscriptions/{name} creates one`,
    );
  }
  if (error instanceof QueueFull) {
    return new ProblemError(
      'queue_full',
      `${error.message}; nothing of this publish was stored: send it again`,
    );
  }
  if (error instanceof StoreError && error.code === 'damaged') {
    return new ProblemError('store_damaged', `${error.message}; the operator should run npm run verify`);
  }
  if (error instanceof StoreError) {
    return new ProblemError(
      'store_unavailable',
      `${error.message}; ${OUTCOMES[error.code] ?? 'nothing was stored'}`,
    );
  }
  return fastifyProblem(error as FastifyError);
}

function fastifyProblem(error: FastifyError): ProblemError | undefined {
  if (error.validation !== undefined) return fieldProblem(error);
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ProblemError('unsupported_media_type', 'send the body as application/json');
    case 'FST_ERR_BAD_URL':
      return badPercent();
    case 'FST_STATIC_FORBIDDEN_PATH':
      return new ProblemError('not_found', 'there is no such file; see /docs');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new ProblemError('uri_too_long', 'a part of the address is longer than any valid name');
    default:
      return error.statusCode === 400 ? new ProblemError('invalid_request', error.message) : undefined;
  }
}

export function noSuchAddress({ method, url }: FastifyRequest): ProblemError {
  return new ProblemError('not_found', `there is no ${method} ${url.split('?')[0]}; see /docs`);
}

export function badPercent(): ProblemError {
  return new ProblemError(
    'invalid_request',
    'the address contains a % that does not encode UTF-8 with two hexadecimal digits',
  );
}

/** Refuses a request for what is wrong with these fields. */
export function invalidFields(errors: readonly FieldError[]): ProblemError {
  return new ProblemError('invalid_parameter', detailOf(errors), [...errors]);
}

/** The problem that names the fields which their schemas refused. */
function fieldProblem({ validation, validationContext }: FastifyError): ProblemError {
  // As the validators of parameters.ts make them.
  const refused = validation as unknown as readonly ErrorObject[];
  return invalidFields(faultsOf(refused, validationContext === 'body' ? 'body' : 'address'));
}
