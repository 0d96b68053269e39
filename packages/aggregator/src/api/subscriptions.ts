import { LIMITS } from '@chronicleweaver/protocol';
import type { FastifyRequest } from 'fastify';
import { Type } from '../json-schema.ts';
import type { ByteBudget } from '../queue/byte-budget.ts';
import { DONE, type Definition, SETTLED } from '../store/subscription-store.ts';
import { SubscriptionGone } from '../subscriptions/dispatcher.ts';
import type { Subscriptions } from '../subscriptions/subscriptions.ts';
import { foreignPatterns } from './access.ts';
import type { BodyLimits } from './body.ts';
import { joinedEvents } from './joined-events.ts';
import { takeJsonBodies } from './json-body.ts';
import { ProblemError } from './problems.ts';
import { problems } from './schemas.ts';
import type { Api } from './server.ts';
import { beyondEnd, deliveryMembers, differs, doneJson, viewJson } from './subscription-answers.ts';
import { definitionOf, leaseIdsOf, placeOf, timeOf } from './subscription-requests.ts';
import {
  acknowledgeBody,
  deadAnswer,
  deadQuery,
  definitionBody,
  doneAnswer,
  emptyBody,
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
const DEAD_EVENTS = 100;

/** What workers ask, who are not there where events are sent. */
const PULLED: ReadonlySet<string> = new Set(['pull', 'ack', 'nack', 'extend']);

interface Parts {
  readonly subscriptions: Subscriptions;
  readonly budget: ByteBudget;
  readonly body: BodyLimits;
  /** Whether webhooks may lead to addresses that are not public. */
  readonly webhookAllowPrivate: boolean;
}

/** `/subscriptions`: durable groups, whose workers pull events under leases and acknowledge them. */
export async function subscriptionRoutes(api: Api, parts: Parts): Promise<void> {
  const { subscriptions, budget, body, webhookAllowPrivate } = parts;
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

  api.addHook<{ Params: { name?: string } }>('preHandler', (request, _reply, done) => {
    const name = request.params.name ?? '';
    const resource = request.routeOptions.url?.split('/').at(-1) ?? '';
    let refusal: ProblemError | undefined;
    if (PULLED.has(resource) && subscriptions.isPushed(name)) {
      refusal = new ProblemError('subscription_pushes', `the events of ${name} are sent to its webhook`);
    }
    done(refusal);
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
      const definition = definitionOf(request.params.name, request.body, webhookAllowPrivate);
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
          throw differs(definition.name, created.field);
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
          ...conflicts,
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
    '/subscriptions/:name/resume',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Let a webhook go on',
        description:
          'Where it is paused, or waits for its next attempt: the event that it waits with is sent at once.',
        tags,
        params,
        body: emptyBody,
        response: { 200: subscriptionAnswer, ...refusals, ...conflicts },
      },
    },
    async (request) => {
      const { name } = request.params;
      if (subscriptions.has(name) && !subscriptions.isPushed(name)) {
        throw new ProblemError('subscription_pulls', `nothing of ${name} is sent: its workers pull`);
      }
      await subscriptions.resume(name);
      return viewJson(await subscriptions.view(name));
    },
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
