import { field, itemsIn, textIn } from '../json/fields.ts';
import { askJson } from '../service/ask.ts';
import { type Beyond, countBeyond } from './beyond.ts';

/** Where a group is to go on: as in the body of a seek, or as the start of a new group. */
export type Place =
  | { readonly at: 'earliest' | 'latest' }
  | { readonly at: 'offset'; readonly offset: string }
  | { readonly at: 'time'; readonly time: string };

/** The place as JSON text. An offset is the first event to come; its digits go out as they were typed. */
export function placeText(place: Place): string {
  if (place.at === 'offset') return /^\d+$/.test(place.offset) ? place.offset : JSON.stringify(place.offset);
  return JSON.stringify(place.at === 'time' ? place.time : place.at);
}

/** How many events would come from there on. Undefined if it cannot be told: the key may not see it, or it is no place. */
export async function eventsFrom(
  place: Place,
  patterns: readonly string[],
  signal: AbortSignal,
): Promise<Beyond | undefined> {
  if (place.at === 'latest') return { least: 0n, most: 0n, unsure: [] };
  const below = await offsetBelow(place, signal);
  if (below === undefined) return undefined;
  const beyond = countBeyond(itemsIn(await askJson('/topics', { signal }), 'topics'), patterns, below);
  const isReadable = beyond.unsure.length <= TOPICS_READ_MAX && beyond.most - beyond.least <= EVENTS_READ_MAX;
  if (!isReadable || beyond.unsure.length === 0) return beyond;
  let exact = beyond.least;
  for (const topic of beyond.unsure) exact += await countRead(topic, below, signal);
  return { least: exact, most: exact, unsure: [] };
}

/** So many are read to be counted where nothing else tells: a few megabytes, most likely. */
const EVENTS_READ_MAX = 20_000n;
const TOPICS_READ_MAX = 20;

async function countRead(topic: string, after: bigint, signal: AbortSignal): Promise<bigint> {
  let count = 0n;
  for (let cursor = String(after); cursor !== '';) {
    const query = new URLSearchParams({ topic, after: cursor, limit: '10000' });
    const page = await askJson(`/events?${query.toString()}`, { signal });
    count += BigInt(textIn(page, 'count') || '0');
    cursor = textIn(page, 'next');
  }
  return count;
}

/** The offset below the place: what lies beyond it would come. Undefined if it is no place. */
export async function offsetBelow(place: Place, signal: AbortSignal): Promise<bigint | undefined> {
  if (place.at === 'offset') {
    const offset = place.offset.trim();
    return /^\d+$/.test(offset) ? BigInt(offset) - 1n : undefined;
  }
  if (place.at !== 'time') return 0n;
  const atMs = Date.parse(place.time);
  return Number.isNaN(atMs) ? undefined : lastBefore(atMs, signal);
}

/**
 * The last offset that was committed before this time. Commit times grow with the offsets, so a few pages of one event find it,
 * about twenty in a million.
 */
async function lastBefore(atMs: number, signal: AbortSignal): Promise<bigint> {
  let low = 0n;
  let high = BigInt(textIn(await askJson('/stats', { signal }), 'last_offset') || '0');
  while (low < high) {
    const middle = (low + high) / 2n;
    const page = await askJson(`/events?limit=1&after=${middle}`, { signal });
    const next = field(page, 'events');
    const event = next?.kind === 'array' ? next.items[0] : undefined;
    if (event === undefined || Date.parse(textIn(event, 'received_at')) >= atMs) high = middle;
    else low = BigInt(textIn(event, 'offset'));
  }
  return low;
}
