import { setTimeout as sleep } from 'node:timers/promises';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Connection, requestBytes } from '../lab/connection.ts';

/** How long each `GET /health` took, milliseconds, in order. */
export interface HealthSeen {
  readonly keptMs: readonly number[];
  /** Each on a new connection, including the time to open it. */
  readonly freshMs: readonly number[];
}

/**
 * Keeps asking `GET /health` from a thread of its own, so that the time the load takes on its own thread does not count.
 */
export class HealthWatch {
  readonly #worker: Worker;
  readonly #seen: Promise<HealthSeen>;

  constructor(port: number) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: { port } });
    this.#seen = new Promise((resolve, reject) => {
      this.#worker.once('message', resolve);
      this.#worker.once('error', reject);
    });
    // `end` reports the error.
    this.#seen.catch(() => undefined);
  }

  /** Stops asking and returns what was seen; rejects if an answer was not 200. */
  async end(): Promise<HealthSeen> {
    this.#worker.postMessage('end' satisfies ToThread, []);
    return this.#seen;
  }
}

type ToThread = 'end';

const EVERY_MS = 20;
/** One in this many requests uses a new connection. */
const FRESH_EACH = 5;

if (!isMainThread && parentPort !== null) {
  const { port } = workerData as { port: number };
  const done = new AbortController();
  parentPort.once('message', () => done.abort());
  const seen = await watch(port, done.signal);
  parentPort.postMessage(seen satisfies HealthSeen, []);
}

async function watch(port: number, done: AbortSignal): Promise<HealthSeen> {
  const request = requestBytes('GET /health');
  const kept = await Connection.open(port);
  const keptMs: number[] = [];
  const freshMs: number[] = [];
  for (let i = 0; !done.aborted; i++) {
    const startMs = performance.now();
    const isFresh = i % FRESH_EACH === 0;
    const connection = isFresh ? await Connection.open(port) : kept;
    const { status, body } = await connection.request(request);
    if (status !== 200) throw new Error(`/health was answered with ${status} ${body}`);
    (isFresh ? freshMs : keptMs).push(performance.now() - startMs);
    if (isFresh) connection.close();
    await sleep(EVERY_MS);
  }
  kept.close();
  return { keptMs, freshMs };
}
