import {
  type EventBatch,
  EVENT_ID,
  SOURCE,
  SPANS_PER_EVENT,
  TEXT,
  partText,
} from '../../../event/event-batch.ts';
import type { PublisherRun } from '../../commit-group.ts';
import { CONFLICTS_KEPT_MAX } from '../../repeat-store.ts';
import { bigintArray, boolArray, byteaArray, intArray, textArray, uuidArrayWithNulls } from '../arrays.ts';
import { hashBytesOf } from '../commit-values.ts';
import type { GroupKeys } from '../group-keys.ts';
import type { GroupRepeat } from '../judged.ts';

/** So many parameters follow for each group. */
const PARAMETERS = 9;

/** The repeats of a group as the parameters of the statement that commits them (append.ts); nulls if it has none. */
export function notedRepeats(
  group: EventBatch & { readonly publishers: readonly PublisherRun[] },
  keys: GroupKeys,
  repeats: readonly GroupRepeat[],
  topicIds: readonly number[],
): (Buffer | null)[] {
  if (repeats.length === 0) return Array.from({ length: PARAMETERS }, () => null);
  return [
    bigintArray(repeats.map(({ first }) => first)),
    bigintArray(repeats.map(({ firstMs }) => firstMs)),
    intArray(topicIds),
    textArray(repeats.map(({ place }) => partText(group, place, SOURCE))),
    // No key has an empty name.
    textArray(publishersOf(group.publishers, repeats)),
    boolArray(repeats.map(({ isConflict }) => isConflict)),
    ...lost(group, keys, repeats),
  ];
}

/**
 * The identities, ids and texts of the conflicts, up to the last one, with nulls for other repeats between them, and for conflicts
 * that newer ones in this very commit push off the list.
 */
function lost(group: EventBatch, keys: GroupKeys, repeats: readonly GroupRepeat[]): Buffer[] {
  const conflicts = [...repeats.keys()].filter((i) => repeats[i]!.isConflict);
  const listed = new Set(conflicts.slice(-CONFLICTS_KEPT_MAX));
  const events = repeats.slice(0, (conflicts.at(-1) ?? -1) + 1).map(({ place }, i) => listed.has(i) ? place : null); // prettier-ignore
  const each = <T>(part: (place: number) => T): (T | null)[] =>
    events.map((place) => (place === null ? null : part(place)));
  return [
    uuidArrayWithNulls(each((place) => hashBytesOf(keys, [place]))),
    textArray(each((place) => partText(group, place, EVENT_ID))),
    byteaArray(each((place) => textOf(group, place))),
  ];
}

function textOf({ bytes, spans }: EventBatch, place: number): Uint8Array {
  const at = place * SPANS_PER_EVENT + TEXT;
  return bytes.subarray(spans[at], spans[at + 1]);
}

/** Of each repeat the name of its publisher, or an empty one. */
function publishersOf(runs: readonly PublisherRun[], repeats: readonly GroupRepeat[]): string[] {
  let run = 0;
  return repeats.map(({ place }) => {
    while (run < runs.length && place >= runs[run]!.end) run += 1;
    return runs[run]?.publisher ?? '';
  });
}
