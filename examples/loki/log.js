// npm install pino pino-loki; its address is there from the start:
//
//   node examples/loki/log.js
//   curl -s 'http://localhost:8000/events?topic=logs.shop'
//
// pino-loki never sends again what failed, and a process that ends may take its last lines with it. Where that matters, see ../pino, or log to a file and let a collector send it.
import { pino } from 'pino';

const { CHRONICLEWEAVER_URL: host = 'http://localhost:8000', CHRONICLEWEAVER_KEY: key = 'none' } =
  process.env;

const log = pino({
  transport: {
    target: 'pino-loki',
    options: { host, labels: { service_name: 'shop' }, headers: { authorization: `Bearer ${key}` } },
  },
});

for (let n = 1; n <= 3; n++) log.info({ n }, 'hello from pino-loki');
