import type { FastifyRequest } from 'fastify';
import { Type } from '../../json-schema.ts';
import type { ByteBudget } from '../../queue/byte-budget.ts';
import { DONE, type Definition, SETTLED } from '../../store/group-store.ts';
import { GroupGone } from '../../groups/dispatcher.ts';
import type { Groups } from '../../groups/groups.ts';
import { foreignPatterns } from '../request/access.ts';
import type { BodyLimits } from '../request/body.ts';
import { joinedEvents } from '../read/joined-events.ts';
import { takeJsonBodies } from '../request/json-body.ts';
import { ProblemError } from '../request/problems.ts';
import { problems } from '../schemas.ts';
import type { Api } from '../api.ts';
import { beyondEnd, deliveryMembers, differs, doneJson, viewJson } from './answers.ts';
import { definitionOf, leaseIdsOf, placeOf, timeOf } from './requests.ts';
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
  groupAnswer,
  groupParams,
  groupsAnswer,
} from './schemas.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const DEAD_EVENTS = 100;

/** What workers ask, who are not there where events are sent. */
const PULLED: ReadonlySet<string> = new Set(['pull', 'ack', 'nack', 'extend']);

interface Parts {
  readonly groups: Groups;
  readonly budget: ByteBudget;
  readonly body: BodyLimits;
  /** Whether webhooks may lead to addresses that are not public. */
  readonly webhookAllowPrivate: boolean;
}

/** `/subscriptions`: durable groups, whose workers pull events under leases and acknowledge them. */
export async function groupRoutes(api: Api, parts: Parts): Promise<void> {
  const { groups, budget, body, webhookAllowPrivate } = parts;
  takeJsonBodies(api, budget, body);
  const tags = ['groups'];
  const params = groupParams;
  const refusals = problems(400, 404, 408, 413, 415, 422, 503);
  const conflicts = problems(409);

  // To a key a group that gives out other topics than its own is not there.
  api.addHook<{ Params: { name?: string } }>('preHandler', async (request) => {
    const { name } = request.params;
    if (name === undefined || request.method === 'PUT') return;
    const group = await groups.find(name);
    if (group === undefined || foreignPatterns(request, group.topics).length > 0) {
      throw new GroupGone('there is no such group');
    }
    const resource = request.routeOptions.url?.split('/').at(-1) ?? '';
    if (group.isPushed && PULLED.has(resource)) {
      throw new ProblemError('subscription_pushes', `the events of ${name} are sent to its webhook`);
    }
    if (!group.isPushed && resource === 'resume') {
      throw new ProblemError('subscription_pulls', `nothing of ${name} is sent: its workers pull`);
    }
  });

  api.put(
    '/subscriptions/:name',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Make a group, or change where its events are sent',
        description:
          'Answers 201 where it was made and 200 where it is there already with this definition. Of a group with ' +
          '`push` another url or other secrets take effect with the next attempt, which is made at once.',
        tags,
        params,
        body: definitionBody,
        response: {
          200: groupAnswer,
          201: groupAnswer,
          ...problems(400, 408, 409, 413, 415, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const definition = definitionOf(request.params.name, request.body, webhookAllowPrivate);
      refuseForeign(request, definition.topics);
      const created = await groups.put(definition);
      switch (created.kind) {
        case 'created':
        case 'same':
        case 'changed':
          reply.code(created.kind === 'created' ? 201 : 200);
          return viewJson(await groups.view(definition.name));
        case 'differs':
          throw differs(definition.name, created.field);
        case 'full':
          throw new ProblemError(
            'subscriptions_full',
            `there are ${created.groups}; delete one that is not needed`,
          );
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
        summary: 'All groups',
        tags,
        response: { 200: groupsAnswer, ...problems(503) },
      },
    },
    async (request) => {
      const isMeant = ({ topics }: Definition): boolean => foreignPatterns(request, topics).length === 0;
      const views = await groups.list(isMeant);
      return { count: views.length, subscriptions: views.map(viewJson) };
    },
  );

  api.get(
    '/subscriptions/:name',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'How far a group has come',
        tags,
        params,
        response: { 200: groupAnswer, ...problems(404, 422, 503) },
      },
    },
    async (request) => viewJson(await groups.view(request.params.name)),
  );

  api.delete(
    '/subscriptions/:name',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Delete a group and what is known of its events',
        tags,
        params,
        response: { 204: { description: 'Deleted', type: 'null' }, ...problems(404, 422, 503) },
      },
    },
    async (request, reply) => {
      await groups.remove(request.params.name);
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
      const events = await groups.pull(request.params.name, max, waitMs, left.signal);
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
      return doneJson(await groups.acknowledge(request.params.name, ids), [DONE, SETTLED]);
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
      return doneJson(await groups.giveBack(request.params.name, leaseIdsOf(leaseIds), delayMs), [DONE]);
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
      return doneJson(await groups.extend(request.params.name, leaseIdsOf(leaseIds), leaseMs), [DONE]);
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
      const { events, next } = await groups.dead(request.params.name, after, limit);
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
    async (request) => groups.replay(request.params.name, request.body.offsets ?? null),
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
        response: { 200: groupAnswer, ...refusals, ...conflicts },
      },
    },
    async (request) => {
      const { name } = request.params;
      await groups.resume(name);
      return viewJson(await groups.view(name));
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
      const sought = await groups.seek(request.params.name, to);
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
