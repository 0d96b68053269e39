import { Type } from '../../json-schema.ts';
import type { DeadEvent, Groups } from '../../groups/groups.ts';
import { joinedEvents } from '../read/joined-events.ts';
import { problems } from '../schemas.ts';
import type { Api } from '../api.ts';
import { JSON_TYPE, REFUSALS, TAGS } from './route-parts.ts';
import { deadAnswer, deadQuery, replayAnswer, replayBody, groupParams } from './schemas.ts';

/** Events on a page. */
const DEAD_EVENTS = 100;

/** Events that were delivered as often as allowed. */
export function deadLetterRoutes(api: Api, groups: Groups): void {
  registerDead(api, groups);
  registerReplay(api, groups);
}

function registerDead(api: Api, groups: Groups): void {
  api.get(
    '/subscriptions/:name/dead',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Dead events',
        description: 'Events that were delivered as often as allowed.',
        tags: TAGS,
        params: groupParams,
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
      const { events, cursor, next } = await groups.dead(request.group, after, limit);
      const answer = joinedEvents(
        events.map((event) => ({ ...event, json: event.json ?? expiredJson(event) })),
        ({ deliveries, deadMs, reason }) =>
          `"deliveries":${deliveries},"dead_at":"${new Date(deadMs).toISOString()}","reason":"${reason}"`,
        `,"cursor":${cursor},"next":${next}`,
      );
      return reply.type(JSON_TYPE).send(answer);
    },
  );
}

/** What is shown of an event whose text is gone. */
function expiredJson({ offset }: DeadEvent): Uint8Array {
  return Buffer.from(`{"offset":${offset},"expired":true}`);
}

function registerReplay(api: Api, groups: Groups): void {
  api.post(
    '/subscriptions/:name/dead/replay',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Deliver dead events again',
        description: 'As often as new events. Without `offsets` all of them, lowest first, 10000 at a time.',
        tags: TAGS,
        params: groupParams,
        body: replayBody,
        response: { 200: replayAnswer, ...REFUSALS },
      },
    },
    async (request) => groups.replay(request.group, request.body.offsets ?? null),
  );
}
