import { METHODS } from 'node:http';
import type { Duplex } from 'node:stream';
import accepts from '@fastify/accepts';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { LIMITS } from '@chronicleweaver/protocol';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { Consumer } from '../consumer/consumer.ts';
import type { PublishQueue } from '../queue/publish-queue.ts';
import type { EventStore } from '../store/event-store.ts';
import type { Commits } from '../commits/commits.ts';
import type { Followers } from '../followers/followers.ts';
import type { Groups } from '../groups/groups.ts';
import type { Retention } from '../retention/retention.ts';
import type { Sources } from '../sources/sources.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { KeyRing } from '../access/key-ring.ts';
import type { Api } from './api.ts';
import { guardRoutes } from './request/access.ts';
import { answerClientError, connectionsAllowed, guardConnections } from './request/connections.ts';
import { PublishAddresses, notingRefusals } from './audit/refusals.ts';
import { auditRoutes } from './audit/routes.ts';
import { allowOrigins } from './cors.ts';
import { dashboardRoutes } from './about/dashboard.ts';
import { docsRoutes } from './about/docs.ts';
import { duplicateRoutes } from './duplicates/routes.ts';
import { eventsRoutes } from './read/events.ts';
import { type OtlpSettings, otlpRoutes } from './otlp/routes.ts';
import { OWN_COMPILERS, compileParameters } from './request/parameters.ts';
import { ProblemError, badPercent, errorsAnswered, noSuchAddress } from './request/problems.ts';
import { answerHandshakes } from './cloudevents/handshake.ts';
import { cloudEventRoutes } from './cloudevents/routes.ts';
import { publishRoutes } from './publish.ts';
import { noQuery, problems } from './schemas.ts';
import { guardUpgrades } from './request/upgrades.ts';
import { shortenPublishes } from './short-publish.ts';
import { streamRoutes } from './read/stream.ts';
import type { AnswersUnderWay } from './read/answers-under-way.ts';
import { ReadRoom } from './read/read-room.ts';
import { deliveryRoutes } from './in/deliveries.ts';
import type { FixedTopics } from './in/fixed-addresses.ts';
import { sourceRoutes } from './in/source-routes.ts';
import { retentionRoutes } from './retention/routes.ts';
import { groupRoutes } from './groups/routes.ts';
import { metricsRoute } from './about/metrics.ts';
import { systemRoutes } from './about/system.ts';
import type { AnswerListener, DeliveryListener } from './request/answers.ts';
import type { Timeouts } from './request/timeouts.ts';
import type { TlsIdentity } from './request/tls.ts';

export interface ApiParts extends OtlpSettings, FixedTopics {
  readonly queue: PublishQueue;
  readonly consumer: Consumer;
  readonly store: EventStore;
  readonly commits: Commits;
  readonly followers: Followers;
  readonly groups: Groups;
  readonly underWay: AnswersUnderWay;
  readonly retention: Retention;
  readonly sources: Sources;
  readonly audit: AuditTrail;
  /** Undefined if no keys are in force. */
  readonly keys: KeyRing | undefined;
  /** Undefined for plain HTTP. */
  readonly tls: TlsIdentity | undefined;
  readonly log: Logger;
  /** What `/metrics` tells. */
  readonly metrics: Metrics;
  readonly answers: AnswerListener;
  readonly deliveries: DeliveryListener;
  /** Bytes of a request body, counted after decompression. */
  readonly bodyBytesMax: number;
  readonly connectionsMax: number;
  /** Bytes that all answers under way to readers may hold together. */
  readonly readBytesMax: number;
  readonly timeouts: Timeouts;
  /** Origins whose pages may call from a browser. */
  readonly corsOrigins: readonly string[];
  /** Whether webhooks may be sent to addresses that are not public. */
  readonly webhookAllowPrivate: boolean;
}

