import { escapeLiteral } from 'pg';
import type { DeadLetter } from '../../group-store.ts';
import type { HandKey, WrittenHand } from '../../groups/group-tables.ts';
import { recording } from '../audit/recorded.ts';
import { KEEPS } from '../keeps.ts';
import type { ChangedGroup, LoadedTables, StoredRow } from './tables.ts';

interface SavedApply {
  readonly lane: number;
  readonly applyId: number;
  /** By the database's clock. */
  readonly nowMs: number;
  /** The time of the steps. */
  readonly atMs: number;
}

/** The statements that write what the steps of an apply have changed, in the order in which they must be done. */
export function savingOf(tables: LoadedTables, { lane, applyId, nowMs, atMs }: SavedApply): string[] {
  const groups = tables.changed();
  const made = groups.filter(({ before }) => before === null);
  const gone = groups.filter(({ isRemoved }) => isRemoved);
  const going = groups.filter(({ isRemoved }) => !isRemoved);
  return [
    `UPDATE lane SET apply_id = ${applyId}, used_ms = ${nowMs} * (${KEEPS}) WHERE lane_id = ${lane}`,
    ...(made.length === 0 ? [] : [`UPDATE last_group SET group_id = ${tables.lastId}`]),
    ...removals(gone),
    ...inserts(made, applyId),
    ...going.flatMap((group) => (group.before === null ? [] : [update(group, group.before, applyId)])),
    ...handsGone(going),
    ...handsWritten(going),
    ...lettersGone(going),
    ...lettersAdded(going),
    ...recording(tables.records(), atMs),
  ];
}

function removals(groups: readonly ChangedGroup[]): string[] {
  if (groups.length === 0) return [];
  const ids = groups.map(({ row }) => row.group_id).join();
  return ['hand', 'dead_letter', 'event_group'].map(
    (table) => `DELETE FROM ${table} WHERE group_id IN (${ids})`,
  );
}

function inserts(groups: readonly ChangedGroup[], applyId: number): string[] {
  if (groups.length === 0) return [];
  const rows = groups.map(({ row }) => ({ ...row, version: applyId }));
  const names = Object.keys(rows[0]!) as (keyof StoredRow)[];
  const values = rows.map((row) => `(${names.map((name) => literal(row[name])).join()})`);
  return [`INSERT INTO event_group (${names.join()}) VALUES ${values.join()}`];
}

function update({ row }: ChangedGroup, before: StoredRow, applyId: number): string {
  const names = (Object.keys(row) as (keyof StoredRow)[]).filter((name) => row[name] !== before[name]);
  const changes = names.map((name) => `, ${name} = ${literal(row[name])}`).join('');
  return `UPDATE event_group SET version = ${applyId}${changes} WHERE group_id = ${row.group_id}`;
}

function handsGone(groups: readonly ChangedGroup[]): string[] {
  const cleared = groups.filter(({ hands }) => hands.isCleared).map(({ row }) => row.group_id);
  const keyOf = (id: number, { take, due_ms: dueMs, is_last: isLast }: HandKey): string =>
    `(${id},${take},${dueMs},${isLast})`;
  const keys = groups.flatMap(({ row, hands }) => hands.removed().map((key) => keyOf(row.group_id, key)));
  return [
    ...(cleared.length === 0 ? [] : [`DELETE FROM hand WHERE group_id IN (${cleared.join()})`]),
    ...(keys.length === 0
      ? []
      : [
          `DELETE FROM hand USING (VALUES ${keys.join()}) AS gone (group_id, take, due_ms, is_last)
           WHERE hand.group_id = gone.group_id AND hand.take = gone.take AND hand.due_ms = gone.due_ms
             AND hand.is_last = gone.is_last`,
        ]),
  ];
}

function handsWritten(groups: readonly ChangedGroup[]): string[] {
  const valuesOf = (id: number, hand: WrittenHand): string =>
    `(${id},${hand.take},${hand.due_ms},${hand.is_last},${hand.events},${hand.first_offset},${hand.last_offset},` +
    `${literal(hand.entries)})`;
  const hands = groups.flatMap(({ row, hands: of }) =>
    of.written().map((hand) => valuesOf(row.group_id, hand)),
  );
  if (hands.length === 0) return [];
  return [
    `INSERT INTO hand (group_id, take, due_ms, is_last, events, first_offset, last_offset, entries)
     VALUES ${hands.join()}
     ON CONFLICT (group_id, take, due_ms, is_last) DO UPDATE SET events = excluded.events,
       first_offset = excluded.first_offset, last_offset = excluded.last_offset, entries = excluded.entries`,
  ];
}

function lettersGone(groups: readonly ChangedGroup[]): string[] {
  return groups.flatMap(({ row: { group_id: id }, letters: { removed, removedAbove } }) => [
    ...(removed.size === 0
      ? []
      : [
          `DELETE FROM dead_letter WHERE group_id = ${id} AND "offset" = ANY ('{${[...removed].join()}}'::bigint[])`,
        ]),
    ...(removedAbove === Number.POSITIVE_INFINITY
      ? []
      : [`DELETE FROM dead_letter WHERE group_id = ${id} AND "offset" > ${removedAbove}`]),
  ]);
}

function lettersAdded(groups: readonly ChangedGroup[]): string[] {
  const valuesOf = (id: number, { offset, deliveries, bytes, deadMs, reason }: DeadLetter): string =>
    `(${id},${offset},${deliveries},${bytes},${deadMs},'${reason}')`;
  const letters = groups.flatMap(({ row, letters: { added } }) =>
    [...added.values()].map((letter) => valuesOf(row.group_id, letter)),
  );
  if (letters.length === 0) return [];
  return [
    `INSERT INTO dead_letter (group_id, "offset", deliveries, bytes, dead_ms, reason) VALUES ${letters.join()}`,
  ];
}

function literal(value: string | number | Uint8Array | null): string {
  if (value === null) return 'NULL';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return escapeLiteral(value);
  return `'\\x${Buffer.from(value.buffer, value.byteOffset, value.length).toString('hex')}'`;
}
