import type { ClientBase } from 'pg';
import type { MovedKey } from '../../move/moved-log.ts';
import { type KeyPlace, RANGE_IDS } from '../forgetting.ts';

/** The appends with these offsets, and those in between. */
const APPENDS = `
  SELECT append_id, first_offset, events FROM log
  WHERE events > 0 AND first_offset <= $2::bigint AND first_offset >= coalesce(
    (SELECT first_offset FROM log WHERE events > 0 AND first_offset <= $1::bigint ORDER BY first_offset DESC LIMIT 1), 1)
  ORDER BY first_offset`;

/**
 * Found in the pages of these appends (migrations.ts); as one value, since a row for each key takes the client library five times as
 * long: append, place, digest, hash, KEY_BYTES each.
 */
const KEYS = `
  SELECT string_agg(int8send(append_id) || int4send(place) || int4send(digest) || uuid_send(hash), '') AS keys FROM key
  WHERE append_id >= $1::bigint AND append_id <= $2::bigint AND place >= $3::int AND place <= $4::int`;
const KEY_BYTES = 32;

/** Pages that autovacuum has not come to yet would be searched for every part. */
const SUMMARIZE = "SELECT brin_summarize_new_values('key_by_append')";

/** Where the keys of events are, by their ascending offsets, grouped by the range of their appends' ids. */
export async function placesOf(
  client: ClientBase,
  offsets: readonly number[],
): Promise<(KeyPlace & { readonly i: number })[][]> {
  const { rows } = await client.query<{ append_id: string; first_offset: string; events: number }>({
    name: 'move appends',
    text: APPENDS,
    values: [offsets[0], offsets.at(-1)],
  });
  const ranges = new Map<number, (KeyPlace & { i: number })[]>();
  let at = 0;
  for (const [i, offset] of offsets.entries()) {
    while (offset >= Number(rows[at]!.first_offset) + rows[at]!.events) at += 1;
    const { append_id: id, first_offset: first } = rows[at]!;
    const range = Math.floor(Number(id) / RANGE_IDS);
    const places = ranges.get(range) ?? [];
    ranges.set(range, places);
    places.push({ i, append_id: id, place: offset - Number(first) });
  }
  return [...ranges.values()];
}

/** Makes keys be found fast by their appends, where the user may do that. */
export async function summarizeKeys(client: ClientBase): Promise<void> {
  await client.query(SUMMARIZE).catch(() => {});
}

/** The keys of events, by their ascending offsets; null where there is none any more. */
export async function keysAt(client: ClientBase, offsets: readonly number[]): Promise<(MovedKey | null)[]> {
  const keys = offsets.map((): MovedKey | null => null);
  if (offsets.length === 0) return keys;
  for (const places of await placesOf(client, offsets)) {
    const ids = places.map(({ append_id: id }) => Number(id));
    const inAppend = places.map(({ place }) => place);
    const { rows } = await client.query<{ keys: Buffer | null }>({
      name: 'move keys of',
      text: KEYS,
      values: [Math.min(...ids), Math.max(...ids), Math.min(...inAppend), Math.max(...inAppend)],
    });
    const sought = new Map<string, Map<number, number>>();
    for (const { i, append_id: id, place } of places) {
      const inThis = sought.get(id);
      if (inThis === undefined) sought.set(id, new Map([[place, i]]));
      else inThis.set(place, i);
    }
    for (const { id, place, key } of keysIn(rows[0]!.keys ?? Buffer.alloc(0))) {
      const i = sought.get(id)?.get(place);
      if (i !== undefined) keys[i] = key;
    }
  }
  return keys;
}

function* keysIn(bytes: Buffer): Generator<{ id: string; place: number; key: MovedKey }> {
  for (let at = 0; at < bytes.length; at += KEY_BYTES) {
    const [place, digest, k0, k1, k2, k3] = [8, 12, 16, 20, 24, 28].map((from) =>
      bytes.readInt32BE(at + from),
    ) as [number, number, number, number, number, number];
    yield { id: String(bytes.readBigInt64BE(at)), place, key: { k0, k1, k2, k3, digest } };
  }
}
