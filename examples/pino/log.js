// npm install pino pino-http-send, and once, to make the address:
//
//   curl -X PUT http://localhost:8000/sources/pino -H 'content-type: application/json' \
//     -d '{"kind":"collector","topic":"logs.pino","id":"/id"}'
//   node examples/pino/log.js
//   curl -s 'http://localhost:8000/events?topic=logs.pino'
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { createWriteStream } from 'pino-http-send';

const { CHRONICLEWEAVER_URL: url = 'http://localhost:8000', CHRONICLEWEAVER_KEY: key = 'none' } = process.env;

const log = pino(
  { mixin: () => ({ id: randomUUID() }) },
  createWriteStream({
    url: `${url}/in/pino`,
    headers: { authorization: `Bearer ${key}` },
    batchSize: 100,
    timeout: 500,
    // How often it sends a batch again, and after how many milliseconds; then it drops it.
    retries: 1000,
    interval: 1000,
    silent: false,
  }),
);

for (let n = 1; n <= 20; n++) log.info({ n }, 'hello from pino');
