import type { PublishQueue } from '../../queue/publish-queue.ts';
import type { Consumer } from '../../consumer/consumer.ts';
import type { EventStore } from '../../store/event-store.ts';
import type { Followers } from '../../followers/followers.ts';
import { VERSION } from '../../version.ts';
import { visiblePatterns } from '../request/access.ts';
import { currentEpoch } from '../epochs.ts';
import { messageAnswer, problems, statsAnswer, topicsAnswer } from '../schemas.ts';
import type { Api } from '../api.ts';

interface Parts {
  readonly store: EventStore;
  readonly queue: PublishQueue;
  readonly consumer: Consumer;
  readonly followers: Followers;
}

/** How the service is and what it holds: `/`, `/health`, `/ready`, `/topics`, `/stats`. */
export async function systemRoutes(api: Api, parts: Parts): Promise<void> {
  aliveRoutes(api);
  readyRoute(api, parts.store);
  topicsRoute(api, parts.store);
  statsRoute(api, parts);
}

const TAGS = ['system'];

function aliveRoutes(api: Api): void {
  api.get(
    '/',
    {
      config: { scope: 'open' },
      schema: { summary: 'The service runs', tags: TAGS, response: { 200: messageAnswer } },
    },
    () => ({ message: 'ChronicleWeaver is running...' }),
  );

  api.get(
    '/health',
    {
      config: { scope: 'open' },
      schema: { summary: 'The process is alive', tags: TAGS, response: { 200: messageAnswer } },
    },
    () => ({ message: 'healthy' }),
  );
}

function readyRoute(api: Api, store: EventStore): void {
  // Requests that arrive during a probe share it, so that frequent checks cost few syncs.
  let probing: Promise<void> | null = null;
  api.get(
    '/ready',
    {
      config: { scope: 'open' },
      schema: {
        summary: 'The store can commit',
        tags: TAGS,
        response: { 200: messageAnswer, ...problems(503) },
      },
    },
    async () => {
      probing ??= store.probe().finally(() => (probing = null));
      await probing;
      return { message: 'ready' };
    },
  );
}

function topicsRoute(api: Api, store: EventStore): void {
  api.get(
    '/topics',
    {
      config: { scope: 'read' },
      schema: { summary: 'All topics', tags: ['events'], response: { 200: topicsAnswer } },
    },
    async (request) => {
      const topics = await store.topics({ topicPatterns: visiblePatterns(request) });
      return {
        count: topics.length,
        topics: topics.map(({ topic, events, lastOffset }) => ({ topic, events, last_offset: lastOffset })),
      };
    },
  );
}

function statsRoute(api: Api, { store, queue, consumer, followers }: Parts): void {
  api.get(
    '/stats',
    {
      config: { scope: ['read', 'admin'] },
      schema: { summary: 'The books', tags: TAGS, response: { 200: statsAnswer } },
    },
    async (request) => {
      const epoch = currentEpoch(store.epochs);
      const ofProcess = { uptime: Math.floor(process.uptime()), version: VERSION, epoch };
      const topicPatterns = visiblePatterns(request);
      if (topicPatterns !== undefined) return { ...(await topicStats(store, topicPatterns)), ...ofProcess };
      const stats = await store.stats();
      return {
        received: stats.received,
        unique_processed: stats.accepted,
        duplicated_dropped: stats.duplicates,
        topics: [...stats.topics],
        conflicts: stats.conflicts,
        last_offset: stats.lastOffset,
        stored_bytes: stats.storedBytes,
        queued_events: queue.events,
        queued_bytes: queue.bytes,
        commits: consumer.commits,
        followers: followers.count,
        ...ofProcess,
      };
    },
  );
}

/** The figures that exist per topic. Drops are only counted for all topics together. */
async function topicStats(store: EventStore, topicPatterns: readonly (readonly string[])[]) {
  const topics = await store.topics({ topicPatterns });
  return {
    unique_processed: topics.reduce((sum, { events }) => sum + events, 0),
    topics: topics.map(({ topic }) => topic),
    last_offset: topics.reduce((last, { lastOffset }) => Math.max(last, lastOffset), 0),
  };
}
