import type { IncomingMessage } from 'node:http';
import { type FieldError, PROBLEMS, type Problem, type ProblemCode } from '@chronicleweaver/protocol';
import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { QueueFull } from '../../queue/publish-queue.ts';
import { StoreError } from '../../store/event-store.ts';
import { GroupGone } from '../../groups/dispatcher.ts';
import { FollowRefused } from '../../followers/followers.ts';

/** Seconds after which to retry a refused publish: a full queue is written in less. */
const RETRY_AFTER_S = 1;

/** Thrown by a handler to answer with a problem document. `detail` says what happened and what to do. */
export class ProblemError extends Error {
  readonly code: ProblemCode;
  readonly errors: FieldError[] | undefined;
  readonly done: number | undefined;

  constructor(code: ProblemCode, detail: string, errors?: FieldError[], done?: number) {
    super(detail);
    this.code = code;
    this.errors = errors;
    this.done = done;
  }
}

export function problemOf({ code, message, errors, done }: ProblemError): Problem {
  const { status, title } = PROBLEMS[code];
  const problem: Problem = { type: 'about:blank', status, title, detail: message, code };
  if (errors !== undefined) problem.errors = errors;
  if (done !== undefined) problem.done = done;
  return problem;
}

/** Answers any error as a problem document. */
export function answerError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): void {
  const { headers, problem } = problemAnswer(error, request.raw, request.log);
  // Without a serializer of its own Fastify would add a charset to the type.
  reply.code(problem.status).headers(headers).serializer(JSON.stringify).send(problem);
}

interface ProblemAnswer {
  readonly headers: Readonly<Record<string, string>>;
  readonly problem: Problem;
}

/** The answer to a request that this error ended. An unexpected error is logged with its cause. */
export function problemAnswer(
  error: Error,
  { method, url }: IncomingMessage,
  log: FastifyBaseLogger,
): ProblemAnswer {
  const known = knownProblem(error);
  if (known === undefined) log.error({ err: error, method, url }, 'a request failed');
  else if (known.code === 'store_damaged')
    log.error({ err: error, method, url }, 'stored events could not be read');
  const problem =
    known ?? new ProblemError('internal_error', 'the request could not be answered; the log says why');
  const { status } = PROBLEMS[problem.code];
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' };
  if (status === 503) headers['retry-after'] = `${RETRY_AFTER_S}`;
  // Nobody waits for the rest of a body that is too slow, so the connection cannot carry another request. The rest of
  // any other refused body is read and dropped, because closing with unread bytes would destroy the answer.
  if (status === 408) headers['connection'] = 'close';
  return { headers, problem: problemOf(problem) };
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
    // After a failed sync the events may still be on disk, and the next start may find them.
    const outcome =
      error.code === 'failed'
        ? 'send it again after the restart, whether or not it was stored'
        : 'nothing was stored';
    return new ProblemError('store_unavailable', `${error.message}; ${outcome}`);
  }
  return fastifyProblem(error as FastifyError);
}

function fastifyProblem(error: FastifyError): ProblemError | undefined {
  if (error.validation !== undefined) return parameterProblem(error);
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

/** The problem that names the parameters which their schemas refused. */
function parameterProblem(error: FastifyError): ProblemError {
  const errors = error.validation!.map((fault): FieldError => {
    const extra = fault.params['additionalProperty'];
    const [, field = null, place] = fault.instancePath.split('/');
    if (typeof extra === 'string') return { index: null, field: extra, message: 'unknown parameter' };
    return {
      index: place === undefined ? null : Number(place),
      field,
      message: fault.message ?? 'is not valid',
    };
  });
  const names = errors.map(({ field, message }) => `${field}: ${message}`).join('; ');
  return new ProblemError('invalid_parameter', names, errors);
}
