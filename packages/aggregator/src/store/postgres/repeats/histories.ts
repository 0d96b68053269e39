import type { ClientBase } from 'pg';
import { type Repeat, REPEATS_KEPT_MAX } from '../../repeat-store.ts';
import { bigintArray, textArray } from '../arrays.ts';

/*
 * The histories of repeats, packed by stretches of the log (tables.ts describes the rows). In: a row of level 0 for each stretch
 * that a step has repeats of (settle-repeats.ts). Out: what is told of one event.
 *
 *   level 0 ──16 rows──▶ level 1 ──16 rows──▶ level 2 … ; ids forgotten ──▶ one row of level 30, perhaps one of 29
 *
 * Invariants, under the lock of the row `repeats`: rows of a lower level are newer than those of a higher one, and within a level those
 * of a later step; an event's counts are the sums over all rows of its stretch, and its last repeats come first.
 */

/** A stretch is so many neighbouring offsets, as a power of 2. */
export const STRETCH_BITS = 10;
export const STRETCH = 2 ** STRETCH_BITS;

/** So many rows of a level, of one stretch, become one row of the next level; or fewer, once they have so many bytes. */
export const ROWS_MERGED = 16;
export const ROWS_BYTES_MAX = 8 * 1024 * 1024;
/** A merged row tells fewer of the last repeats where it would have more bytes: each event of the stretch was repeated often, under a long name. */
export const ROW_BYTES_MAX = 4 * 1024 * 1024;
/**
 * Where what is left of a stretch goes once ids of it are forgotten: of all its rows, or of those that came since. Merging never gets
 * so high.
 */
const FORGOTTEN_LEVELS = { all: 30, since: 29 } as const;
const STRETCHES_AT_ONCE = 64;
/** Rows that are read at once to be checked: each may have megabytes. */
const PAGE_ROWS = 8;

/** The newest first; of each row what it tells of the event at this place alone. */
const OF_EVENT = `
  SELECT split_part(split_part(E'\\n' || events, E'\\n=' || $2::int || ' ', 2), E'\\n=', 1) AS event
  FROM histories WHERE stretch = $1::bigint ORDER BY level, step DESC`;
const OF_STRETCHES = `
  SELECT stretch, events FROM histories WHERE stretch = ANY ($1::bigint[]) AND level <= $2::int
  ORDER BY stretch, level, step DESC`;
const SIZES = `
  SELECT stretch, count(*) FILTER (WHERE level = $2::int)::int AS rows, sum(octet_length(events)) AS bytes FROM histories
  WHERE stretch = ANY ($1::bigint[]) AND level <= $2::int GROUP BY stretch`;
const DELETE = 'DELETE FROM histories WHERE stretch = ANY ($1::bigint[]) AND level <= $2::int';
const INSERT = `
  INSERT INTO histories (stretch, level, step, events)
  SELECT stretch, $2::int, $3::bigint, events FROM unnest($1::bigint[], $4::text[]) AS packed (stretch, events)`;
const PAGE = `
  SELECT stretch, level, step, events FROM histories WHERE (stretch, level, step) > ($1::bigint, $2::int, $3::bigint)
  ORDER BY stretch, level, step LIMIT ${PAGE_ROWS}`;

/** What is known of the repeats of one event; of each repeat its line, the newest first. */
interface History {
  duplicates: number;
  conflicts: number;
  lines: string[];
}

/** What is told of the repeats of the event at this offset. */
export async function historyOf(
  client: ClientBase,
  offset: number,
): Promise<{ duplicates: number; conflicts: number; repeats: Repeat[] }> {
  const place = offset % STRETCH;
  const { rows } = await client.query<{ event: string }>({
    name: 'history',
    text: OF_EVENT,
    values: [Math.floor(offset / STRETCH), place],
  });
  const own = rows.filter(({ event }) => event !== '').map(({ event }) => ({ events: `=${place} ${event}` }));
  const { duplicates, conflicts, lines } = packed(own).get(place) ?? none();
  return { duplicates, conflicts, repeats: lines.map(repeatOf) };
}

/** What is known of the repeats of all events on these stretches, in the order of their offsets. */
export async function historiesOf(
  client: ClientBase,
  stretches: readonly number[],
): Promise<(History & { offset: number })[]> {
  const { rows } = await client.query<{ stretch: string; events: string }>(OF_STRETCHES, [
    bigintArray(stretches),
    FORGOTTEN_LEVELS.all,
  ]);
  return [...Map.groupBy(rows, ({ stretch }) => stretch)].flatMap(([stretch, own]) =>
    [...packed(own)]
      .toSorted(([a], [b]) => a - b)
      .map(([place, history]) => ({ offset: Number(stretch) * STRETCH + place, ...history })),
  );
}

/**
 * Merges the rows of these stretches where they are enough of level 0, and then those of a higher level where they are enough of it. So a
 * repeat is written again once a level, and a stretch has few rows to be read.
 *
 * @param step the number of the step that is under way, in the caller's transaction
 */
export async function mergeHistories(
  client: ClientBase,
  stretches: readonly number[],
  step: number,
): Promise<void> {
  let full = await sizesOf(client, stretches, 0);
  for (let level = 0; full.length > 0; level++) {
    for (const some of inParts(full)) await repack(client, some, { from: level, to: level + 1, step });
    full = await sizesOf(client, full.map(({ stretch }) => stretch), level + 1); // prettier-ignore
    full = full.filter(({ rows }) => rows >= ROWS_MERGED);
  }
}

