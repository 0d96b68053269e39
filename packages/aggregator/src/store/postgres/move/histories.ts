import type { ClientBase } from 'pg';
import type { AsyncRows, MovedHistory, StoryWriter } from '../../move/moved-story.ts';
import { bigintArray, textArray } from '../arrays.ts';
import {
  ROWS_BYTES_MAX,
  ROW_BYTES_MAX,
  STRETCH,
  historiesOf,
  lineOf,
  repeatOf,
  textOf,
} from '../repeats/histories.ts';
import type { Reading } from '../sessions.ts';

const STRETCHES_AT_ONCE = 64;

const NEXT = `
  SELECT stretch, sum(octet_length(events)) AS bytes FROM histories WHERE stretch > $1::bigint
  GROUP BY stretch ORDER BY stretch LIMIT ${STRETCHES_AT_ONCE}`;

/** Rows as merges make them, older than all that the service will settle. */
const PUT = `
  INSERT INTO histories (stretch, level, step, events)
  SELECT stretch, 1, step, events FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS new (stretch, step, events)`;

/** The steps of the service come behind those of the rows here. */
const STEPS = 'UPDATE repeats SET steps = greatest(steps, $1::bigint)';

export async function* historiesIn(schema: Reading): AsyncRows<MovedHistory> {
  for (let after = -1; ;) {
    const from = after;
    const { rows } = await schema.read((client) =>
      client.query<{ stretch: string; bytes: string }>(NEXT, [from]),
    );
    const stretches: number[] = [];
    for (let bytes = 0; stretches.length < rows.length && bytes < ROWS_BYTES_MAX;) {
      const row = rows[stretches.length]!;
      stretches.push(Number(row.stretch));
      bytes += Number(row.bytes);
    }
    if (stretches.length === 0) return;
    const histories = await schema.read((client) => historiesOf(client, stretches));
    yield histories.map(({ offset, duplicates, conflicts, lines }) => {
      return { offset, duplicates, conflicts, repeats: lines.map(repeatOf) };
    });
    after = stretches.at(-1)!;
  }
}

export function writingHistories(client: ClientBase): StoryWriter<MovedHistory, Promise<void>> {
  const rows = new HistoryRows();
  return {
    empty: async () => void (await client.query('DELETE FROM histories')),
    put: async (histories) => {
      for (const history of histories) rows.add(history);
      if (rows.bytes >= ROW_BYTES_MAX) await client.query(PUT, rows.take());
    },
    end: async () => {
      rows.close();
      await client.query(PUT, rows.take());
      await client.query(STEPS, [rows.lastStep]);
    },
  };
}

/**
 * Packs histories. In: those of all events in the order of their offsets. Out: a row for each stretch, or several, where one would be
 * so large that it would tell fewer repeats.
 */
class HistoryRows {
  /** Of the rows that are whole. */
  #stretches: number[] = [];
  #steps: number[] = [];
  #texts: string[] = [];
  bytes = 0;
  /** The row to which histories are added. */
  #stretch = -1;
  #step = 0;
  #text = '';
  lastStep = 0;

  add({ offset, duplicates, conflicts, repeats }: MovedHistory): void {
    const stretch = Math.floor(offset / STRETCH);
    const history = { duplicates, conflicts, lines: repeats.map(lineOf) };
    const text = textOf(new Map([[offset % STRETCH, history]]));
    if (stretch !== this.#stretch || this.#text.length + text.length > ROW_BYTES_MAX) {
      this.close();
      this.#step = stretch === this.#stretch ? this.#step + 1 : 0;
      this.#stretch = stretch;
    }
    this.#text += text;
  }

  /** No more follows for the last row. */
  close(): void {
    if (this.#text === '') return;
    this.#stretches.push(this.#stretch);
    this.#steps.push(this.#step);
    this.#texts.push(this.#text);
    this.bytes += this.#text.length;
    this.lastStep = Math.max(this.lastStep, this.#step);
    this.#text = '';
  }

  /** The rows that are whole, as the parameters of PUT. */
  take(): Buffer[] {
    const rows = [bigintArray(this.#stretches), bigintArray(this.#steps), textArray(this.#texts)];
    [this.#stretches, this.#steps, this.#texts] = [[], [], []];
    this.bytes = 0;
    return rows;
  }
}
