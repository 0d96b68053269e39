import { pathToFileURL } from 'node:url';

// What a table of keys weighs in PostgreSQL, and what a commit costs when it has grown: `npm run model:scaling` prints what
// docs/scaling.md shows, and a test compares both, and the sizes with those of a real table.

const PAGE_BYTES = 8192;

/** A page's header (storage-page-layout in PostgreSQL's documentation), and what a B-tree keeps at its end. */
const HEADER_BYTES = 24;
const BTREE_BYTES = 16;

/** A pointer on the page for every row or entry. */
const POINTER_BYTES = 4;

/** A row of `key`: its header, filled up to 24 bytes, and 8 + 4 + 4 + 16 bytes of columns. */
const KEY_ROW_BYTES = 24 + 32 + POINTER_BYTES;

/** An entry of its index: a header of 8 bytes, and the hash. */
const KEY_ENTRY_BYTES = 8 + 16 + POINTER_BYTES;

/**
 * How full pages are that split in halves when random entries come: ln 2. Yao, "On random 2-3 trees" (1978), has it as the limit
 * for large pages.
 */
const FILL = Math.LN2;

/** Measured, with events of the stress publisher and about 200 in a commit: what a key leaves in the server's log besides pages. */
const WAL_BYTES_PER_KEY = 340;

/** Measured in the same run: an event in its block, and its share of the row of the commit. */
const BLOCK_BYTES_PER_EVENT = 75;

/** By `checkpoint_completion_target`: how much of `max_wal_size` is written when the next checkpoint begins. */
const CHECKPOINT_SHARE = 1 / (1 + 0.9);

const ENTRIES_PER_PAGE = Math.floor((PAGE_BYTES - HEADER_BYTES - BTREE_BYTES) / KEY_ENTRY_BYTES) * FILL;
const ROWS_PER_PAGE = Math.floor((PAGE_BYTES - HEADER_BYTES) / KEY_ROW_BYTES);

/** A page as it is written whole into the log: without the hole in its middle. */
const FULL_PAGE_BYTES = ENTRIES_PER_PAGE * KEY_ENTRY_BYTES + HEADER_BYTES + BTREE_BYTES;

export interface Sizes {
  /** Bytes of the table of keys, of its index, and of the events in their blocks. */
  readonly keyBytes: number;
  readonly indexBytes: number;
  readonly blockBytes: number;
  /** Pages from the root of the index to a leaf, both counted. */
  readonly depth: number;
  readonly leaves: number;
}

export function sizesAt(keys: number): Sizes {
  const leaves = Math.max(1, keys / ENTRIES_PER_PAGE);
  let pages = leaves;
  let depth = 1;
  for (let level = leaves; level > 1; level /= ENTRIES_PER_PAGE) {
    depth += 1;
    pages += Math.max(1, level / ENTRIES_PER_PAGE);
  }
  return {
    keyBytes: (keys / ROWS_PER_PAGE) * PAGE_BYTES,
    indexBytes: pages * PAGE_BYTES,
    blockBytes: keys * BLOCK_BYTES_PER_EVENT,
    depth,
    leaves,
  };
}

/** @param cacheBytes memory for pages of the index, the server's and the system's */
export function readsPerKey(keys: number, cacheBytes: number): number {
  return Math.max(0, 1 - cacheBytes / sizesAt(keys).indexBytes);
}

/** How many leaves of so many are touched by so many random keys. */
function touched(leaves: number, keys: number): number {
  return leaves * -Math.expm1(-keys / leaves);
}

/**
 * Keys between two checkpoints, and what each writes: into the log, a page whole when it is touched for the first time after a
 * checkpoint; and into the table, the pages touched, once for each checkpoint.
 */
export function checkpointAt(
  keys: number,
  { maxWalBytes, seconds, keysPerSecond }: { maxWalBytes: number; seconds: number; keysPerSecond: number },
): { keysBetween: number; walBytesPerKey: number; pageWritesPerKey: number } {
  const { leaves } = sizesAt(keys);
  const walOf = (count: number) => count * WAL_BYTES_PER_KEY + touched(leaves, count) * FULL_PAGE_BYTES;
  let low = 1;
  let high = seconds * keysPerSecond;
  if (walOf(high) > maxWalBytes * CHECKPOINT_SHARE) {
    for (let step = 0; step < 60; step++) {
      const middle = (low + high) / 2;
      if (walOf(middle) > maxWalBytes * CHECKPOINT_SHARE) high = middle;
      else low = middle;
    }
  }
  return {
    keysBetween: high,
    walBytesPerKey: walOf(high) / high,
    pageWritesPerKey: touched(leaves, high) / high,
  };
}

const GIB = 2 ** 30;
const RATE = 10_000;
const COUNTS = [1e6, 1e7, 1e8, 1e9, 1e10];

/** The tables of docs/scaling.md. */
export function scalingTables(): string[] {
  const sizes = COUNTS.map((keys) => {
    const { keyBytes, indexBytes, blockBytes, depth } = sizesAt(keys);
    const reads = [16, 64, 256].map((gib) => count(readsPerKey(keys, gib * GIB) * RATE));
    return [
      power(keys),
      gigabytes(keyBytes),
      gigabytes(indexBytes),
      gigabytes(blockBytes),
      `${depth}`,
      ...reads,
    ];
  });
  const checkpoints = [1, 16, 64, 256].map((gib) => {
    const rules = { maxWalBytes: gib * GIB, seconds: 3600, keysPerSecond: RATE };
    const { keysBetween, walBytesPerKey, pageWritesPerKey } = checkpointAt(1e9, rules);
    return [
      `${gib} GiB`,
      `${count(keysBetween / RATE)} s`,
      `${count(walBytesPerKey)} B`,
      `${((walBytesPerKey * RATE) / 1e6).toFixed(0)} MB/s`,
      count(pageWritesPerKey * RATE),
    ];
  });
  return [
    table(['keys', 'table', 'index', 'blocks', 'depth', 'reads/s, 16 GiB', '64 GiB', '256 GiB'], sizes),
    table(['`max_wal_size`', 'a checkpoint each', 'log a key', 'log', 'pages written/s'], checkpoints),
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`;
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

function power(keys: number): string {
  return `10^${Math.round(Math.log10(keys))}`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e10 ? 2 : 0)} GB`;
}

function count(number: number): string {
  return Math.round(number).toLocaleString('en-US');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.stdout.write(`${scalingTables().join('\n\n')}\n`);