/**
 * Forgets what is told of these events, in the caller's transaction.
 *
 * @param rows all, or those that came since all were gone through in this transaction
 */
export async function forgetHistories(
  client: ClientBase,
  offsets: readonly number[],
  rows: 'all' | 'since',
): Promise<void> {
  const level = FORGOTTEN_LEVELS[rows];
  const forgotten = new Set(offsets);
  const stretches = [...new Set(offsets.map((offset) => Math.floor(offset / STRETCH)))];
  for (const some of inParts(await sizesOf(client, stretches, level))) {
    await repack(client, some, { from: level, to: level, step: 0, forgotten });
  }
}

/** What a stretch has: rows of a level, and bytes of that level and below. */
interface Size {
  readonly stretch: number;
  readonly rows: number;
  readonly bytes: number;
}

async function sizesOf(client: ClientBase, stretches: readonly number[], level: number): Promise<Size[]> {
  const { rows } = await client.query<{ stretch: string; rows: number; bytes: string }>(SIZES, [
    bigintArray(stretches),
    level,
  ]);
  return rows.map((row) => ({ stretch: Number(row.stretch), rows: row.rows, bytes: Number(row.bytes) }));
}

/** As many at once as have not too many bytes together, or one. */
function inParts(sizes: readonly Size[]): number[][] {
  const parts: number[][] = [];
  let left = 0;
  for (const { stretch, bytes } of sizes) {
    const last = parts.at(-1);
    if (last === undefined || last.length === STRETCHES_AT_ONCE || bytes > left) {
      parts.push([stretch]);
      left = ROWS_BYTES_MAX;
    } else last.push(stretch);
    left -= bytes;
  }
  return parts;
}

/** What is wrong with the histories, as of the transaction. */
export async function* historyProblems(client: ClientBase, lastOffset: number): AsyncGenerator<string> {
  for (let after: (string | number)[] = [-1, 0, 0]; ;) {
    const { rows } = await client.query<{ stretch: string; level: number; step: string; events: string }>(
      PAGE,
      after,
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    after = [last.stretch, last.level, last.step];
    for (const row of rows) {
      for (const [place, history] of packed([row])) {
        const offset = Number(row.stretch) * STRETCH + place;
        const { duplicates, conflicts, lines } = history;
        if (!(offset >= 1 && offset <= lastOffset)) yield `history: there is no event at offset ${offset}`;
        if (!(conflicts <= duplicates && lines.length <= duplicates))
          yield `history at offset ${offset}: ${conflicts} conflicts and ${lines.length} lines among ${duplicates} duplicates`;
      }
    }
  }
}

/** Makes one row of those that each of these stretches has up to level `from`; none, where nothing is left. */
async function repack(
  client: ClientBase,
  stretches: readonly number[],
  how: { from: number; to: number; step: number; forgotten?: ReadonlySet<number> },
): Promise<void> {
  const values = [bigintArray(stretches), how.from];
  const { rows } = await client.query<{ stretch: string; events: string }>(OF_STRETCHES, values);
  const texts = new Map<number, string>();
  for (const [name, own] of Map.groupBy(rows, ({ stretch }) => stretch)) {
    const stretch = Number(name);
    const events = packed(own);
    for (const place of events.keys())
      if (how.forgotten?.has(stretch * STRETCH + place)) events.delete(place);
    if (events.size > 0) texts.set(stretch, textOf(events));
  }
  await client.query(DELETE, values);
  await client.query(INSERT, [
    bigintArray([...texts.keys()]),
    how.to,
    how.step,
    textArray([...texts.values()]),
  ]);
}

/** What rows of a stretch, the newest first, tell of its events, by their place in it. */
function packed(rows: readonly { readonly events: string }[]): Map<number, History> {
  const histories = new Map<number, History>();
  for (const { events } of rows) {
    let history = none();
    for (const line of events.split('\n')) {
      if (line.startsWith('=')) {
        const [place, duplicates, conflicts] = line.slice(1).split(' ').map(Number) as [
          number,
          number,
          number,
        ];
        history = histories.get(place) ?? none();
        histories.set(place, history);
        history.duplicates += duplicates;
        history.conflicts += conflicts;
      } else if (line !== '' && history.lines.length < REPEATS_KEPT_MAX) {
        history.lines.push(line);
      }
    }
  }
  return histories;
}

/** The text of a row, as it is described at the table (tables.ts). */
export function textOf(histories: ReadonlyMap<number, History>, kept = REPEATS_KEPT_MAX): string {
  const text = [...histories]
    .toSorted(([a], [b]) => a - b)
    .map(([place, { duplicates, conflicts, lines }]) =>
      [`=${place} ${duplicates} ${conflicts}`, ...lines.slice(0, kept), ''].join('\n'),
    )
    .join('');
  return text.length > ROW_BYTES_MAX && kept > 1 ? textOf(histories, kept >> 1) : text;
}

export function lineOf({ receivedMs, isConflict, source, publisher }: Repeat): string {
  return `${receivedMs}${isConflict ? '!' : ' '}${JSON.stringify(source)}\t${publisher ?? ''}`;
}

export function repeatOf(line: string): Repeat {
  const mark = line.search(/[ !]/);
  const tab = line.indexOf('\t');
  return {
    receivedMs: Number(line.slice(0, mark)),
    isConflict: line[mark] === '!',
    source: JSON.parse(line.slice(mark + 1, tab)) as string,
    publisher: line.slice(tab + 1) || null,
  };
}

function none(): History {
  return { duplicates: 0, conflicts: 0, lines: [] };
}
