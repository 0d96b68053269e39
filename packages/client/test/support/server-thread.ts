import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { until } from '../../../../lab/program.ts';

/** Answers a request; `number` counts from 1. The thread gets only the source of the function, so it can use no outer names. */
type Script = (request: IncomingMessage, response: ServerResponse, number: number) => void;

interface Arrived {
  readonly body: string;
  /** Milliseconds since 1970, by a clock that all threads share. */
  readonly atMs: number;
}

const sourceOf = (script: Script): string => `
const { createServer } = require('node:http');
const { text } = require('node:stream/consumers');
const { parentPort } = require('node:worker_threads');
let number = 0;
createServer(async (request, response) => {
  const body = await text(request);
  request.text = body;
  parentPort.postMessage({ body, atMs: performance.timeOrigin + performance.now() });
  (${script.toString()})(request, response, ++number);
}).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port); });
`;

/** A server on its own thread, which keeps running while a test blocks the event loop. */
export class ServerThread {
  readonly url: string;
  readonly arrived: Arrived[] = [];

  private constructor(url: string, worker: Worker) {
    this.url = url;
    worker.on('message', (arrived: Arrived) => this.arrived.push(arrived));
  }

  static async start(t: TestContext, script: Script): Promise<ServerThread> {
    const worker = new Worker(sourceOf(script), { eval: true });
    t.after(() => worker.terminate());
    const [port] = (await once(worker, 'message')) as [number];
    return new ServerThread(`http://127.0.0.1:${port}`, worker);
  }

  /** Resolves once this many requests have arrived. */
  requests(count: number): Promise<void> {
    return until(
      () => `${count} requests`,
      () => this.arrived.length >= count,
    );
  }
}
