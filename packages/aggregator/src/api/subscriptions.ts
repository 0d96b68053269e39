import {
  type FieldError,
  LIMITS,
  TIMESTAMP_EXPECTED,
  parseTimestamp,
  topicPatternFault,
} from '@chronicleweaver/protocol';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { ByteBudget } from '../queue/byte-budget.ts';
import {
  DONE,
  type Definition,
  type LeaseStates,
  SETTLED,
  type Start,
  UNKNOWN,
} from '../store/subscription-store.ts';
import { type Delivered, SubscriptionGone } from '../subscriptions/dispatcher.ts';
import { isLeaseId } from '../subscriptions/lease-id.ts';
import type { Subscriptions, SubscriptionView } from '../subscriptions/subscriptions.ts';
import { foreignPatterns } from './access.ts';
import type { BodyLimits } from './body.ts';
import { joinedEvents } from './joined-events.ts';
import { takeJsonBodies } from './json-body.ts';
import { ProblemError } from './problems.ts';
import { problems } from './schemas.ts';
import type { Api } from './server.ts';
import {
  type DefinitionBody,
  acknowledgeBody,
  deadAnswer,
  deadQuery,
  definitionBody,
  doneAnswer,
  extendBody,
  giveBackBody,
  pullAnswer,
  pullBody,
  replayAnswer,
  replayBody,
  seekAnswer,
  seekBody,
  subscriptionAnswer,
  subscriptionParams,
  subscriptionsAnswer,
} from './subscription-schemas.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const LEASE_MS = 30_000;
const DELIVERIES_MAX = 5;
const DEAD_EVENTS = 100;

interface Parts {
  readonly subscriptions: Subscriptions;
  readonly budget: ByteBudget;
  readonly body: BodyLimits;
}

