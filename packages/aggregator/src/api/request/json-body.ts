import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { encodingFault } from '@chronicleweaver/protocol';
import type { FastifyRequest } from 'fastify';
import type { ByteBudget } from '../../queue/byte-budget.ts';
import { type BodyLimits, withBody } from './body.ts';
import { readJson } from './json-text.ts';
import { JSON_TYPE, notJson, refusalOf } from './json-type.ts';
import { compileBody, compileParameters } from './parameters.ts';
import { ProblemError } from './problems.ts';
import type { Api } from '../api.ts';

/** The most bytes of a body other than a publish: ten thousand lease ids, with room to spare. */
const JSON_BYTES_MAX = 1024 * 1024;

/** Lets the routes of this scope accept small JSON bodies, checked by their schemas. A missing body counts as `{}`. */
export function takeJsonBodies(api: Api, budget: ByteBudget, { bytesMax, pauseMs }: BodyLimits): void {
  const limits = { bytesMax: Math.min(bytesMax, JSON_BYTES_MAX), pauseMs };
  // A refusal is passed on like a body and thrown later: if a parser fails, Fastify closes the connection.
  api.addContentTypeParser(JSON_TYPE, (_request: FastifyRequest, raw: IncomingMessage) =>
    withBody(raw, budget, limits, parse).catch((error: unknown) => error),
  );
  // Only chunked bodies that are not JSON arrive here. An empty one counts as missing; any other is refused.
  api.addContentTypeParser('*', (_request: FastifyRequest, raw: IncomingMessage) =>
    withBody(raw, budget, { bytesMax: 0, pauseMs }, parse).catch((error: unknown) =>
      error instanceof ProblemError && error.code === 'body_too_large' ? notJson() : error,
    ),
  );
  api.addHook('onRequest', ({ raw }, reply, done) => {
    done(refusalOf(raw, reply.raw, budget, limits.bytesMax, { isBodyNeeded: false }));
  });
  api.addHook('preValidation', (request, _reply, done) => {
    request.body ??= {};
    done(request.body instanceof Error ? request.body : undefined);
  });
  api.setValidatorCompiler((part) =>
    part.httpPart === 'body' ? compileBody(part.schema as object) : compileParameters(part),
  );
}

function parse(body: Buffer): unknown {
  if (body.length === 0) return {};
  if (!isUtf8(body)) {
    throw new ProblemError('invalid_encoding', `the body ${encodingFault(body)}: send it as UTF-8`);
  }
  return readJson(body);
}
