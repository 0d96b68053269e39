import type { PublishQueue } from '../../queue/publish-queue.ts';
import type { Consumer } from '../../consumer/consumer.ts';
import type { EventStore, StoreAbout, TopicSummary } from '../../store/event-store.ts';
import type { Followers } from '../../followers/followers.ts';
import { VERSION } from '../../version.ts';
import { visiblePatterns } from '../request/access.ts';
import { currentEpoch } from '../epochs.ts';
import { messageAnswer, problems, readyAnswer, statsAnswer, topicsAnswer } from '../schemas.ts';
import type { Api } from '../api.ts';
import { prefersPage, sendPage } from './dashboard.ts';

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
    async (request, reply) => {
      reply.header('vary', 'accept');
      if (await prefersPage(request)) return sendPage(request, reply, './dashboard/');
      return { message: 'ChronicleWeaver is running...' };
    },
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
        response: { 200: readyAnswer, ...problems(503) },
      },
    },
    async () => {
      probing ??= store.probe().finally(() => (probing = null));
      await probing;
      return { message: 'ready', store: store.about.store };
    },
  );
}

function topicsRoute(api: Api, store: EventStore): void {
  api.get(
    '/topics',
    {
      config: { scope: ['read', 'inspect'] },
      schema: { summary: 'All topics', tags: ['events'], response: { 200: topicsAnswer } },
    },
    async (request) => {
      const topics = await store.topics({ topicPatterns: visiblePatterns(request) });
      return {
        count: topics.length,
        topics: topics.map(topicOf),
      };
    },
  );
}

function topicOf({ topic, events, bytes, expired, bare, firstOffset, lastOffset }: TopicSummary) {
  return {
    topic,
    events,
    expired: expired + bare,
    first_offset: firstOffset || null,
    last_offset: lastOffset,
    bytes,
  };
}

function statsRoute(api: Api, { store, queue, consumer, followers }: Parts): void {
  api.get(
    '/stats',
    {
      config: { scope: ['read', 'admin', 'inspect'] },
      schema: { summary: 'The books', tags: TAGS, response: { 200: statsAnswer } },
    },
    async (request) => {
      const epoch = currentEpoch(store.epochs);
      const ofProcess = { uptime: Math.floor(process.uptime()), version: VERSION, epoch };
      const topicPatterns = visiblePatterns(request);
      if (topicPatterns !== undefined) return { ...(await topicStats(store, topicPatterns)), ...ofProcess };
      const stats = await store.stats();
      const expired = stats.expired + stats.bare;
      return {
        received: stats.received,
        unique_processed: stats.accepted,
        duplicated_dropped: stats.duplicates,
        stored: stats.accepted - expired,
        expired,
        topics: [...stats.topics],
        conflicts: stats.conflicts,
        first_offset: stats.firstOffset || null,
        last_offset: stats.lastOffset,
        stored_bytes: stats.storedBytes,
        queued_events: queue.events,
        queued_bytes: queue.bytes,
        commits: consumer.commits,
        followers: followers.count,
        ...storeStats(store.about),
        ...ofProcess,
      };
    },
  );
}

function storeStats({ store, database, storeVersion }: StoreAbout) {
  return {
    store,
    ...(database !== undefined && { database }),
    ...(storeVersion !== undefined && { store_version: storeVersion }),
  };
}

/** The figures that exist per topic. Drops are only counted for all topics together. */
async function topicStats(store: EventStore, topicPatterns: readonly (readonly string[])[]) {
  const topics = await store.topics({ topicPatterns });
  const stored = topics.reduce((sum, { events }) => sum + events, 0);
  const gone = topics.reduce((sum, { expired, bare }) => sum + expired + bare, 0);
  const firsts = topics.map(({ firstOffset }) => firstOffset).filter((offset) => offset > 0);
  return {
    unique_processed: stored + gone,
    stored,
    expired: gone,
    topics: topics.map(({ topic }) => topic),
    first_offset: firsts.length === 0 ? null : firsts.reduce((first, offset) => Math.min(first, offset)),
    last_offset: topics.reduce((last, { lastOffset }) => Math.max(last, lastOffset), 0),
  };
}
