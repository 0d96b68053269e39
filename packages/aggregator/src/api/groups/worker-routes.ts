import { Type } from '../../json-schema.ts';
import { DONE, SETTLED } from '../../store/group-store.ts';
import type { Groups } from '../../groups/groups.ts';
import { asksForLines, LINES_TYPE } from '../read/forms.ts';
import { eventLines, joinedEvents } from '../read/joined-events.ts';
import type { Api } from '../api.ts';
import { deliveryMembers, doneJson } from './answers.ts';
import { leaseIdsOf } from './requests.ts';
import { CONFLICTS, JSON_TYPE, REFUSALS, TAGS } from './route-parts.ts';
import {
  acknowledgeBody,
  doneAnswer,
  extendBody,
  giveBackBody,
  pullAnswer,
  pullBody,
  groupParams,
} from './schemas.ts';

/** The requests of workers: pull events under leases, and acknowledge, return or extend the leases. */
export function workerRoutes(api: Api, groups: Groups): void {
  registerPull(api, groups);
  registerAcknowledge(api, groups);
  registerGiveBack(api, groups);
  registerExtend(api, groups);
}

function registerPull(api: Api, groups: Groups): void {
  api.post(
    '/subscriptions/:name/pull',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Lease events',
        description:
          'Answers as soon as there is an event, or with none after `wait_ms`. An event that is not acknowledged ' +
          'before its lease runs out is delivered again. With `Accept: application/x-ndjson` one event per line.',
        tags: TAGS,
        params: groupParams,
        body: pullBody,
        response: {
          200: {
            description: 'Events, leased',
            content: { 'application/json': { schema: Type.Unsafe<Uint8Array>(pullAnswer) } },
          },
          ...REFUSALS,
          ...CONFLICTS,
        },
      },
    },
    async (request, reply) => {
      const left = new AbortController();
      // It may have left while the group was looked up, and then no event says so any more.
      if (reply.raw.destroyed) left.abort();
      else reply.raw.once('close', () => left.abort());
      const { max, wait_ms: waitMs } = request.body;
      const events = await groups.pull(request.group, max, waitMs, left.signal);
      if (asksForLines(request)) return reply.type(LINES_TYPE).send(eventLines(events, deliveryMembers));
      return reply.type(JSON_TYPE).send(joinedEvents(events, deliveryMembers, ''));
    },
  );
}

function registerAcknowledge(api: Api, groups: Groups): void {
  api.post(
    '/subscriptions/:name/ack',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Acknowledge events',
        description:
          'They are never delivered again. Leases that no longer hold do not prevent the others from being acknowledged: ' +
          'the answer is then 409, says how many were, and names each that was not. May be sent again.',
        tags: TAGS,
        params: groupParams,
        body: acknowledgeBody,
        response: { 200: doneAnswer, ...REFUSALS, ...CONFLICTS },
      },
    },
    async (request) => {
      const ids = leaseIdsOf(request.body.lease_ids);
      return doneJson(await groups.acknowledge(request.group, ids), [DONE, SETTLED]);
    },
  );
}

function registerGiveBack(api: Api, groups: Groups): void {
  api.post(
    '/subscriptions/:name/nack',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Give events back',
        description: 'They are delivered again, or are dead if it was their last delivery.',
        tags: TAGS,
        params: groupParams,
        body: giveBackBody,
        response: { 200: doneAnswer, ...REFUSALS, ...CONFLICTS },
      },
    },
    async (request) => {
      const { lease_ids: leaseIds, delay_ms: delayMs } = request.body;
      return doneJson(await groups.giveBack(request.group, leaseIdsOf(leaseIds), delayMs), [DONE]);
    },
  );
}

function registerExtend(api: Api, groups: Groups): void {
  api.post(
    '/subscriptions/:name/extend',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Hold leases for longer',
        tags: TAGS,
        params: groupParams,
        body: extendBody,
        response: { 200: doneAnswer, ...REFUSALS, ...CONFLICTS },
      },
    },
    async (request) => {
      const { lease_ids: leaseIds, lease_ms: leaseMs = null } = request.body;
      return doneJson(await groups.extend(request.group, leaseIdsOf(leaseIds), leaseMs), [DONE]);
    },
  );
}
