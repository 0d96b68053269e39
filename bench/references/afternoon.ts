import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import type { Event } from '@chronicleweaver/protocol';
import { listen } from './listen.ts';

/**
 * Reference (b): the aggregator that anyone would write in an afternoon. JSON.parse, a unique constraint, INSERT OR
 * IGNORE, one transaction per request, synced like ours. It validates nothing and reports no conflicts.
 */
const db = new DatabaseSync(process.env['DEDUPLICATION_DB_PATH'] ?? '');
db.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA cache_size = -65536;
  CREATE TABLE IF NOT EXISTS event (
    id        INTEGER PRIMARY KEY,
    topic     TEXT NOT NULL,
    event_id  TEXT NOT NULL,
    source    TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    payload   TEXT NOT NULL,
    UNIQUE (topic, event_id)
  ) STRICT;
`);
const insert = db.prepare(
  'INSERT OR IGNORE INTO event (topic, event_id, source, timestamp, payload) VALUES (?, ?, ?, ?, ?)',
);
const begin = db.prepare('BEGIN IMMEDIATE');
const commit = db.prepare('COMMIT');
const count = db.prepare('SELECT count(*) AS events FROM event');
let received = 0;

function publish({ events }: { events: Event[] }): object {
  let accepted = 0;
  begin.run();
  for (const { topic, event_id: eventId, source, timestamp, payload } of events) {
    accepted += Number(insert.run(topic, eventId, source, timestamp, JSON.stringify(payload)).changes);
  }
  commit.run();
  received += events.length;
  return {
    status: 'success',
    message: `Published ${events.length} events`,
    events_count: events.length,
    accepted,
    duplicates: events.length - accepted,
    conflicts: 0,
  };
}

function stats(): object {
  const stored = Number(count.get()!['events']);
  return { received, unique_processed: stored, duplicated_dropped: received - stored, conflicts: 0 };
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const answer =
      request.method === 'POST'
        ? publish(JSON.parse(Buffer.concat(chunks).toString()) as { events: Event[] })
        : request.url === '/stats'
          ? stats()
          : { message: 'ready' };
    const body = JSON.stringify(answer);
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  });
});

listen(server, () => db.close());
