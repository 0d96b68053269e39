import { type ClientBase, type QueryResult, escapeLiteral } from 'pg';
import type { Step } from '../../group-store.ts';
import type { WrittenHand } from '../../groups/group-tables.ts';
import { StaleError } from '../errors.ts';
import { HandTable } from './hand-table.ts';
import type { Loaded, StoredRow } from './tables.ts';

/** The groups that steps are about. */
export interface Meant {
  readonly ids: readonly number[];
  readonly names: readonly string[];
  readonly isAll: boolean;
  /** Whether any may be made. */
  readonly isMaking: boolean;
  /** Whether none of the steps can change anything. */
  readonly isReading: boolean;
}

/** The hands of groups as they were at these versions of their rows. Where hands change, their entry is another one. */
export type Kept = ReadonlyMap<number, KeptHands>;

export interface KeptHands {
  readonly version: number;
  readonly hands: HandTable;
}

export function meantBy(steps: readonly Step[]): Meant {
  const ids = new Set<number>();
  const names = new Set<string>();
  let isAll = false;
  let isMaking = false;
  let isReading = true;
  for (const [name, about] of steps) {
    if (!['find', 'state', 'list', 'outstanding', 'returned', 'dead'].includes(name)) isReading = false;
    if (name === 'create') {
      isMaking = true;
      names.add(about.name);
    } else if (name === 'find') names.add(about);
    else if (name === 'list') isAll = true;
    else ids.add(about);
  }
  return { ids: [...ids].toSorted((a, b) => a - b), names: [...names], isAll, isMaking, isReading };
}

/**
 * Begins a transaction and loads what the steps need, in one round trip. Each statement sees what is committed when it
 * begins: those behind the locks see what whoever had them before has written. So hands are loaded after the rows; and only
 * those of groups that others have written since they were kept here.
 *
 * Locks are taken in one order by everybody: the lane's row, that of who makes groups, the groups' by their ids.
 *
 * @param lane the lane whose row is locked; null to lock nothing and see one snapshot
 */
export async function load(
  client: ClientBase,
  meant: Meant,
  kept: Kept,
  lane: number | null,
): Promise<Loaded & LoadedLane> {
  const which = conditionOf(meant);
  // Those that may be meant.
  const sent = new Map(
    [...kept].filter(([id]) => meant.isAll || meant.names.length > 0 || meant.ids.includes(id)),
  );
  const lock = lane === null ? '' : 'FOR UPDATE';
  const statements = [
    lane === null ? 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' : 'BEGIN',
    `SELECT apply_id FROM lane WHERE lane_id = ${lane ?? 'NULL'} ${lock}`,
    meant.isMaking ? `SELECT group_id FROM last_group ${lock}` : 'SELECT 0 AS group_id',
    `SELECT * FROM event_group WHERE ${which} ORDER BY group_id ${lock}`,
    handsWhere(which, sent),
    `SELECT last_offset, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms,
       current_setting('synchronous_standby_names') <> '' AS awaits_standby,
       ${meant.isMaking ? '(SELECT count(*) FROM event_group)' : '0'} AS groups
     FROM head`,
  ];
  // One text with several statements has one result for each; the library's types do not say so.
  const results = (await client.query(statements.join(';\n'))) as unknown as QueryResult<Cells>[];
  const [, ofLane, last, groups, hands, now] = results.map(({ rows }) => rows);
  const rows = new Map(groups!.map((cells) => [Number(cells['group_id']), rowOf(cells)]));
  return {
    rows,
    hands: handsOf(rows, hands!, sent, kept),
    nowMs: Number(now![0]!['now_ms']),
    lastOffset: Number(now![0]!['last_offset']),
    groups: Number(now![0]!['groups']),
    lastId: Number(last![0]!['group_id']),
    awaitsStandby: now![0]!['awaits_standby'] === true,
    applyId: ofLane![0] === undefined ? null : Number(ofLane![0]['apply_id']),
  };
}

interface LoadedLane {
  /** The last apply of the lane that was committed; null if the lane has no row. */
  readonly applyId: number | null;
  /** Whether commits here wait for a standby. */
  readonly awaitsStandby: boolean;
}

type Cells = Record<string, unknown>;

/** Column by column, what the client library leaves as a text. */
const NUMBERS = [
  'group_id',
  'lease_ms',
  'created_ms',
  'position',
  'takes',
  'void_takes',
  'dead',
  'deliveries',
  'redeliveries',
  'acknowledged',
  'expired',
  'sender_until_ms',
  'version',
] as const;

function conditionOf({ ids, names, isAll }: Meant): string {
  if (isAll) return 'true';
  const byId = `group_id = ANY ('{${ids.join()}}'::bigint[])`;
  return names.length === 0 ? byId : `(${byId} OR name IN (${names.map(escapeLiteral).join()}))`;
}

function handsWhere(which: string, sent: Kept): string {
  const known = [...sent].map(([id, { version }]) => `(${id},${version})`);
  return `SELECT hand.group_id, take, due_ms, is_last, events, first_offset, last_offset, entries
    FROM event_group JOIN hand USING (group_id)
    WHERE ${which} ${known.length === 0 ? '' : `AND (group_id, version) NOT IN (${known.join()})`}`;
}

function rowOf(cells: Cells): StoredRow {
  const row = { ...cells };
  for (const name of NUMBERS) row[name] = Number(row[name]);
  if (row['failing_since_ms'] !== null) row['failing_since_ms'] = Number(row['failing_since_ms']);
  return row as unknown as StoredRow;
}

function handsOf(
  rows: Loaded['rows'],
  cells: readonly Cells[],
  sent: Kept,
  kept: Kept,
): Map<number, HandTable> {
  const tables = new Map<number, HandTable>();
  for (const [id, { version }] of rows) {
    const known = sent.get(id);
    if (known?.version !== version) tables.set(id, new HandTable());
    else if (kept.get(id) === known) tables.set(id, known.hands);
    else throw new StaleError('hands that were kept have changed');
  }
  for (const row of cells) {
    const hand: WrittenHand = {
      take: Number(row['take']),
      due_ms: Number(row['due_ms']),
      is_last: Number(row['is_last']),
      events: Number(row['events']),
      first_offset: Number(row['first_offset']),
      last_offset: Number(row['last_offset']),
      entries: row['entries'] as Buffer,
    };
    tables.get(Number(row['group_id']))!.set(hand);
  }
  return tables;
}
