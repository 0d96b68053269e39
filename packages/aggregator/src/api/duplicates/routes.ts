import { Type } from '../../json-schema.ts';
import type { EventStore } from '../../store/event-store.ts';
import { PERIOD_MS, type RepeatStore } from '../../store/repeat-store.ts';
import type { Api } from '../api.ts';
import { requireTopic } from '../request/access.ts';
import { ProblemError } from '../request/problems.ts';
import { topicFilterIn } from '../request/topic-patterns.ts';
import { eventParams, problems } from '../schemas.ts';
import { agesJson, conflictsText, historyJson, iso } from './answers.ts';
import {
  agesAnswer,
  agesQuery,
  conflictsAnswer,
  conflictsQuery,
  historyAnswer,
  topAnswer,
  topQuery,
} from './schemas.ts';

const TAGS = ['duplicates'];
const HOUR_MS = 3_600_000;
const PERIODS_MS = { hour: HOUR_MS, day: 24 * HOUR_MS } as const;

/** What became of publishes whose id was known already: how late they came, whose they are, and what they said. */
export async function duplicateRoutes(api: Api, { store }: { store: EventStore }): Promise<void> {
  const { repeats } = store;
  agesRoute(api, repeats);
  topRoute(api, store);
  historyRoute(api, repeats);
  conflictsRoute(api, repeats);
}

function agesRoute(api: Api, repeats: RepeatStore): void {
  api.get(
    '/duplicates/ages',
    {
      config: { scope: ['read', 'inspect'] },
      schema: {
        summary: 'How late duplicates come',
        description:
          'Counts duplicates by how long after the first one they came: what a broker that remembers ids for a while would have ' +
          'let through.',
        tags: TAGS,
        querystring: agesQuery,
        response: { 200: agesAnswer, ...problems(422, 500, 503) },
      },
    },
    async (request) => {
      const { topic, source } = request.query;
      return agesJson(
        await repeats.ages({ ...topicFilterIn(request, topic), source }),
        await repeats.sinceMs(),
      );
    },
  );
}

function topRoute(api: Api, { repeats, retention }: EventStore): void {
  api.get(
    '/duplicates/top',
    {
      config: { scope: ['read', 'inspect'] },
      schema: {
        summary: 'Who repeats',
        tags: TAGS,
        querystring: topQuery,
        response: { 200: topAnswer, ...problems(422, 500, 503) },
      },
    },
    async (request) => {
      const { by = 'topic', period = 'all', topic, limit = 100 } = request.query;
      const filter = topicFilterIn(request, topic);
      // The store's clock has set the times that are counted by.
      const fromMs = period === 'all' ? null : (await retention.now()) - PERIODS_MS[period];
      const sinceMs = fromMs && Math.floor(fromMs / PERIOD_MS) * PERIOD_MS;
      const { repeaters, unnamed } = await repeats.repeaters({ ...filter, by, sinceMs, limit });
      return { since: iso(Math.max(sinceMs ?? 0, await repeats.sinceMs())), top: [...repeaters], unnamed };
    },
  );
}

function historyRoute(api: Api, repeats: RepeatStore): void {
  api.get(
    '/events/:topic/:event_id/history',
    {
      config: { scope: ['read', 'inspect'] },
      schema: {
        summary: 'What became of an event and its repeats',
        tags: TAGS,
        params: eventParams,
        response: { 200: historyAnswer, ...problems(400, 404, 422, 500, 503) },
      },
    },
    async (request) => {
      const { topic, event_id: eventId } = request.params;
      requireTopic(request, topic);
      const history = await repeats.history(topic, eventId);
      if (history === undefined) {
        const text = `topic ${JSON.stringify(topic)} has no event ${JSON.stringify(eventId)}`;
        throw new ProblemError('event_not_found', text);
      }
      return historyJson(request.params, history, await repeats.sinceMs());
    },
  );
}

function conflictsRoute(api: Api, repeats: RepeatStore): void {
  api.get(
    '/conflicts',
    {
      config: { scope: 'read' },
      schema: {
        summary: 'Events that lost',
        description:
          'The last conflicts: events whose id was known with other content. The stored event stays as it is; what came later is ' +
          'told here, as it was sent.',
        tags: TAGS,
        querystring: conflictsQuery,
        response: {
          200: {
            description: 'Conflicts',
            content: { 'application/json': { schema: Type.Unsafe<string>(conflictsAnswer) } },
          },
          ...problems(422, 500, 503),
        },
      },
    },
    async (request, reply) => {
      const { topic, source, before = null, limit = 100 } = request.query;
      const page = await repeats.conflicts({ ...topicFilterIn(request, topic), source, before, limit });
      return reply.type('application/json; charset=utf-8').send(conflictsText(page));
    },
  );
}
