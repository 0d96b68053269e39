/**
 * The events of the benchmark: JSON of about 290 bytes that looks, and packs, like the log of a shop's services. Event
 * `k` depends only on the seed and `k`, so an earlier one can be made again, byte for byte, instead of being kept.
 *
 * What repeats in real logs repeats here (message templates, hosts, paths, a few busy users, a user's address) and
 * what does not is random (ids, durations, amounts). The text is ASCII: its length is its bytes.
 */
export function createEventText(seed: number): (k: number) => string {
  const salts = Uint32Array.from({ length: WORDS_PER_EVENT }, (_, i) => mix(seed + (i + 1) * GOLDEN));
  const words = new Uint32Array(WORDS_PER_EVENT);
  return (k) => {
    for (let i = 0; i < WORDS_PER_EVENT; i++) words[i] = mix(k ^ salts[i]!);
    const topic = TOPICS[words[4]! & 15]!;
    const host = 1 + ((words[4]! >>> 4) % HOSTS_OF[topic]);
    const user = skewed(words[5]!, 200_000);
    const draw: Draw = {
      user,
      item: skewed(words[6]!, 2_000_000),
      // Exponential with a mean of 24 ms: many short ones, a long tail.
      ms: (-24 * Math.log((words[7]! + 1) / TWO_32)).toFixed(1),
      bytes: 180 + (words[8]! >>> 17),
      cents: 99 + (words[8]! % 25_000),
    };
    const [level, message] = MESSAGES[words[9]! % MESSAGES.length]!(draw);
    // Each user has one address, as in the log of a real service.
    const home = mix(user ^ salts[0]!);
    const ip = `10.${home & 31}.${(home >>> 8) & 255}.${(home >>> 16) & 255}`;
    const request = hex(words[10]!) + hex(words[11]!);
    // A thousand events a second that arrive up to 300 ms late.
    const time = new Date(START_MS + k + (words[12]! % 300)).toISOString();
    return (
      `{"event_id":"${uuid(words)}","topic":"${topic}","source":"${topic}-${host}","payload":{` +
      `"message":"${message}","level":"${level}","user":"u${user}","request":"${request}",` +
      `"ip":"${ip}","ms":${draw.ms}},"timestamp":"${time}"}`
    );
  };
}

interface Draw {
  readonly user: number;
  readonly item: number;
  readonly ms: string;
  readonly bytes: number;
  readonly cents: number;
}

const MESSAGES: readonly ((draw: Draw) => readonly [level: string, message: string])[] = [
  ({ item, bytes }) => ['info', `GET /v2/orders/${item} 200 ${bytes} bytes`],
  ({ item, bytes }) => ['info', `GET /v2/products/${item}?fields=price,stock 200 ${bytes} bytes`],
  ({ item }) => ['info', `GET /v2/products/${item}/reviews 304`],
  ({ item }) => ['info', `POST /v2/carts/${item}/items 201 created`],
  ({ user }) => ['info', `session renewed for user u${user}, expires in 3600 s`],
  ({ item, cents }) => ['info', `payment of ${euros(cents)} EUR for order ${item} authorised`],
  ({ item, bytes }) => ['info', `reserved ${1 + (bytes % 7)} of article ${item} in warehouse ${bytes % 12}`],
  ({ item }) => ['info', `label for parcel ${item} printed and handed to the carrier`],
  ({ item, ms }) => ['debug', `cache miss for key product:${item}, loaded in ${ms} ms`],
  ({ bytes, ms }) => ['debug', `query returned ${bytes % 500} rows in ${ms} ms from replica ${bytes % 3}`],
  ({ item }) => ['debug', `retrying call to stock service for article ${item}, attempt 2 of 5`],
  ({ ms }) => ['warn', `slow upstream: search answered after ${ms} ms, budget is 250 ms`],
  ({ user }) => ['warn', `login refused for user u${user}: \\"wrong password\\", 2 attempts left`],
  ({ item, cents }) => ['warn', `price of article ${item} differs from the cart: ${euros(cents)} EUR`],
  ({ item }) => ['error', `order ${item} not found in shard ${item % 16}, answering 404`],
  ({ item, ms }) => ['error', `connection to billing lost after ${ms} ms while sending invoice ${item}`],
];

function euros(cents: number): string {
  return (cents / 100).toFixed(2);
}

/** Eight topics, some busier than others. */
const TOPICS = [
  ...(['gateway', 'gateway', 'gateway', 'gateway', 'orders', 'orders', 'orders', 'auth'] as const),
  ...(['auth', 'payments', 'payments', 'search', 'search', 'inventory', 'shipping', 'billing'] as const),
];

/** Twenty sources in all. */
const HOSTS_OF = {
  gateway: 4,
  orders: 3,
  auth: 3,
  payments: 2,
  search: 2,
  inventory: 2,
  shipping: 2,
  billing: 2,
};

const START_MS = Date.UTC(2026, 0, 5, 6);
const TWO_32 = 2 ** 32;
const WORDS_PER_EVENT = 13;
const GOLDEN = 0x9e3779b9;

/**
 * Austin Appleby's finaliser of MurmurHash3 (public domain). It maps 32 bits one to one, so the first word of an id,
 * which has no fixed bits, differs for every `k` below 2^32.
 */
function mix(number: number): number {
  let mixed = number | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** 0 to below `count`, the small ones far more often: the cube of an even draw. */
function skewed(word: number, count: number): number {
  return Math.floor((word / TWO_32) ** 3 * count);
}

/** RFC 9562 version 4. */
function uuid(words: Uint32Array): string {
  const second = hex(((words[1]! & 0xffff0fff) | 0x4000) >>> 0);
  const third = hex(((words[2]! & 0x3fffffff) | 0x80000000) >>> 0);
  return `${hex(words[0]!)}-${second.slice(0, 4)}-${second.slice(4)}-${third.slice(0, 4)}-${third.slice(4)}${hex(words[3]!)}`;
}

const HEX_16 = Array.from({ length: 65_536 }, (_, number) => number.toString(16).padStart(4, '0'));

function hex(word: number): string {
  return HEX_16[word >>> 16]! + HEX_16[word & 0xffff]!;
}
