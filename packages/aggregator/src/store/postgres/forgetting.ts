import type { ClientBase } from 'pg';
import { textlessTopicsOf } from '../blocks/block-rewrite.ts';
import type { ForgottenSome } from '../retention-store.ts';
import { intArray, textArray } from './arrays.ts';
import type { Part } from './block-reader.ts';
import { lastOffsetBefore } from './before.ts';
import { giveWay } from './give-way.ts';
import { forgetRepeats } from './repeats/settle-repeats.ts';
import type { Rewriting } from './rewriting.ts';

/** A step ends with the block that brings it to so many events, or blocks. */
const STEP_EVENTS_MAX = 8192;
const STEP_BLOCKS_MAX = 256;

/** Ids of appends that one statement is about, so that the pages in between are not searched: a range of an instance. */
export const RANGE_IDS = 2 ** 20;

const APPENDS = `
  SELECT append_id, first_offset, events FROM log
  WHERE events > 0 AND first_offset >= $1::bigint AND first_offset <= $2::bigint ORDER BY first_offset`;

const FORGET = `
  DELETE FROM key USING unnest($1::text[]::bigint[], $2::int[]) AS gone (append_id, place)
  WHERE key.append_id >= $3::bigint AND key.append_id <= $4::bigint
    AND key.append_id = gone.append_id AND key.place = gone.place`;

const FORGET_ONE = 'DELETE FROM key WHERE hash = $1::uuid AND append_id = $2::bigint AND place = $3::int';

const COUNT = 'UPDATE retention SET forgotten = forgotten + $1::bigint';

/** Where the key of an event is: its append, and its place there. */
export interface KeyPlace {
  readonly append_id: string;
  readonly place: number;
}

export async function forgetOne(
  client: ClientBase,
  key: KeyPlace & { readonly hash: string },
  offset: number,
): Promise<void> {
  await giveWay(client);
  await client.query({ name: 'forget one', text: FORGET_ONE, values: [key.hash, key.append_id, key.place] });
  await client.query(COUNT, [1]);
  await forgetRepeats(client, [offset]);
}

/**
 * Deletes some keys of events of the topics that have no text and were committed before the time. Keys have no index by append,
 * which would cost each of them a quarter more: they lie in the order of appends, and a coarse index says in which pages
 * (migrations.ts).
 */
export async function forgetSome(
  rewriting: Rewriting,
  committedBeforeMs: number,
  topicIds: ReadonlySet<number> | undefined,
): Promise<ForgottenSome> {
  const { client, blocks } = rewriting;
  const upTo = await lastOffsetBefore(client, committedBeforeMs);
  const parts: Part[] = [];
  let events = 0;
  let isDone = true;
  for await (const part of blocks.of({ order: 'asc', after: 0, upTo }, topicIds, 'gone')) {
    parts.push(part);
    events += part.block.count;
    isDone = events < STEP_EVENTS_MAX && parts.length < STEP_BLOCKS_MAX;
    if (!isDone) break;
  }
  const isMeant = (id: number): boolean => topicIds?.has(id) ?? true;
  let ids = 0;
  const { ranges, offsets } = await keysOf(client, parts, isMeant);
  await giveWay(client);
  for (const keys of ranges.values()) ids += await forgotten(client, keys);
  if (ids > 0) {
    await client.query(COUNT, [ids]);
    await forgetRepeats(client, offsets);
  }
  await rewriting.mark('gone', parts.map((part) => ({ part, topics: leftIn(part, isMeant) }))); // prettier-ignore
  return { ids, isDone };
}

/** Where the keys are that are to go, by the range of their appends' ids; and the offsets of their events. */
async function keysOf(
  client: ClientBase,
  parts: readonly Part[],
  isMeant: (topicId: number) => boolean,
): Promise<{ ranges: Map<number, KeyPlace[]>; offsets: number[] }> {
  const ranges = new Map<number, KeyPlace[]>();
  const offsets: number[] = [];
  for (const { block, last, place } of parts) {
    const appends = await appendsOf(client, { block, place });
    const before = new Set(place.gone_topics ?? textlessTopicsOf(block));
    let at = 0;
    for (let i = 0; block.firstOffset + i <= last; i++) {
      while (i >= appends[at]!.from + appends[at]!.events) at += 1;
      const topicId = block.topicId(i);
      if (block.isKept(i) || !before.has(topicId) || !isMeant(topicId)) continue;
      const { append_id: id, from, place: first } = appends[at]!;
      const range = Math.floor(Number(id) / RANGE_IDS);
      const keys = ranges.get(range) ?? [];
      ranges.set(range, keys);
      keys.push({ append_id: id, place: i - from + first });
      offsets.push(block.firstOffset + i);
    }
  }
  return { ranges, offsets };
}

/** The appends whose events a block has: from which of its events on, and which place that one has in the append. */
async function appendsOf(
  client: ClientBase,
  { block, place }: Pick<Part, 'block' | 'place'>,
): Promise<{ append_id: string; from: number; events: number; place: number }[]> {
  if (place.append_id !== null) {
    return [{ append_id: place.append_id, from: 0, events: block.count, place: place.place! }];
  }
  const { rows } = await client.query<{ append_id: string; first_offset: string; events: number }>({
    name: 'appends of block',
    text: APPENDS,
    values: [block.firstOffset, block.lastOffset],
  });
  return rows.map(({ append_id: id, first_offset: first, events }) => ({
    append_id: id,
    from: Number(first) - block.firstOffset,
    events,
    place: 0,
  }));
}

/** Deletes these keys, of appends of one range. Returns how many there were. */
export async function forgotten(client: ClientBase, keys: readonly KeyPlace[]): Promise<number> {
  const ids = keys.map(({ append_id: id }) => BigInt(id));
  const [lowest, highest] = ids.reduce(
    ([low, high], id) => [id < low ? id : low, id > high ? id : high],
    [ids[0]!, ids[0]!],
  );
  const { rowCount } = await client.query({
    name: 'forget',
    text: FORGET,
    values: [
      textArray(keys.map(({ append_id: id }) => id)),
      intArray(keys.map(({ place }) => place)),
      String(lowest),
      String(highest),
    ],
  });
  return rowCount ?? 0;
}

/** The topics of which a block may have ids without a text when these keys have gone. */
function leftIn({ block, last, place }: Part, isMeant: (topicId: number) => boolean): number[] {
  const before = new Set(place.gone_topics ?? textlessTopicsOf(block));
  const left = new Set([...before].filter((id) => !isMeant(id)));
  for (let i = last + 1 - block.firstOffset; i < block.count; i++) {
    const id = block.topicId(i);
    if (before.has(id) && !block.isKept(i)) left.add(id);
  }
  return [...left].toSorted((a, b) => a - b);
}
