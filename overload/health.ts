import { setTimeout as sleep } from 'node:timers/promises';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Connection, requestBytes } from '../lab/connection.ts';

/** How long `GET /health` took, milliseconds, in the order asked. */
export interface HealthSeen {
  readonly keptMs: readonly number[];
  /** On a connection of its own each time, its opening included. */
  readonly freshMs: readonly number[];
}

/**
 * Asks `GET /health` all along, from a thread of its own: what the load keeps its thread from doing must not count.
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
    // It is told to whoever asks for it in the end.
    this.#seen.catch(() => undefined);
  }

  /** Asks no more and returns what was seen; rejects where an answer was not 200. */
  async end(): Promise<HealthSeen> {
    this.#worker.postMessage('end' satisfies ToThread, []);
    return this.#seen;
  }
}

type ToThread = 'end';

const EVERY_MS = 20;
/** One of so many is asked on a connection of its own. */
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
