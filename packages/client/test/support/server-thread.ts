import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';

/** Answers requests after 150 ms, and streams a word every 150 ms: on a thread, since the test blocks its own loop. */
const SOURCE = `
const { createServer } = require('node:http');
const { parentPort } = require('node:worker_threads');
createServer((request, response) => {
  if (request.url.startsWith('/events/stream')) {
    response.writeHead(200).write(': hello\\n\\n');
    const speaking = setInterval(() => response.write(': hello\\n\\n'), 150);
    response.on('close', () => clearInterval(speaking));
  } else setTimeout(() => response.end('{"unique_processed":0}'), 150);
}).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port); });
`;

export const ServerThread = {
  async start(t: TestContext): Promise<{ url: string }> {
    const worker = new Worker(SOURCE, { eval: true });
    t.after(() => worker.terminate());
    const [port] = (await once(worker, 'message')) as [number];
    return { url: `http://127.0.0.1:${port}` };
  },
};
