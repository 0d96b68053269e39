import { hash } from 'node:crypto';
import type { Event } from '@chronicleweaver/protocol';
import type { Options } from './options.ts';

/**
 * What a run sends, and in which order. Everything is derived from the run id and the other options, nothing from the
 * clock or chance: an event can be made again at any time, to the byte, so none is kept.
 */
export interface Plan {
  runId: string;
  /** The `source` of every event of this run and of no other. */
  source: string;
  topicNames: readonly string[];
  /** The number of unique events; their indexes run from 0 to below this. */
  uniqueCount: number;
  /** The index of the event to send, by place in the run. A repeated index is a duplicate. */
  order: Uint32Array;
  eventAt(index: number): Event;
}

/**
 * The plan of the run that the options describe. The first event is never a duplicate, so there is at least one
 * unique event.
 */
export function createPlan(
  options: Pick<Options, 'runId' | 'count' | 'duplicateRatio' | 'batchSize' | 'topics'>,
): Plan {
  const { runId, count } = options;
  const duplicateCount = Math.min(Math.round(count * options.duplicateRatio), count - 1);
  const source = `stress-${runId}`;
  const topicNames = Array.from({ length: options.topics }, (_, index) => topicName(index));
  const startMs = runStartMs(runId);
  return {
    runId,
    source,
    topicNames,
    uniqueCount: count - duplicateCount,
    order: sendingOrder(runId, count, duplicateCount, options.batchSize),
    eventAt: (index) => makeEvent(runId, source, topicNames, startMs, index),
  };
}

/**
 * The places of duplicates are drawn evenly (Knuth, TAOCP 2, 3.4.2, algorithm S). Half of them repeat one of the last
 * `batchSize` unique events, so mostly one in the same or the previous batch; half repeat any earlier one.
 */
function sendingOrder(runId: string, count: number, duplicateCount: number, batchSize: number): Uint32Array {
  const random = mulberry32(hash('sha256', `${runId}/order`, 'buffer').readUInt32LE(0));
  const order = new Uint32Array(count);
  let unique = 1;
  let duplicatesLeft = duplicateCount;
  for (let place = 1; place < count; place++) {
    if (random() * (count - place) < duplicatesLeft) {
      const span = random() < 0.5 ? Math.min(batchSize, unique) : unique;
      order[place] = unique - 1 - Math.floor(random() * span);
      duplicatesLeft--;
    } else {
      order[place] = unique++;
    }
  }
  return order;
}

function makeEvent(
  runId: string,
  source: string,
  topicNames: readonly string[],
  startMs: number,
  index: number,
): Event {
  // 32 bytes: the first 16 become the id, each of the others decides one detail of the payload.
  const bytes = hash('sha256', `${runId}/${index}`, 'buffer');
  const service = bytes[16]! % topicNames.length;
  const failed = bytes[17]! < 20;
  const status = failed
    ? pick([500, 502, 504, 409, 429], bytes[18]!)
    : pick([200, 200, 201, 204, 304], bytes[18]!);
  const user = bytes.readUInt16LE(20);
  const durationMs = bytes.readUInt16LE(22) / 64;
  const method = pick(['GET', 'POST', 'PUT', 'DELETE'], bytes[24]!);
  const path = pick(PATHS, bytes[25]!).replace('{}', String(bytes.readUInt16LE(26)));
  const timestamp = new Date(startMs + index * 7 + (bytes[28]! % 7)).toISOString();
  const level = failed ? 'error' : pick(['info', 'info', 'info', 'debug', 'warn'], bytes[29]!);

  return {
    event_id: uuid(bytes),
    topic: topicNames[service]!,
    source,
    payload: {
      message: `${pick(MESSAGES, bytes[30]!)}: ${method} ${path} → ${status}`,
      timestamp,
      level,
      user_id: user % 11 === 0 ? null : `user-${user}`,
      duration_ms: durationMs,
      http: { method, path, status, bytes: bytes.readUInt32LE(18) },
      tags: pick([[], ['mobile'], ['web', 'beta'], ['café', '東京', '🚚']], bytes[31]!),
      ...(failed && {
        error: { code: `E${status}`, retryable: status >= 500, stack: 'at handle "request"\n\tat run' },
      }),
    },
    timestamp,
  };
}

/** A time in 2025 derived from the run id, in whole minutes, as ms since 1970. */
function runStartMs(runId: string): number {
  const minute = hash('sha256', `${runId}/start`, 'buffer').readUInt32LE(0) % (365 * 24 * 60);
  return Date.UTC(2025, 0, 1) + minute * 60_000;
}

/** RFC 9562 reserves version 8 for vendor-specific ids, such as those from a hash of one's choice. */
function uuid(bytes: Buffer): string {
  const hex = bytes.toString('hex', 0, 16);
  const variant = '89ab'[bytes[8]! >> 6]!;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}

function topicName(index: number): string {
  const round = Math.floor(index / SERVICES.length);
  const name = SERVICES[index % SERVICES.length]!;
  return round === 0 ? name : `${name}-${round + 1}`;
}

const SERVICES = ['auth', 'orders', 'payments', 'search', 'shipping', 'inventory', 'billing', 'gateway'];
const PATHS = [
  '/login',
  '/orders/{}',
  '/orders/{}/items',
  '/search?q={}',
  '/users/{}',
  '/cart',
  '/pay/{}',
  '/health',
];
const MESSAGES = ['Request served', 'Request finished', 'Call answered', 'Upstream replied', 'Handled'];

function pick<T>(choices: readonly T[], byte: number): T {
  return choices[byte % choices.length]!;
}

/** Tommy Ettinger's mulberry32 (public domain): numbers from 0 to below 1, the same for the same seed. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
