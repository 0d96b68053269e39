import type { Conflict } from '../../repeat-store.ts';

/** A row of `conflict` (tables.ts) with the name of its topic. */
export interface ConflictRow {
  readonly number: string;
  readonly first_offset: string;
  readonly received_ms: string;
  readonly topic: string;
  readonly event_id: string;
  readonly source: string;
  readonly publisher: string;
}

export function conflictOf(row: ConflictRow, body: Buffer | null): Conflict {
  return {
    number: Number(row.number),
    topic: row.topic,
    eventId: row.event_id,
    source: row.source,
    offset: Number(row.first_offset),
    receivedMs: Number(row.received_ms),
    publisher: row.publisher || null,
    text: body && body.toString(),
  };
}