/** The HTTP side: every resource, and a problem document for everything that goes wrong. It does not listen yet. */
export async function buildApi(parts: ApiParts): Promise<Api> {
  const { queue, consumer, store, commits, followers, groups, underWay, retention, keys, tls, log } = parts;
  const { sources, deliveries, audit, metrics } = parts;
  const publishAddresses = new PublishAddresses();
  const answers = notingRefusals(parts.answers, audit, keys, publishAddresses);
  const { bodyBytesMax, connectionsMax, readBytesMax, corsOrigins, webhookAllowPrivate, timeouts } = parts;
  const { otlpTopic, otlpIdAttribute } = parts;
  // Fastify logs every address that it listens on; we log the start once, with all that matters.
  const frameworkLog: FastifyBaseLogger = log.child(
    {},
    { level: log.isLevelEnabled('warn') ? 'warn' : log.level },
  );
  const http = {
    headersTimeout: timeouts.headersMs,
    connectionsCheckingInterval: timeouts.checkedEveryMs,
    // refuseBadAddresses checks it, and answers with a problem document.
    requireHostHeader: false,
  };
  const https = tls && { ...http, cert: tls.cert, key: tls.key, handshakeTimeout: timeouts.headersMs };
  const answerError = errorsAnswered(answers);
  const options = {
    loggerInstance: frameworkLog,
    logController: new LogController({ disableRequestLogging: true }),
    // Requests are not logged, so none needs a logger of its own, at 2 µs each.
    childLoggerFactory: (logger: FastifyBaseLogger) => logger,
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: timeouts.keepAliveMs,
    // One character takes up to 12 in a URL.
    routerOptions: { maxParamLength: LIMITS.eventIdCharsMax * 12 },
    schemaController: OWN_COMPILERS,
    frameworkErrors: answerError,
    clientErrorHandler: (error: NodeJS.ErrnoException, socket: Duplex) =>
      answerClientError(error, socket, answers),
    // refuseOnceClosing answers, with a problem document.
    return503OnClosing: false,
  };
  // Only Fastify's types distinguish the two servers here.
  const served = https === undefined ? { ...options, http } : ({ ...options, https } as typeof options);
  const api: Api = Fastify(served).withTypeProvider<TypeBoxTypeProvider>();
  guardConnections(api.server, connectionsAllowed(connectionsMax, log), log, answers);
  for (const method of METHODS) if (!api.supportedMethods.includes(method)) api.addHttpMethod(method);
  api.removeAllContentTypeParsers();
  api.setErrorHandler(answerError);
  api.setValidatorCompiler(compileParameters);
  // The schemas of answers are for the document; tests check every answer against it.
  api.setSerializerCompiler(() => JSON.stringify);

  answerHandshakes(api);
  await allowOrigins(api, corsOrigins);
  refuseOnceClosing(api);
  guardRoutes(api, keys);
  refuseBadAddresses(api);
  answerInTurn(api);
  publishAddresses.watch(api);
  const methodsByPath = noteRoutes(api);
  refuseParametersWhereNoneIsTaken(api);
  docsRoutes(api);
  await api.register(accepts);
  const body = { bytesMax: bodyBytesMax, pauseMs: timeouts.bodyPauseMs };
  await api.register(publishRoutes, { queue, body, answers });
  await api.register(cloudEventRoutes, { queue, body, answers });
  await api.register(otlpRoutes, { queue, body, answers, otlpTopic, otlpIdAttribute });
  shortenPublishes(api, { queue, body, keys, answers });
  guardUpgrades(api.server);
  const room = new ReadRoom(readBytesMax, timeouts.readStalledMs);
  await api.register(eventsRoutes, { store, room, underWay });
  await api.register(streamRoutes, { store, commits, followers });
  await api.register(groupRoutes, { groups, budget: queue.budget, body, webhookAllowPrivate });
  await api.register(retentionRoutes, { retention, budget: queue.budget, body, audit, log });
  await api.register(sourceRoutes, { sources, budget: queue.budget, body, log });
  const { lokiTopic, segmentTopic } = parts;
  const delivery = { queue, body, answers, sources, deliveries, keys, log, lokiTopic, segmentTopic };
  await api.register(deliveryRoutes, delivery);
  dashboardRoutes(api);
  await api.register(duplicateRoutes, { store });
  await api.register(auditRoutes, { audit, trail: store.audit });
  await api.register(systemRoutes, { store, queue, consumer, followers });
  await api.register(metricsRoute, { metrics });
  refuseTheRest(api, methodsByPath);
  return api;
}

