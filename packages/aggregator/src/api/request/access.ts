import type { IncomingMessage, ServerResponse } from 'node:http';
import { LIMITS, type FieldError, topicPatternCovers } from '@chronicleweaver/protocol';
import type { FastifyRequest, RouteOptions } from 'fastify';
import { Key, type KeyRing } from '../../access/key-ring.ts';
import { ANYONE, type Principal, STRANGER, type Scope } from '../../access/principal.ts';
import { type EventBatch, SPANS_PER_EVENT, TOPIC, partText } from '../../event/event-batch.ts';
import { ProblemError } from './problems.ts';
import { problems } from '../schemas.ts';
import type { Api } from '../api.ts';

/**
 * What a route requires: nothing, any key, a key with this scope, or a key with one of these scopes; or that the route itself finds
 * out who sends.
 */
type RouteScope = 'open' | 'any' | 'sender' | Scope | readonly Scope[];

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route must declare it; otherwise the service does not start. */
    scope?: RouteScope;
  }
  interface FastifyRequest {
    /** Who makes the request. Set by the first hook. */
    principal: Principal;
  }
}

/**
 * Checks the key of every request before any of its body is read; if no keys are in force, everyone may do everything.
 * Call it before any route is registered.
 */
export function guardRoutes(api: Api, keys: KeyRing | undefined): void {
  const routes: RouteOptions[] = [];
  api.addHook('onRoute', (route) => {
    routes.push(route);
    documentScope(route);
  });
  api.addHook('onReady', async () => {
    const missing = routes.filter(({ config }) => config?.scope === undefined);
    if (missing.length > 0) {
      throw new Error(
        `no scope is declared for ${missing.map(({ method, url }) => `${String(method)} ${url}`).join(', ')}`,
      );
    }
  });
  api.decorateRequest('principal');
  api.addHook('onRequest', (request, reply, done) => {
    // A request without a key must not learn which addresses exist.
    const scope = request.is404 ? 'any' : request.routeOptions.config.scope;
    let refusal: Error | undefined;
    try {
      request.principal = admitted(keys, scope, request.raw, reply.raw);
    } catch (error) {
      refusal = error as Error;
    }
    done(refusal);
  });
}

/**
 * The principal of the request, if it may make it. Otherwise throws a ProblemError, with the headers that belong to
 * the refusal already set on the response.
 *
 * @param keys undefined if no keys are in force
 * @param scope what the request needs; undefined is more than any key has
 */
