import { createServer } from 'node:http';
import { listen } from './listen.ts';

/** Reference (c): what node:http itself can do. It reads the body and answers with a constant. */
const ANSWER =
  '{"status":"success","message":"Published 0 events","events_count":0,"accepted":0,"duplicates":0,"conflicts":0}';

const server = createServer((request, response) => {
  request.on('data', () => {});
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': ANSWER.length });
    response.end(ANSWER);
  });
});

listen(server);