/** Answers 503 once a close has begun; earlier requests are still answered. */
function refuseOnceClosing(api: Api): void {
  let closing = false;
  api.addHook('preClose', async () => {
    closing = true;
  });
  api.addHook('onRequest', (_request, _reply, done) => {
    done(
      closing
        ? new ProblemError('shutting_down', 'the server is stopping; send the request again')
        : undefined,
    );
  });
}

/**
 * HTTP/1.1 requires a Host header, though nothing here depends on it (RFC 9112, 3.2). The router refuses a path that
 * it cannot decode, but would leave such a query as it is.
 */
function refuseBadAddresses(api: Api): void {
  api.addHook('onRequest', ({ url, raw }, _reply, done) => {
    if (raw.headers.host === undefined && raw.httpVersionMinor === 1) {
      return done(new ProblemError('invalid_request', 'HTTP/1.1 requires a Host header'));
    }
    const start = url.indexOf('?');
    if (start < 0 || !url.includes('%', start)) return done();
    let refusal: Error | undefined;
    try {
      decodeURIComponent(url.slice(start));
    } catch {
      refusal = badPercent();
    }
    done(refusal);
  });
}

/**
 * A pipelined request begins once the one before it is answered: a packet can hold a thousand requests, and each
 * could hold a page. Publishes are exempt: they share a commit and the queue bounds them.
 */
function answerInTurn(api: Api): void {
  api.addHook('onRequest', (request, { raw }, done) => {
    if (raw.socket !== null || PUBLISHING.has(request.routeOptions.url)) done();
    else raw.once('socket', () => done());
  });
}

const PUBLISHING: ReadonlySet<string | undefined> = new Set(['/publish', '/topics/:topic/cloudevents']);

/** Records the methods of each path as its routes are registered. */
function noteRoutes(api: Api): Map<string, Set<string>> {
  const methodsByPath = new Map<string, Set<string>>();
  api.addHook('onRoute', ({ url, method }) => {
    const methods = methodsByPath.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    methodsByPath.set(url, methods);
  });
  return methodsByPath;
}

/**
 * A resource that declares no parameters takes none, instead of ignoring those that it gets [ERR-4]. What is open to everyone takes
 * any: balancers that ask whether the service is well may add some, and so may senders.
 */
function refuseParametersWhereNoneIsTaken(api: Api): void {
  api.addHook('onRoute', (route) => {
    const isOpen = route.config?.scope === 'open' || route.config?.scope === 'sender';
    if (route.schema === undefined || route.schema.hide === true || isOpen) return;
    const response = { ...problems(422), ...(route.schema.response as object) };
    route.schema = { querystring: noQuery, ...route.schema, response };
  });
}

/** Answers 405 for a known path with any other HTTP method, 404 for an unknown path, both before a body is read. */
function refuseTheRest(api: Api, methodsByPath: ReadonlyMap<string, ReadonlySet<string>>): void {
  for (const [url, methods] of methodsByPath) {
    if (url.includes('*') || (url !== '/' && url.endsWith('/'))) continue;
    const others = api.supportedMethods.filter((method) => !methods.has(method));
    const allow = [...methods].join(', ');
    const refuse = async (request: FastifyRequest, reply: FastifyReply) => {
      reply.header('allow', allow);
      throw new ProblemError('method_not_allowed', `${url} takes ${allow}, not ${request.method}`);
    };
    api.route({
      url,
      method: others,
      schema: { hide: true },
      config: { scope: 'any' },
      onRequest: refuse,
      handler: refuse,
    });
  }
  const refuse = async (request: FastifyRequest) => {
    throw noSuchAddress(request);
  };
  api.setNotFoundHandler({ preValidation: refuse }, refuse);
}
