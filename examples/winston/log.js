// npm install winston, and once, to make the address:
//
//   curl -X PUT http://localhost:8000/sources/winston -H 'content-type: application/json' \
//     -d '{"kind":"collector","topic":"logs.winston","id":"/id"}'
//   node examples/winston/log.js
//   curl -s 'http://localhost:8000/events?topic=logs.winston'
import { randomUUID } from 'node:crypto';
import winston from 'winston';

const { CHRONICLEWEAVER_URL: url = 'http://localhost:8000', CHRONICLEWEAVER_KEY: key = 'none' } = process.env;
const { hostname: host, port } = new URL(url);

const http = new winston.transports.Http({
  host,
  port: Number(port),
  path: '/in/winston',
  headers: { authorization: `Bearer ${key}` },
});

// winston's transport forgets what it could not send. What is kept here is sent again until it is stored; what was stored already is a
// duplicate, and dropped.
const waiting = new Set();
const send = http.log.bind(http);
http.log = (record, next) => {
  waiting.add(record);
  send(record, next);
};
http.on('logged', (record) => waiting.delete(record));
http.on('warn', ({ message }) => process.stderr.write(`${message}; sending it again\n`));
setInterval(() => {
  for (const record of waiting) send(record);
}, 1000).unref();

const withId = winston.format((record) => ({ ...record, id: randomUUID() }));
const log = winston.createLogger({
  format: winston.format.combine(withId(), winston.format.timestamp(), winston.format.json()),
  transports: [http],
});

for (let n = 1; n <= 20; n++) log.info('hello from winston', { n });

const whenSent = setInterval(() => {
  if (waiting.size === 0) clearInterval(whenSent);
}, 100);