export function admitted(
  keys: KeyRing | undefined,
  scope: RouteScope | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Principal {
  if (keys === undefined) return ANYONE;
  if (scope === 'open' || scope === 'sender') return STRANGER;
  const { authorization } = request.headers;
  const key = keyIn(keys, request, scope === 'publish');
  if (key === undefined) {
    const isGiven = authorization !== undefined;
    response.setHeader('www-authenticate', isGiven ? `${CHALLENGE}, error="invalid_token"` : CHALLENGE);
    throw new ProblemError(
      'unauthorized',
      isGiven
        ? 'the key of this request is not in force; send "Authorization: Bearer KEY" with a valid one'
        : 'this server requires a key; send "Authorization: Bearer KEY"',
    );
  }
  const waitMs = key.take();
  if (waitMs > 0) {
    const waitS = Math.ceil(waitMs / 1000);
    response.setHeader('retry-after', waitS);
    throw new ProblemError(
      'rate_limited',
      `the key ${key.name} has exceeded its rate; try again in ${waitS} s`,
    );
  }
  const wanted = [scope ?? []].flat().filter((one) => one !== 'any');
  if (scope === undefined || (wanted.length > 0 && !wanted.some((one) => key.scopes.has(one)))) {
    response.setHeader(
      'www-authenticate',
      `${CHALLENGE}, error="insufficient_scope", scope="${wanted.join(' ')}"`,
    );
    throw new ProblemError('forbidden', `the key ${key.name} does not have the scope ${wanted.join(' or ')}`);
  }
  // A revoked key ends even a read of many hours, but a publish still gets its answer.
  if (scope !== 'publish') endWithKey(key, response);
  return key;
}

/** The key that the request sent, if it is in force; in Basic, too, if it is a publish. */
export function keyIn(keys: KeyRing, { headers }: IncomingMessage, isPublish: boolean): Key | undefined {
  const { authorization } = headers;
  const secret =
    BEARER.exec(authorization ?? '')?.[1] ?? (isPublish ? basicSecret(authorization) : undefined);
  return secret === undefined ? undefined : keys.find(secret);
}

/** RFC 6750: the scheme in any case, then a token. */
const BEARER = /^Bearer +([\w~+/.-]+=*) *$/i;
export const CHALLENGE = 'Bearer realm="ChronicleWeaver"';

/**
 * The key of somebody who can only send a user name and a password, as some senders of logs and Segment's libraries: it is the
 * password, or without one the name. Only publishes take it: a browser that was once given a password adds it by itself.
 */
function basicSecret(authorization = ''): string | undefined {
  const encoded = BASIC.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const [, name, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
  return password === '' ? name : password;
}

/** RFC 7617. */
const BASIC = /^Basic +([A-Za-z0-9+/]+=*) *$/i;

function endWithKey(key: Key, response: ServerResponse): void {
  key.begun(response);
  response.once('close', () => key.over(response));
}

/** The topics that a read may return, for a store's filter; undefined means every topic. */
export function visiblePatterns({ principal }: FastifyRequest): readonly (readonly string[])[] | undefined {
  return principal.topicPatterns === undefined ? undefined : [principal.topicPatterns];
}

/** Throws a ProblemError if the key may not use the topic, whether or not it exists. */
export function requireTopic({ principal }: FastifyRequest, topic: string): void {
  if (!principal.mayUse(topic)) {
    throw new ProblemError(
      'forbidden_topic',
      `the key ${principal.name} may not use the topic ${JSON.stringify(topic)}`,
    );
  }
}

/** The places of the patterns that include topics which the key may not use. */
export function foreignPatterns({ principal }: FastifyRequest, patterns: readonly string[]): number[] {
  const { topicPatterns } = principal;
  if (topicPatterns === undefined) return [];
  const isForeign = (narrow: string): boolean =>
    !topicPatterns.some((wide) => topicPatternCovers(wide, narrow));
  return [...patterns.keys()].filter((place) => isForeign(patterns[place]!));
}

/** Throws a ProblemError if the principal may not use the topic of every event. */
export function requireTopics(principal: Principal, batch: EventBatch): void {
  if (principal.topicPatterns === undefined) return;
  const { errors, errorsFound, topic } = forbiddenTopics(principal, batch);
  const first = errors[0];
  if (first === undefined) return;
  const more = errorsFound > 1 ? ` (the first of ${errorsFound} errors)` : '';
  const detail = `event ${first.index}, topic: ${first.message}${more}; nothing was stored`;
  throw new ProblemError('forbidden_topic', detail, errors).about(topic!);
}

/** The events whose topic the principal may not use, in order: the first ones as errors, how many there are, and the first topic. */
export function forbiddenTopics(
  principal: Principal,
  batch: EventBatch,
): { errors: FieldError[]; errorsFound: number; topic: string | undefined } {
  const errors: FieldError[] = [];
  let errorsFound = 0;
  let first: string | undefined;
  if (principal.topicPatterns === undefined) return { errors, errorsFound, topic: first };
  // A batch has many events and few topics. Reading the bytes as Latin-1 is the fastest way to tell topics apart.
  const isAllowed = new Map<string, boolean>();
  const bytes = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
  for (let index = 0; index < batch.count; index++) {
    const at = index * SPANS_PER_EVENT + TOPIC;
    const topicBytes = bytes.toString('latin1', batch.spans[at], batch.spans[at + 1]);
    let allowed = isAllowed.get(topicBytes);
    if (allowed === undefined) {
      allowed = principal.mayUse(partText(batch, index, TOPIC));
      isAllowed.set(topicBytes, allowed);
    }
    if (allowed) continue;
    errorsFound += 1;
    if (errors.length < LIMITS.problemErrorsMax) {
      const topic = partText(batch, index, TOPIC);
      const message = `the key ${principal.name} may not use the topic ${JSON.stringify(topic)}`;
      first ??= topic;
      errors.push({ index, field: 'topic', message });
    }
  }
  return { errors, errorsFound, topic: first };
}

/** Documents in the OpenAPI document which key the route requires and how it refuses. */
function documentScope({ schema, config }: RouteOptions): void {
  if (schema === undefined || schema.hide === true || config?.scope === undefined) return;
  const wanted = [config.scope].flat().filter((one) => one !== 'open' && one !== 'any');
  // The entries are alternatives: one of the scopes is enough, and a sender may need a key or none.
  schema.security = wanted.flatMap((one) => (one === 'sender' ? [{}, { key: ['publish'] }] : { key: [one] }));
  if (config.scope !== 'open')
    schema.response = { ...problems(401, 403, 429), ...(schema.response as object) };
}
