import { createServer } from 'node:http';
import type { Event } from '@chronicleweaver/protocol';
import { Pool } from 'pg';
import { listen } from './listen.ts';

/**
 * The design that anyone would begin with on PostgreSQL: a row an event, a unique constraint, INSERT … ON CONFLICT DO
 * NOTHING, one transaction for each request, 16 connections. The events of a request are one statement, prepared, its rows
 * sorted: unsorted, requests with the same events end in deadlocks. It validates nothing and reports no conflicts; its
 * offsets, from a sequence, have holes that fill later, so nobody could follow it without missing events.
 */
const CONNECTIONS = 16;

const TABLE = `
  CREATE TABLE IF NOT EXISTS event (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic     text        NOT NULL,
    event_id  text        NOT NULL,
    source    text        NOT NULL,
    timestamp timestamptz NOT NULL,
    payload   jsonb       NOT NULL,
    UNIQUE (topic, event_id)
  )`;

const INSERT = `
  INSERT INTO event (topic, event_id, source, timestamp, payload)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::jsonb[])
  ON CONFLICT DO NOTHING`;

const address = new URL(process.env['STORE_URL'] ?? '');
const schema = address.searchParams.get('schema')!;
address.searchParams.delete('schema');
const pool = new Pool({
  connectionString: address.href,
  options: `-c search_path=${schema}`,
  max: CONNECTIONS,
  idleTimeoutMillis: 0,
});
await pool.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
await pool.query(TABLE);
let received = 0;

async function publish({ events }: { events: Event[] }): Promise<object> {
  const rows = events
    .map((event) => ({ ...event, order: `${event.topic}\n${event.event_id}` }))
    .toSorted((a, b) => (a.order < b.order ? -1 : 1));
  const { rowCount } = await pool.query({
    name: 'insert',
    text: INSERT,
    values: [
      rows.map(({ topic }) => topic),
      rows.map(({ event_id: id }) => id),
      rows.map(({ source }) => source),
      rows.map(({ timestamp }) => timestamp),
      rows.map(({ payload }) => JSON.stringify(payload)),
    ],
  });
  const accepted = rowCount ?? 0;
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

async function stats(): Promise<object> {
  const { rows } = await pool.query<{ stored: string }>('SELECT count(*) AS stored FROM event');
  const stored = Number(rows[0]!.stored);
  return { received, unique_processed: stored, duplicated_dropped: received - stored, conflicts: 0 };
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  const answer = async (): Promise<object> => {
    if (request.method === 'POST') {
      return publish(JSON.parse(Buffer.concat(chunks).toString()) as { events: Event[] });
    }
    return request.url === '/stats' ? stats() : { message: 'ready' };
  };
  const send = (status: number, message: object): void => {
    const body = JSON.stringify(message);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    response.writeHead(status, headers).end(body);
  };
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    answer().then(
      (message) => send(200, message),
      (error: unknown) => send(500, { message: String(error) }),
    );
  });
});

listen(server, () => void pool.end());
