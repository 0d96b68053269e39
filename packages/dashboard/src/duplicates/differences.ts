import type { Json } from '../json/exact-json.ts';
import { writeExact } from '../json/fields.ts';

/** A place in two versions of an event, and what each has there; undefined where one has nothing. */
export interface Difference {
  /** Like `payload.lines[2].amount`. */
  readonly path: string;
  readonly kept: string | undefined;
  readonly dropped: string | undefined;
}

/** What the service adds, which is no part of what was sent. */
const ADDED = new Set(['offset', 'received_at']);

/**
 * Where two versions of an event differ, token by token as the service compares them: `1.0` is not `1`. Objects that differ only
 * in the order of their members differ in nothing that is listed; then the whole payloads do.
 */
export function differencesOf(kept: Json, dropped: Json): Difference[] {
  const [ours, theirs] = [leavesOf(kept), leavesOf(dropped)];
  const found = [...new Set([...ours.keys(), ...theirs.keys()])]
    .map((path) => ({ path, kept: ours.get(path), dropped: theirs.get(path) }))
    .filter((one) => one.kept !== one.dropped);
  if (found.length > 0 || sentText(kept) === sentText(dropped)) return found;
  return [{ path: 'the order of members', kept: sentText(kept), dropped: sentText(dropped) }];
}

function leavesOf(event: Json): Map<string, string> {
  const leaves = new Map<string, string>();
  const walk = (json: Json, path: string): void => {
    if (json.kind === 'object' && json.members.length > 0) {
      for (const { name, value } of json.members) {
        if (path !== '' || !ADDED.has(name)) walk(value, path + (path === '' ? name : nameIn(name)));
      }
    } else if (json.kind === 'array' && json.items.length > 0) {
      for (const [i, item] of json.items.entries()) walk(item, `${path}[${i}]`);
    } else leaves.set(path, writeExact(json));
  };
  walk(event, '');
  return leaves;
}

function nameIn(name: string): string {
  return /^[\w-]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}

/** The event without what the service adds, its own members in one order: publishers may send them in any. */
function sentText(event: Json): string {
  if (event.kind !== 'object') return writeExact(event);
  const members = event.members
    .filter(({ name }) => !ADDED.has(name))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return writeExact({ kind: 'object', members });
}