/** `/subscriptions`: durable groups, whose workers pull events under leases and acknowledge them. */
export async function subscriptionRoutes(api: Api, { subscriptions, budget, body }: Parts): Promise<void> {
  takeJsonBodies(api, budget, body);
  const tags = ['subscriptions'];
  const params = subscriptionParams;
  const refusals = problems(400, 404, 408, 413, 415, 422, 503);
  const conflicts = problems(409);

  // To a key a group that gives out other topics than its own is not there.
  api.addHook<{ Params: { name?: string } }>('preHandler', (request, _reply, done) => {
    const topics = subscriptions.topicsOf(request.params.name ?? '');
    const isHidden = request.method !== 'PUT' && foreignPatterns(request, topics).length > 0;
    done(isHidden ? new SubscriptionGone('there is no such subscription') : undefined);
  });

  api.put(
    '/subscriptions/:name',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Make a subscription',
        description: 'Answers 201 where it was made and 200 where it is there already with this definition.',
        tags,
        params,
        body: definitionBody,
        response: {
          200: subscriptionAnswer,
          201: subscriptionAnswer,
          ...problems(400, 408, 409, 413, 415, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const definition = definitionOf(request.params.name, request.body);
      refuseForeign(request, definition.topics);
      if (!subscriptions.has(definition.name) && subscriptions.count >= LIMITS.subscriptionsMax) {
        throw new ProblemError(
          'subscriptions_full',
          `there are ${subscriptions.count}; delete one that is not needed`,
        );
      }
      const created = await subscriptions.put(definition);
      switch (created.kind) {
        case 'created':
        case 'same':
          reply.code(created.kind === 'created' ? 201 : 200);
          return viewJson(await subscriptions.view(definition.name));
        case 'differs':
          throw differs(definition.name, WIRE_NAMES[created.field]);
        case 'beyond_end':
          throw beyondEnd('start', created.lastOffset);
      }
    },
  );

  api.get(
    '/subscriptions',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'All subscriptions',
        tags,
        response: { 200: subscriptionsAnswer, ...problems(503) },
      },
    },
    async (request) => {
      const isMeant = ({ topics }: Definition): boolean => foreignPatterns(request, topics).length === 0;
      const views = await subscriptions.list(isMeant);
      return { count: views.length, subscriptions: views.map(viewJson) };
    },
  );

  api.get(
    '/subscriptions/:name',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'How far a subscription has come',
        tags,
        params,
        response: { 200: subscriptionAnswer, ...problems(404, 422, 503) },
      },
    },
    async (request) => viewJson(await subscriptions.view(request.params.name)),
  );

  api.delete(
    '/subscriptions/:name',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Delete a subscription and what is known of its events',
        tags,
        params,
        response: { 204: { description: 'Deleted', type: 'null' }, ...problems(404, 422, 503) },
      },
    },
    async (request, reply) => {
      await subscriptions.remove(request.params.name);
      return reply.code(204).send(null);
    },
  );

  api.post(
    '/subscriptions/:name/pull',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Lease events',
        description:
          'Answers as soon as there is an event, or with none after `wait_ms`. An event that is not acknowledged ' +
          'before its lease runs out is delivered again.',
        tags,
        params,
        body: pullBody,
        response: {
          200: {
            description: 'Events, leased',
            content: { 'application/json': { schema: Type.Unsafe<Uint8Array>(pullAnswer) } },
          },
          ...refusals,
        },
      },
    },
    async (request, reply) => {
      const left = new AbortController();
      reply.raw.once('close', () => left.abort());
      const { max, wait_ms: waitMs } = request.body;
      const events = await subscriptions.pull(request.params.name, max, waitMs, left.signal);
      return reply.type(JSON_TYPE).send(joinedEvents(events, deliveryMembers, ''));
    },
  );

  api.post(
    '/subscriptions/:name/ack',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Acknowledge events',
        description:
          'They are never delivered again. A lease that is not held does not keep the others from being acknowledged: ' +
          'the answer is then 409, tells how many were, and names each that was not. May be sent again.',
        tags,
        params,
        body: acknowledgeBody,
        response: { 200: doneAnswer, ...refusals, ...conflicts },
      },
    },
    async (request) => {
      const ids = leaseIdsOf(request.body.lease_ids);
      return doneJson(await subscriptions.acknowledge(request.params.name, ids), [DONE, SETTLED]);
    },
  );

  api.post(
    '/subscriptions/:name/nack',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Give events back',
        description: 'They are delivered again, or are dead if it was their last delivery.',
        tags,
        params,
        body: giveBackBody,
        response: { 200: doneAnswer, ...refusals, ...conflicts },
      },
    },
    async (request) => {
      const { lease_ids: leaseIds, delay_ms: delayMs } = request.body;
      return doneJson(await subscriptions.giveBack(request.params.name, leaseIdsOf(leaseIds), delayMs), [
        DONE,
      ]);
    },
  );

  api.post(
    '/subscriptions/:name/extend',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Hold leases for longer',
        tags,
        params,
        body: extendBody,
        response: { 200: doneAnswer, ...refusals, ...conflicts },
      },
    },
    async (request) => {
      const { lease_ids: leaseIds, lease_ms: leaseMs = null } = request.body;
      return doneJson(await subscriptions.extend(request.params.name, leaseIdsOf(leaseIds), leaseMs), [DONE]);
    },
  );

  api.get(
    '/subscriptions/:name/dead',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Dead events',
        description: 'Those that were delivered as often as they may be.',
        tags,
        params,
        querystring: deadQuery,
        response: {
          200: {
            description: 'Dead events, ascending by offset',
            content: { 'application/json': { schema: Type.Unsafe<Uint8Array>(deadAnswer) } },
          },
          ...problems(404, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const { after = 0, limit = DEAD_EVENTS } = request.query;
      const { events, next } = await subscriptions.dead(request.params.name, after, limit);
      const answer = joinedEvents(
        events,
        ({ deliveries, deadMs, reason }) =>
          `"deliveries":${deliveries},"dead_at":"${new Date(deadMs).toISOString()}","reason":"${reason}"`,
        `,"next":${next}`,
      );
      return reply.type(JSON_TYPE).send(answer);
    },
  );

  api.post(
    '/subscriptions/:name/dead/replay',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Deliver dead events again',
        description:
          'As often as new ones. Without `offsets` all of them, the lowest first, 10000 at a time.',
        tags,
        params,
        body: replayBody,
        response: { 200: replayAnswer, ...refusals },
      },
    },
    async (request) => subscriptions.replay(request.params.name, request.body.offsets ?? null),
  );

  api.post(
    '/subscriptions/:name/seek',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Go on from another place',
        description:
          'Leases end, and what is behind the new place is delivered, whatever became of it before.',
        tags,
        params,
        body: seekBody,
        response: { 200: seekAnswer, ...refusals, ...conflicts },
      },
    },
    async (request) => {
      const { offset, time } = request.body;
      const to = offset === undefined ? timeOf('time', time!) : placeOf('offset', offset);
      const sought = await subscriptions.seek(request.params.name, to);
      if (sought.kind === 'beyond_end') {
        throw beyondEnd(offset === undefined ? 'time' : 'offset', sought.lastOffset);
      }
      return { cursor: sought.position };
    },
  );
}

function refuseForeign(request: FastifyRequest, topics: readonly string[]): void {
  const errors = foreignPatterns(request, topics).map((index) => ({
    index,
    field: 'topics',
    message: `the key ${request.principal.name} may not use all topics of ${JSON.stringify(topics[index])}`,
  }));
  if (errors.length > 0) {
    throw new ProblemError('forbidden_topic', errors.map(({ message }) => message).join('; '), errors);
  }
}

