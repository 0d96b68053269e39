import type { PublishQueue } from '../queue/publish-queue.ts';
import type { Consumer } from '../consumer/consumer.ts';
import type { EventStore } from '../store/event-store.ts';
import { VERSION } from '../version.ts';
import { messageAnswer, problems, statsAnswer, topicsAnswer } from './schemas.ts';
import type { Api } from './server.ts';

interface Parts {
  readonly store: EventStore;
  readonly queue: PublishQueue;
  readonly consumer: Consumer;
}

/** What the service says of itself: `/`, `/health`, `/ready`, `/topics`, `/stats`. */
export async function systemRoutes(api: Api, { store, queue, consumer }: Parts): Promise<void> {
  const tags = ['system'];

  api.get('/', { schema: { summary: 'The service runs', tags, response: { 200: messageAnswer } } }, () => ({
    message: 'ChronicleWeaver is running...',
  }));

  api.get(
    '/health',
    { schema: { summary: 'The process is alive', tags, response: { 200: messageAnswer } } },
    () => ({
      message: 'healthy',
    }),
  );

  // One probe serves all who ask while it runs, so that asking often costs few syncs.
  let probing: Promise<void> | null = null;
  api.get(
    '/ready',
    { schema: { summary: 'The store can commit', tags, response: { 200: messageAnswer, ...problems(503) } } },
    async () => {
      probing ??= store.probe().finally(() => (probing = null));
      await probing;
      return { message: 'ready' };
    },
  );

  api.get(
    '/topics',
    { schema: { summary: 'All topics', tags: ['events'], response: { 200: topicsAnswer } } },
    async () => {
      const topics = await store.topics();
      return {
        count: topics.length,
        topics: topics.map(({ topic, events, lastOffset }) => ({ topic, events, last_offset: lastOffset })),
      };
    },
  );

  api.get('/stats', { schema: { summary: 'The books', tags, response: { 200: statsAnswer } } }, async () => {
    const stats = await store.stats();
    return {
      received: stats.received,
      unique_processed: stats.accepted,
      duplicated_dropped: stats.duplicates,
      topics: [...stats.topics],
      uptime: Math.floor(process.uptime()),
      conflicts: stats.conflicts,
      last_offset: stats.lastOffset,
      stored_bytes: stats.storedBytes,
      queued_events: queue.events,
      queued_bytes: queue.bytes,
      commits: consumer.commits,
      version: VERSION,
    };
  });
}
