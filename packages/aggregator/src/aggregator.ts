import { Server as HttpsServer } from 'node:https';
import { type AddressInfo, BlockList, isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import { readKeyFile } from './access/key-file.ts';
import { KeyRing } from './access/key-ring.ts';
import type { Api } from './api/api.ts';
import type { MetricsPort } from './api/about/metrics-port.ts';
import type { ApiParts } from './api/server.ts';
import { AnswersUnderWay } from './api/read/answers-under-way.ts';
import { TIMEOUTS, type Timeouts } from './api/request/timeouts.ts';
import { type TlsIdentity, readTlsIdentity } from './api/request/tls.ts';
import { AUDIT_TIMING, type AuditTiming, AuditTrail } from './audit/audit-trail.ts';
import type { Config } from './config.ts';
import { Consumer } from './consumer/consumer.ts';
import { PublishQueue } from './queue/publish-queue.ts';
import type { EventStore } from './store/event-store.ts';
import { openStore } from './store/open-store.ts';
import { Commits } from './commits/commits.ts';
import { Followers } from './followers/followers.ts';
import { PUSH_TIMING, type PushTiming } from './groups/push-timing.ts';
import { Groups } from './groups/groups.ts';
import type { AttemptOutcome } from './groups/pusher.ts';
import { AuditFigures } from './metrics/audit.ts';
import { CommitFigures } from './metrics/commits.ts';
import { GroupFigures } from './metrics/groups.ts';
import { DeliveryFigures } from './metrics/deliveries.ts';
import { Metrics } from './metrics/metrics.ts';
import { QueueFigures } from './metrics/queue.ts';
import { ProcessFigures } from './metrics/process.ts';
import { PublishFigures } from './metrics/publishes.ts';
import { RetentionFigures } from './metrics/retention.ts';
import { StoreFigures } from './metrics/store.ts';
import { WebhookFigures } from './metrics/webhooks.ts';
import type { PushSettings } from './groups/known-groups.ts';
import { Retention } from './retention/retention.ts';
import { KINDS } from './sources/source.ts';
import { Sources } from './sources/sources.ts';
import { RETENTION_TIMING, type RetentionTiming } from './retention/timing.ts';
import { VERSION } from './version.ts';

/** A running service. */
export interface Aggregator {
  /** Like "http://127.0.0.1:8000". */
  readonly url: string;
  /** Where the metrics have a port of their own. */
  readonly metricsPort: number | undefined;
  /** Reloads keys and certificate. Rejects if one of them cannot be used; then the old ones stay in force. */
  reload(): Promise<void>;
  /** Accepts nothing new, commits and answers the queued publishes, and closes port and file. */
  close(): Promise<void>;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8);
LOOPBACK.addAddress('::1', 'ipv6');

function isLoopback(address: string): boolean {
  return LOOPBACK.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

/**
 * Connections that may wait to be accepted; the system may allow fewer. A connection beyond that retries after a
 * second: with Node's default of 511, 255 of 1000 streams opened at once did so.
 */
const BACKLOG = 4096;

/** How long requests may continue after a close begins, before their connections are cut, milliseconds. */
const CLOSE_GRACE_MS = 5_000;

/** How often idle connections are closed during the close, milliseconds. */
const IDLE_LOOK_MS = 100;

/** Options for tests. */
export interface AggregatorOptions {
  readonly timeouts?: Timeouts;
  readonly pushTiming?: PushTiming;
  readonly retentionTiming?: RetentionTiming;
  readonly auditTiming?: AuditTiming;
  /** Replaces the store that the config names. */
  readonly store?: EventStore;
}

/**
 * Builds the parts in the reverse of the order in which an event meets them, so that each finds the next one ready,
 * and closes them the other way round. Rejects if it cannot get the store or the port; then it holds neither.
 */
export async function startAggregator(
  config: Config,
  log: Logger,
  {
    timeouts = TIMEOUTS,
    pushTiming = PUSH_TIMING,
    retentionTiming = RETENTION_TIMING,
    auditTiming = AUDIT_TIMING,
    store: given,
  }: AggregatorOptions = {},
): Promise<Aggregator> {
  const keys =
    config.apiKeysFile === undefined ? undefined : new KeyRing(await readKeyFile(config.apiKeysFile));
  const tls = config.tls && (await readTlsIdentity(config.tls));
  // The threads open the file while this one loads the modules of the HTTP side, which takes about as long.
  const [store, { buildApi }] = await Promise.all([
    given ?? openStore(config.store, ({ level, fields, message }) => log[level](fields, message)),
    import('./api/server.ts'),
  ]);
  const webhooks = new WebhookFigures();
  const push = {
    allowPrivate: config.webhookAllowPrivate,
    timing: pushTiming,
    attempted: (outcome: AttemptOutcome) => webhooks.attempted(outcome),
  };
  const trail = { store, isOn: config.audit, retentionMs: config.auditRetentionMs, timing: auditTiming, log };
  const [audit, commits, groups] = await subscribing(trail, push).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  const queue = new PublishQueue({ eventsMax: config.queueEventsMax, bytesMax: config.queueBytesMax });
  const consumer = new Consumer(queue, store, log);
  const followers = new Followers(store, commits, log, { followersMax: config.followersMax });
  const underWay = new AnswersUnderWay();
  const retention = new Retention({ store, readers: underWay, timing: retentionTiming, log });
  const sources = new Sources(store.sources);
  const delivery = { commits, followers, groups, underWay, retention, sources, audit };
  const counted = counting(
    { store, queue, consumer, commits, followers, groups, retention, webhooks, audit },
    config.metricsTopics,
  );
  const parts = { queue, consumer, store, ...delivery, keys, tls, log, ...counted };
  const api = await buildApi({ ...config, ...parts, timeouts });
  let metricsPort: MetricsPort | undefined;

  const close = async (): Promise<void> => {
    // A reader of a long answer may be slow; pending publishes are committed well before this.
    const cut = setTimeout(() => api.server.closeAllConnections(), CLOSE_GRACE_MS);
    // Connections whose last answer comes during the close would stay open for another request.
    const idle = setInterval(() => api.server.closeIdleConnections(), IDLE_LOOK_MS);
    followers.close();
    const pullsAnswered = groups.close();
    const nothingLetGo = retention.close();
    await api.close();
    await pullsAnswered;
    await metricsPort?.close();
    counted.metrics.close();
    clearTimeout(cut);
    clearInterval(idle);
    await consumer.close();
    commits.close();
    await nothingLetGo;
    await audit.close();
    await store.close();
  };
  try {
    await api.listen({ host: config.host, port: config.port, backlog: BACKLOG });
    if (config.metricsPort !== undefined) {
      const { openMetricsPort } = await import('./api/about/metrics-port.ts');
      const where = { host: config.host, port: config.metricsPort };
      metricsPort = await openMetricsPort(where, { ...counted, timeouts, log });
    }
  } catch (error) {
    await close();
    throw error;
  }
  const url = tellStart(api, config, { ...parts, metricsPort: metricsPort?.port });
  return { url, metricsPort: metricsPort?.port, close, reload: () => reload(api, config, parts) };
}

/** Opens what must be there before anything is served. */
async function subscribing(
  trail: Parameters<typeof AuditTrail.open>[0],
  push: PushSettings,
): Promise<[AuditTrail, Commits, Groups]> {
  const { store, log } = trail;
  // First: a webhook sends as soon as it is there.
  const audit = await AuditTrail.open(trail);
  try {
    const commits = await Commits.open(store);
    return [audit, commits, await Groups.open({ store, commits, push, log })];
  } catch (error) {
    await audit.close();
    throw error;
  }
}

interface Counted {
  readonly store: EventStore;
  readonly queue: PublishQueue;
  readonly consumer: Consumer;
  readonly commits: Commits;
  readonly followers: Followers;
  readonly groups: Groups;
  readonly retention: Retention;
  readonly webhooks: WebhookFigures;
  readonly audit: AuditTrail;
}

interface Counting {
  readonly metrics: Metrics;
  readonly answers: PublishFigures;
  readonly deliveries: DeliveryFigures;
}

/** The page of metrics, in its order, and whom to tell of answers. */
function counting(parts: Counted, topics: readonly string[]): Counting {
  const metrics = new Metrics(parts.store.about.store);
  const answers = metrics.add(new PublishFigures());
  const deliveries = metrics.add(new DeliveryFigures(KINDS));
  parts.consumer.listen(metrics.add(new CommitFigures()));
  metrics.add(new QueueFigures(parts));
  metrics.add(parts.webhooks);
  metrics.add(new GroupFigures(parts));
  metrics.add(new StoreFigures(parts.store, topics));
  metrics.add(new RetentionFigures(parts.retention));
  if (parts.audit.isOn) metrics.add(new AuditFigures(parts));
  metrics.add(new ProcessFigures());
  return { metrics, answers, deliveries };
}

type Told = Pick<ApiParts, 'store' | 'keys' | 'tls' | 'log' | 'audit'>;

/** Logs where the service listens and what is open to others; returns its address. */
function tellStart(
  api: Api,
  config: Config,
  { store, keys, tls, log, metricsPort }: Told & { readonly metricsPort: number | undefined },
): string {
  const { address, port, family } = api.server.address() as AddressInfo;
  const scheme = tls === undefined ? 'http' : 'https';
  const url = `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  log.info(
    {
      version: VERSION,
      ...store.about,
      host: address,
      port,
      metricsPort,
      keys: keys?.size,
      certificateValidTo: tls?.validTo,
    },
    `ChronicleWeaver takes events at ${url}`,
  );
  if (!isLoopback(address)) warnOfOpenness(keys, tls, log);
  if (keys === undefined && config.corsOrigins.includes('*')) {
    log.warn(
      'any web page opened where this address can be reached may publish and read everything: list the origins that ' +
        'may in CORS_ORIGINS, or a file of keys in API_KEYS_FILE',
    );
  }
  if (tls !== undefined) warnOfExpiry(tls, log);
  return url;
}

async function reload(api: Api, config: Config, { keys, audit, log }: Told): Promise<void> {
  // Read everything before any of it takes effect.
  const records = config.apiKeysFile === undefined ? undefined : await readKeyFile(config.apiKeysFile);
  const identity = config.tls && (await readTlsIdentity(config.tls));
  const before = keys?.records;
  if (records !== undefined) keys?.replace(records);
  if (identity !== undefined && api.server instanceof HttpsServer) {
    api.server.setSecureContext({ cert: identity.cert, key: identity.key });
    warnOfExpiry(identity, log);
  }
  log.info({ keys: keys?.size, certificateValidTo: identity?.validTo }, 'keys and certificate were reloaded');
  if (before === undefined || records === undefined) return;
  // They are in force whether or not the trail can be written: a key must be revoked with a full disk, too.
  await audit.keysReread(before, records).catch((error: unknown) => {
    log.error({ err: error }, 'the audit trail could not be told which keys were changed');
  });
}

function warnOfOpenness(keys: KeyRing | undefined, tls: TlsIdentity | undefined, log: Logger): void {
  if (keys === undefined) {
    log.warn(
      'anybody who can reach this address may publish and read everything: name a file of keys in API_KEYS_FILE, or ' +
        'listen with HOST=127.0.0.1',
    );
  } else if (tls === undefined) {
    log.warn(
      'keys and events reach this address unencrypted: set TLS_CERT_FILE and TLS_KEY_FILE, or put a TLS proxy in front',
    );
  }
}

function warnOfExpiry({ validTo }: TlsIdentity, log: Logger): void {
  if (validTo.getTime() > Date.now()) return;
  log.warn(
    { certificateValidTo: validTo },
    'the certificate in TLS_CERT_FILE has expired; clients will refuse it',
  );
}
