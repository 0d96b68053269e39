import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before } from 'node:test';
import type { Event, Problem, PublishAnswer, StoredEvent } from '@chronicleweaver/protocol';
import { type Logger, pino } from 'pino';
import { type Aggregator, startAggregator } from '../../src/aggregator.ts';
import { TIMEOUTS, type Timeouts } from '../../src/api/request/timeouts.ts';
import { readConfig } from '../../src/config.ts';
import type { EventStore } from '../../src/store/event-store.ts';
import { PUSH_TIMING, type PushTiming } from '../../src/groups/push-timing.ts';
import { RETENTION_TIMING, type RetentionTiming } from '../../src/retention/timing.ts';
import { STORE, emptyLog } from '../../../../lab/test-store.ts';
import { spelt } from './publish-way.ts';
import { type Scope, tempFolder } from './temp-folder.ts';

export interface EventsAnswer {
  count: number;
  expired?: number;
  events: StoredEvent[];
  next?: number | null;
}

export interface TopicsAnswer {
  count: number;
  topics: {
    topic: string;
    events: number;
    expired: number;
    first_offset: number | null;
    last_offset: number;
    bytes: number;
  }[];
}

export interface StatsAnswer {
  received: number;
  unique_processed: number;
  duplicated_dropped: number;
  stored: number;
  expired: number;
  topics: string[];
  uptime: number;
  conflicts: number;
  first_offset: number | null;
  last_offset: number;
}

/** A service with its own port and log, closed with the test. */
export class TestServer {
  readonly #databasePath: string | undefined;
  /** The address of its log, if that is not in a file. */
  readonly storeUrl: string | undefined;
  readonly #launch: () => Promise<Aggregator>;
  #aggregator: Aggregator;

  private constructor(
    { databasePath, storeUrl }: { databasePath?: string; storeUrl?: string | undefined },
    launch: () => Promise<Aggregator>,
    aggregator: Aggregator,
  ) {
    this.storeUrl = storeUrl;
    this.#databasePath = databasePath;
    this.#launch = launch;
    this.#aggregator = aggregator;
  }

  static async start(
    t: Scope,
    env: Record<string, string> = {},
    timeouts: Partial<Timeouts> = {},
    pushTiming: Partial<PushTiming> = {},
  ): Promise<TestServer> {
    let server: TestServer | undefined;
    // Runs before the folder's hook, so that the file is closed when the folder is removed.
    t.after(() => server?.close());
    const databasePath = join(tempFolder(t), 'events.db');
    const log = await emptyLog();
    const storeUrl = log['STORE_URL'];
    const settings = { DEDUPLICATION_DB_PATH: databasePath, ...log, ...env };
    const start = () => launch(settings, { ...TIMEOUTS, ...timeouts }, { ...PUSH_TIMING, ...pushTiming });
    server = new TestServer(STORE === 'sqlite' ? { databasePath } : { storeUrl }, start, await start());
    return server;
  }

  /** One of several services on a shared store; a restart reopens it. */
  static async startOn(
    t: Scope,
    open: () => EventStore | Promise<EventStore>,
    env: Record<string, string> = {},
    pushTiming: Partial<PushTiming> = {},
    retentionTiming: Partial<RetentionTiming> = {},
    log?: Logger,
  ): Promise<TestServer> {
    const start = async () =>
      launch(env, TIMEOUTS, { ...PUSH_TIMING, ...pushTiming }, { store: await open(), retentionTiming, log });
    const server = new TestServer({}, start, await start());
    t.after(() => server.close());
    return server;
  }

  /** The file that it keeps its log in. */
  get databasePath(): string {
    return this.#databasePath ?? assert.fail('this service keeps its log in no file');
  }

  close(): Promise<void> {
    return this.#aggregator.close();
  }

  /** What SIGHUP does. */
  reload(): Promise<void> {
    return this.#aggregator.reload();
  }

  get url(): string {
    return this.#aggregator.url;
  }

  /** Where its metrics are told without a key. */
  get metricsUrl(): string {
    return `http://127.0.0.1:${this.#aggregator.metricsPort ?? assert.fail('it has no such port')}`;
  }

  /** Closes the service and starts another on the same log. */
  async restart(): Promise<void> {
    await this.#aggregator.close();
    this.#aggregator = await this.#launch();
  }

  /** `POST /publish` with this body; a string or bytes are sent unchanged. */
  post(body: unknown, headers: Record<string, string> = {}, path = '/publish'): Promise<Response> {
    const isRaw = typeof body === 'string' || body instanceof Uint8Array;
    return fetch(this.url + spelt(path), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: isRaw ? (body as NonNullable<RequestInit['body']>) : JSON.stringify(body),
    });
  }

  /** Publishes and returns the answer, with results. */
  async publish(...events: Event[]): Promise<PublishAnswer> {
    const response = await this.post({ events }, {}, '/publish?results=true');
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as PublishAnswer;
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.url + path);
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as T;
  }

  events(query = ''): Promise<EventsAnswer> {
    return this.get<EventsAnswer>(`/events${query}`);
  }

  stats(): Promise<StatsAnswer> {
    return this.get<StatsAnswer>('/stats');
  }
}

/**
 * One service for all tests of a file, each of which looks only at its own data. Call it outside the tests, and use
 * its result within them.
 */
export function sharedServer(env: Record<string, string> = {}): () => TestServer {
  const closing: (() => unknown)[] = [];
  let server: TestServer;
  before(async () => {
    server = await TestServer.start({ after: (close) => closing.push(close) }, env);
  });
  after(async () => {
    for (const close of closing) await close();
  });
  return () => server;
}

/** Asserts that the response is this problem, in the form of ERR-1, and returns it. */
export async function problemIn(response: Response, status: number, code: string): Promise<Problem> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.equal(response.headers.get('content-type'), 'application/problem+json');
  const problem = JSON.parse(text) as Problem;
  assert.equal(problem.code, code, text);
  assert.equal(problem.status, status);
  assert.ok(problem.title.length > 0 && problem.detail.length > 0);
  return problem;
}

function launch(
  env: Record<string, string>,
  timeouts: Timeouts,
  pushTiming: PushTiming,
  {
    store,
    retentionTiming,
    log,
  }: { store?: EventStore; retentionTiming?: Partial<RetentionTiming>; log?: Logger | undefined } = {},
): Promise<Aggregator> {
  const config = readConfig({
    APP_PORT: '0',
    LOG_LEVEL: 'silent',
    ...env,
  });
  return startAggregator(config, log ?? pino({ level: config.logLevel }), {
    timeouts,
    pushTiming,
    retentionTiming: { ...RETENTION_TIMING, ...retentionTiming },
    ...(store !== undefined && { store }),
  });
}
