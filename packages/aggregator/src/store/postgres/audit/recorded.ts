import { escapeLiteral } from 'pg';
import { type FreshRecord, FreshRecords } from '../../audit/audit-records.ts';
import type { PublisherRun } from '../../commit-group.ts';
import { ACCEPTED, CONFLICT, DUPLICATE } from '../../event-store.ts';
import { intArray, textArray } from '../arrays.ts';
import type { GroupRepeat, Judged } from '../judged.ts';

/** What became of a group's events, as the parameters of the statement that commits them (append.ts). */
export function recordedCommit(
  publishers: readonly PublisherRun[],
  { fresh, freshPlaces }: Pick<Judged, 'fresh' | 'freshPlaces'>,
  repeats: readonly GroupRepeat[],
): Buffer[] {
  const records = new FreshRecords();
  let publisherOf = walking(publishers);
  for (const event of fresh) records.add(ACCEPTED, publisherOf(event), -1 - freshPlaces[event]!, 0);
  publisherOf = walking(publishers);
  for (const { place, first, isConflict } of repeats)
    records.add(isConflict ? CONFLICT : DUPLICATE, publisherOf(place), first, 0);
  return parametersOf(records.take());
}

/** The actions, names, numbers of entries and bodies of some records. */
export function parametersOf(records: readonly FreshRecord[]): Buffer[] {
  return [
    intArray(records.map(({ action }) => action)),
    // Neither a key nor a group has an empty name.
    textArray(records.map(({ who }) => who ?? '')),
    textArray(records.map(({ entries }) => String(entries))),
    textArray(records.map(({ body }) => body)),
  ];
}

/** The statement that adds records at this time. */
export function recording(records: readonly FreshRecord[], nowMs: number): string[] {
  if (records.length === 0) return [];
  const values = records.map(
    ({ action, who, entries, body }) =>
      `(${nowMs},${action},${who === null ? 'NULL' : escapeLiteral(who)},${entries},0,${escapeLiteral(body)})`,
  );
  return [`INSERT INTO audit (at_ms, action, who, entries, base, body) VALUES ${values.join()}`];
}

/** Of each event, by its place, who published it. The places must ascend. */
function walking(runs: readonly PublisherRun[]): (place: number) => string | null {
  let run = 0;
  return (place) => {
    while (run < runs.length && place >= runs[run]!.end) run += 1;
    return runs[run]?.publisher ?? null;
  };
}
