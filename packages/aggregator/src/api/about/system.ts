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

/** What the service says of itself: `/`, `/health`, `/ready`, `/topics`, `/stats`. */
export async function systemRoutes(api: Api, { store, queue, consumer, followers }: Parts): Promise<void> {
  const tags = ['system'];

  api.get(
    '/',
    {
      config: { scope: 'open' },
      schema: { summary: 'The service runs', tags, response: { 200: messageAnswer } },
    },
    () => ({
      message: 'ChronicleWeaver is running...',
    }),
  );

  api.get(
    '/health',
    {
      config: { scope: 'open' },
      schema: { summary: 'The process is alive', tags, response: { 200: messageAnswer } },
    },
    () => ({
      message: 'healthy',
    }),
  );

  // One probe serves all who ask while it runs, so that asking often costs few syncs.
  let probing: Promise<void> | null = null;
  api.get(
    '/ready',
    {
      config: { scope: 'open' },
      schema: { summary: 'The store can commit', tags, response: { 200: messageAnswer, ...problems(503) } },
    },
    async () => {
      probing ??= store.probe().finally(() => (probing = null));
      await probing;
      return { message: 'ready' };
    },
  );

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

  api.get(
    '/stats',
    {
      config: { scope: ['read', 'admin'] },
      schema: { summary: 'The books', tags, response: { 200: statsAnswer } },
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

/** What can be told of some topics alone: the books count the drops of all topics together. */
async function topicStats(store: EventStore, topicPatterns: readonly (readonly string[])[]) {
  const topics = await store.topics({ topicPatterns });
  return {
    unique_processed: topics.reduce((sum, { events }) => sum + events, 0),
    topics: topics.map(({ topic }) => topic),
    last_offset: topics.reduce((last, { lastOffset }) => Math.max(last, lastOffset), 0),
  };
}