const WIRE_NAMES: Readonly<Record<Exclude<keyof Definition, 'name'>, keyof DefinitionBody>> = {
  topics: 'topics',
  start: 'start',
  leaseMs: 'lease_ms',
  deliveriesMax: 'max_deliveries',
};

function definitionOf(name: string, body: DefinitionBody): Definition {
  const { topics, start = 'latest', lease_ms: leaseMs, max_deliveries: deliveriesMax } = body;
  const errors = topics.flatMap((topic, index): FieldError[] => {
    const fault = topicPatternFault(topic);
    return fault === undefined
      ? []
      : [{ index, field: 'topics', message: `${JSON.stringify(topic)}: ${fault}` }];
  });
  if (errors.length > 0) throw invalid(errors);
  return {
    name,
    topics: [...new Set(topics)],
    start: typeof start === 'string' && !isEnd(start) ? timeOf('start', start) : placeOf('start', start),
    leaseMs: leaseMs ?? LEASE_MS,
    deliveriesMax: deliveriesMax ?? DELIVERIES_MAX,
  };
}

function isEnd(text: string): text is 'earliest' | 'latest' {
  return text === 'earliest' || text === 'latest';
}

function placeOf(field: string, place: string | number): Start {
  if (typeof place === 'number') return { offset: place };
  if (isEnd(place)) return place;
  const message = `takes an offset, earliest or latest, not ${JSON.stringify(place)}`;
  throw invalid([{ index: null, field, message }]);
}

function timeOf(field: string, text: string): Start {
  const timeMs = parseTimestamp(text);
  if (timeMs !== undefined) return { timeMs };
  const others = field === 'start' ? 'earliest, latest, an offset or ' : '';
  const message = `takes ${others}${TIMESTAMP_EXPECTED}, not ${JSON.stringify(text)}`;
  throw invalid([{ index: null, field, message }]);
}

function leaseIdsOf(ids: readonly string[]): readonly string[] {
  const index = ids.findIndex((id) => !isLeaseId(id));
  if (index === -1) return ids;
  throw invalid([{ index, field: 'lease_ids', message: 'is not a lease id: take it as a pull gave it' }]);
}

function invalid(errors: FieldError[]): ProblemError {
  const faults = errors.map(({ index, field, message }) =>
    index === null ? `${field}: ${message}` : `${field} ${index}: ${message}`,
  );
  return new ProblemError('invalid_parameter', faults.join('; '), errors);
}

/** How many it was done for, or a problem that names the others. */
function doneJson(states: LeaseStates, good: readonly number[]): { done: number } {
  const errors: FieldError[] = [];
  for (const [index, state] of states.entries()) {
    if (good.includes(state)) continue;
    const [code, message] =
      state === UNKNOWN
        ? (['lease_unknown', 'this subscription never gave it'] as const)
        : state === SETTLED
          ? (['lease_expired', 'its event is acknowledged'] as const)
          : (['lease_expired', 'it ran out or was given back; its event is delivered again'] as const);
    errors.push({ index, field: 'lease_ids', message, code });
  }
  const done = states.length - errors.length;
  if (errors.length === 0) return { done };
  const first = errors.find(({ code }) => code === 'lease_unknown') ?? errors[0]!;
  throw new ProblemError(
    first.code!,
    `${errors.length} of ${states.length} leases are not held, the first of them number ${errors[0]!.index}: ` +
      `${errors[0]!.message}; for the other ${done} it was done`,
    errors,
    done,
  );
}

function differs(name: string, field: string): ProblemError {
  return new ProblemError(
    'subscription_differs',
    `${name} is there with another ${field}; delete it first, or take another name`,
    [{ index: null, field, message: 'differs from that of the subscription that is there' }],
  );
}

function beyondEnd(field: string, lastOffset: number): ProblemError {
  return new ProblemError(
    'cursor_beyond_end',
    `${field}: the log ends at offset ${lastOffset}, so it takes an offset up to ${lastOffset + 1}, or a time that is past`,
    [{ index: null, field, message: `is beyond the end of the log, which is at ${lastOffset}` }],
  );
}

function deliveryMembers({ delivery, leaseId }: Delivered): string {
  return `"delivery":${delivery},"lease_id":"${leaseId}"`;
}

function viewJson(view: SubscriptionView) {
  const { start } = view.definition;
  return {
    name: view.definition.name,
    topics: [...view.definition.topics],
    start:
      typeof start === 'string'
        ? start
        : 'offset' in start
          ? start.offset
          : new Date(start.timeMs).toISOString(),
    lease_ms: view.definition.leaseMs,
    max_deliveries: view.definition.deliveriesMax,
    created_at: new Date(view.createdMs).toISOString(),
    cursor: view.cursor,
    lag: view.lag,
    in_flight: view.leased,
    returned: view.returned,
    dead: view.dead,
    deliveries: view.deliveries,
    redeliveries: view.redeliveries,
    acknowledged: view.acknowledged,
  };
}
