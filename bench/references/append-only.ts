import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Event } from '@chronicleweaver/protocol';
import { createEventText } from '../load/event-text.ts';
import { Plan } from '../load/plan.ts';

/**
 * Reference (a): what SQLite can do when nobody asks whether an event is new. It writes the rows of the plain store
 * without its indexes, 1000 per transaction, synced like ours, from events parsed before the clock starts.
 *
 * usage: node append-only.ts FILE EVENTS SEED
 */
const [path = '', events = '', seed = ''] = process.argv.slice(2);
const BATCH = 1000;

const eventText = createEventText(Number(seed));
const rows = Array.from(new Plan(Number(seed)).next(Number(events)).events, (k) => {
  const text = eventText(k);
  return { event: JSON.parse(text) as Event, text };
});

const db = new DatabaseSync(path);
db.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE event (
    offset    INTEGER PRIMARY KEY,
    event_id  TEXT NOT NULL,
    topic     TEXT NOT NULL,
    source    TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    text      TEXT NOT NULL
  ) STRICT;
`);
const insert = db.prepare('INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)');
const begin = db.prepare('BEGIN IMMEDIATE');
const commit = db.prepare('COMMIT');

const cpuBefore = process.cpuUsage();
const startMs = performance.now();
for (let from = 0; from < rows.length; from += BATCH) {
  begin.run();
  const to = Math.min(from + BATCH, rows.length);
  for (let i = from; i < to; i++) {
    const { event, text } = rows[i]!;
    insert.run(i + 1, event.event_id, event.topic, event.source, event.timestamp, text);
  }
  commit.run();
}
const seconds = (performance.now() - startMs) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
const cpuSeconds = (user + system) / 1e6;
db.close();
process.stdout.write(
  `${JSON.stringify({ events: rows.length, seconds, cpuSeconds, diskBytes: statSync(path).size })}\n`,
);
