import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { readKeyFile } from './access/key-file.ts';
import { KeyRing } from './access/key-ring.ts';
import { buildApi } from './api/server.ts';
import { TIMEOUTS, type Timeouts } from './api/timeouts.ts';
import type { Config } from './config.ts';
import { Consumer } from './consumer/consumer.ts';
import { PublishQueue } from './queue/publish-queue.ts';
import { START } from './store/event-store.ts';
import { SqliteStore } from './store/sqlite/store.ts';
import { Commits } from './subscriptions/commits.ts';
import { Followers } from './subscriptions/followers.ts';
import { VERSION } from './version.ts';

/** A running service. */
export interface Aggregator {
  /** Like "http://127.0.0.1:8000". */
  readonly url: string;
  /** Reads the keys anew. Rejects where they cannot be used; then the ones before stay in force. */
  reload(): Promise<void>;
  /** Takes nothing new, commits and answers what is queued, and lets go of port and file. */
  close(): Promise<void>;
}

/** How long requests may go on after the close began before their connections are cut, milliseconds. */
const CLOSE_GRACE_MS = 5_000;

/**
 * Builds the parts in the order in which an event meets them backwards, so that each finds the next one ready, and
 * closes them the other way round. Rejects where the file or the port cannot be had, and then holds neither.
 */
export async function startAggregator(
  config: Config,
  log: Logger,
  timeouts: Timeouts = TIMEOUTS,
): Promise<Aggregator> {
  const { apiKeysFile } = config;
  const keys = apiKeysFile === undefined ? undefined : new KeyRing(await readKeyFile(apiKeysFile));
  const store = await SqliteStore.open(config.databasePath, ({ level, fields, message }) =>
    log[level](fields, message),
  );
  const commits = await store.snapshot({ order: 'asc', after: START.asc }).then(
    ({ lastOffset }) => new Commits(lastOffset),
    async (error: unknown) => {
      await store.close();
      throw error;
    },
  );
  const queue = new PublishQueue({ eventsMax: config.queueEventsMax, bytesMax: config.queueBytesMax });
  const consumer = new Consumer(queue, store, commits, log);
  const followers = new Followers(store, commits, log, { followersMax: config.followersMax });
  const { bodyBytesMax, connectionsMax } = config;
  const api = await buildApi({
    queue,
    consumer,
    store,
    commits,
    followers,
    keys,
    log,
    bodyBytesMax,
    connectionsMax,
    timeouts,
  });

  const close = async (): Promise<void> => {
    // A reader of a long answer may be slow; what publishers wait for is committed well before this.
    const cut = setTimeout(() => api.server.closeAllConnections(), CLOSE_GRACE_MS);
    followers.close();
    await api.close();
    clearTimeout(cut);
    await consumer.close();
    await store.close();
  };

  try {
    await api.listen({ host: config.host, port: config.port });
  } catch (error) {
    await close();
    throw error;
  }
  const { address, port, family } = api.server.address() as AddressInfo;
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  log.info(
    {
      version: VERSION,
      store: 'sqlite',
      database: config.databasePath,
      sqlite: store.sqliteVersion,
      host: address,
      port,
      keys: keys?.size,
    },
    `ChronicleWeaver takes events at ${url}`,
  );
  const reload = async (): Promise<void> => {
    if (keys === undefined || apiKeysFile === undefined) return;
    keys.replace(await readKeyFile(apiKeysFile));
    log.info({ keys: keys.size }, 'the keys were read anew');
  };
  return { url, reload, close };
}
