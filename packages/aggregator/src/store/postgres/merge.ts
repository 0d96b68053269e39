import { randomUUID } from 'node:crypto';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import type { MergedRow } from '../blocks/block-encoder.ts';
import { Block } from '../blocks/block-format.ts';
import { BlockMerge } from '../blocks/block-merge.ts';
import { keptTopicsOf, textlessTopicsOf } from '../blocks/block-rewrite.ts';
import { damaged, messageOf } from '../errors.ts';
import type { Tell } from '../tell.ts';
import { intArray } from './arrays.ts';
import { remedyFor } from './errors.ts';
import { type Sessions, answered, using } from './sessions.ts';
import type { Vacuuming } from './vacuum.ts';

/** The sizes of merging. Tests use small ones, to reach every step with few events. */
export interface MergeShape {
  /** The most events and bytes of text in a merged block, and so the most that a reader unpacks at once. */
  readonly eventsMax: number;
  readonly bytesMax: number;
  /** An append with so many events or packed bytes is left as it is: to merge it would cost more than it gives. */
  readonly largeEvents: number;
  readonly largeBytes: number;
  /** The most small blocks that wait to be merged, because a reader fetches each of them. */
  readonly waitingMax: number;
}

const MERGE_SHAPE: MergeShape = {
  eventsMax: 4096,
  bytesMax: 1024 * 1024,
  largeEvents: 512,
  largeBytes: 32 * 1024,
  waitingMax: 2048,
};

/** How long an instance that has stopped merging keeps others from it. */
const LEASE_SECONDS = 30;

/** After so many appends that were made here it is seen whether there is something to merge, and after so long anyway. */
const APPENDS = 256;
const LOOK_MS = 5_000;

/** For so long at a time the thread merges before others have a turn, milliseconds. */
const TURN_MS = 2;

/** Small blocks are fetched in pieces, and at most so many packed bytes of them for one merged block. */
const FETCH_APPENDS = 512;
const FETCH_BYTES_MAX = 512 * 1024;

/** Large blocks that are passed over in one step. */
const PASSED_MAX = 256;

const WORK = `
  SELECT head.last_offset - merging.last_offset >= $2::bigint
    AND (merging.holder = $1::text OR merging.until <= clock_timestamp()) AS is_mine
  FROM head, merging`;

const LEASE = `
  UPDATE merging SET holder = $1::text, until = clock_timestamp() + $2::int * interval '1 second'
  WHERE holder = $1::text OR until <= clock_timestamp()
  RETURNING last_offset`;

/** The appends that come next, and what their blocks amount to; none where others have gone on meanwhile. */
const NEXT = `
  SELECT log.append_id, log.first_offset, log.events, log.received_ms, whole.blocks, whole.events AS found, whole.bytes,
    (SELECT rewrites FROM merging) AS rewrites
  FROM log CROSS JOIN LATERAL (
    SELECT count(*)::int AS blocks, sum(events)::int AS events, sum(octet_length(body))::int AS bytes
    FROM block WHERE block.append_id = log.append_id
  ) AS whole
  WHERE log.events > 0
    AND log.first_offset > (SELECT last_offset FROM merging WHERE last_offset = $1::bigint AND holder = $3::text)
  ORDER BY log.first_offset LIMIT $2::int`;

const FETCH = `
  SELECT directory, body, version, gone_topics FROM unnest($1::text[]::bigint[]) WITH ORDINALITY AS sought (append_id, nth)
  JOIN block USING (append_id) ORDER BY nth`;

/**
 * Whoever has held the lease for too long, or is not the only one to believe that it does, finds another holder or another end
 * here, and changes nothing. So does who has read blocks before their texts were let go (rewriting.ts), and would bring them
 * back. The row stays locked until the commit, and nothing else that a commit of events needs.
 */
const TURN = `
  WITH turn AS MATERIALIZED (
    UPDATE merging SET last_offset = $3::bigint, until = clock_timestamp() + $4::int * interval '1 second'
    WHERE holder = $1::text AND until > clock_timestamp() AND last_offset = $2::bigint AND rewrites = $6::bigint
    RETURNING 1
  )`;

const EXCHANGE = `${TURN}, gone AS (
    DELETE FROM block USING turn WHERE append_id = ANY ($5::text[]::bigint[])
  )
  INSERT INTO merged_block (first_offset, events, topics, bytes, directory, body, version, kept_topics, gone_topics)
  SELECT $2::bigint + 1, $3::bigint - $2::bigint, $7::int[], octet_length($9::bytea), $8::bytea, $9::bytea, $10::int, $11::int[], $12::int[]
  FROM turn`;

const PASS = `${TURN}
  INSERT INTO merged_block (first_offset, events, topics, bytes, append_id, place, version, kept_topics, gone_topics)
  SELECT log.first_offset + place, block.events, log.topics, octet_length(body), append_id, place, version, kept_topics, gone_topics
  FROM turn, log JOIN block USING (append_id) WHERE append_id = ANY ($5::text[]::bigint[])`;

/**
 * Merges the small blocks of appends into larger ones, from the beginning of the log on: few large blocks take less room than
 * many small ones, and are read faster. In: what was appended, here or elsewhere. Out: the same events in `merged_block`, up
 * to the offset in `merging`; offsets, keys and `log` stay as they are.
 *
 * One instance at a time does it, the one that holds the lease in `merging`. It *looks* whether enough is there, *leases*,
 * and then, run by run of consecutive appends, *fetches* small blocks, *packs* them, and *exchanges* the rows in one
 * statement. Large blocks stay where they are and are *passed*. All but the exchange may be lost at any moment.
 *
 * Invariants: an event is in exactly one block that a reader finds, in every snapshot; the appends of a run are all below
 * `merging` afterwards or none is; no lock is taken that a commit of events waits for; at most half of the time is spent here.
 */
export class Merging {
  readonly #sessions: Sessions;
  readonly #vacuuming: Vacuuming;
  readonly #tell: Tell;
  readonly #shape: MergeShape;
  readonly #holder = randomUUID();
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #appends = 0;
  #working: Promise<void> | null = null;
  #told = '';

  constructor(sessions: Sessions, vacuuming: Vacuuming, tell: Tell, shape: Partial<MergeShape> = {}) {
    this.#sessions = sessions;
    this.#vacuuming = vacuuming;
    this.#tell = tell;
    this.#shape = { ...MERGE_SHAPE, ...shape };
  }

  open(): void {
    this.#timer = setInterval(() => this.#wake(), LOOK_MS).unref();
  }

  appended(): void {
    this.#appends += 1;
    if (this.#appends >= APPENDS) this.#wake();
  }

  /** Merges what there is to merge, unless another instance does. */
  async merge(): Promise<void> {
    while (this.#working !== null) await this.#working.catch(() => {});
    this.#working = this.#merge().finally(() => (this.#working = null));
    await this.#working;
  }

  async #merge(): Promise<void> {
    if (!(await this.#isMine())) return;
    let appends: Append[] = [];
    let lastOffset = await this.#leased();
    while (lastOffset !== null && !this.#closing.signal.aborted) {
      const startMs = performance.now();
      let run = runOf(appends, this.#shape);
      if (run === null) {
        appends = await this.#next(lastOffset);
        run = runOf(appends, this.#shape);
      }
      if (run === null) return;
      const isLarge = isLargeOne(run[0]!, this.#shape) || run.length === 1;
      const done = isLarge ? await this.#passed(run, lastOffset) : await this.#merged(run, lastOffset);
      if (done === null) return;
      appends = appends.slice(done);
      lastOffset = endOf(run[done - 1]!);
      await sleep(performance.now() - startMs, undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    // Whoever began it hears of its error.
    await this.#working?.catch(() => {});
  }

  #wake(): void {
    if (this.#working !== null || this.#closing.signal.aborted) return;
    this.#appends = 0;
    void this.merge().catch((error: unknown) => this.#failed(error));
  }

  /** Whoever appends or reads reports that the database does not answer; what is wrong with the log is told here, once. */
  #failed(error: unknown): void {
    const reason = messageOf(error);
    if (remedyFor(error) !== 'give_up' || reason === this.#told) return;
    this.#told = reason;
    this.#tell(
      { reason },
      'small blocks cannot be merged, which costs room and time; nothing is lost by it',
      'error',
    );
  }

  async #isMine(): Promise<boolean> {
    const values = [this.#holder, this.#shape.waitingMax];
    const { rows } = await this.#query<{ is_mine: boolean }>('merge work', WORK, values);
    return rows[0]!.is_mine;
  }

  /** How far the log is merged, or null if another instance has the lease. */
  async #leased(): Promise<number | null> {
    const values = [this.#holder, LEASE_SECONDS];
    const { rows } = await this.#query<{ last_offset: string }>('merge lease', LEASE, values);
    return rows.length === 0 ? null : Number(rows[0]!.last_offset);
  }

  async #next(lastOffset: number): Promise<Append[]> {
    const { rows } = await this.#query<AppendRow>('merge next', NEXT, [
      lastOffset,
      this.#shape.waitingMax,
      this.#holder,
    ]);
    let end = lastOffset;
    return rows.map((row) => {
      const append = { ...row, first_offset: Number(row.first_offset), received_ms: Number(row.received_ms) };
      if (append.first_offset !== end + 1 || row.found !== row.events) {
        throw damaged(`the blocks of the append at offset ${end + 1} are not complete`);
      }
      end = endOf(append);
      return append;
    });
  }

  /** Packs the blocks of the first appends of the run into one. Returns how many these are; null if the lease has gone. */
  async #merged(run: readonly Append[], lastOffset: number): Promise<number | null> {
    const rows: FetchedRow[] = [];
    for (let from = 0; from < run.length; from += FETCH_APPENDS) {
      const ids = run.slice(from, from + FETCH_APPENDS).map(({ append_id: id }) => id);
      rows.push(...(await this.#query<FetchedRow>('merge fetch', FETCH, [ids])).rows);
    }
    // Another instance has merged them, so it has the lease.
    if (rows.length !== run.length) return null;
    const merge = new BlockMerge(
      rows.values().map((row, i) => new Block(run[i]!.first_offset, row, run[i]!.received_ms)),
      this.#shape,
    );
    for (let nextMs = performance.now() + TURN_MS; merge.row === null; merge.step()) {
      if (performance.now() < nextMs) continue;
      await turn();
      nextMs = performance.now() + TURN_MS;
    }
    const done = merge.blocks.length;
    const { directory, body, topicIds }: MergedRow = merge.row;
    const bytes = [directory, body].map(({ buffer, byteOffset, length }) =>
      Buffer.from(buffer, byteOffset, length),
    );
    const merged = rows.slice(0, done);
    const isExchanged = await this.#step('merge exchange', EXCHANGE, run.slice(0, done), lastOffset, [
      intArray(topicIds),
      ...bytes,
      // A reader that has kept the first of the small blocks, from before it was rewritten, takes no other for it.
      Math.max(...merged.map(({ version }) => version)),
      intArray(keptTopicsOf(merge.blocks)),
      goneTopicsOf(merged, merge.blocks),
    ]);
    if (!isExchanged) return null;
    this.#vacuuming.merged(done);
    return done;
  }

  async #passed(run: readonly Append[], lastOffset: number): Promise<number | null> {
    return (await this.#step('merge pass', PASS, run, lastOffset)) ? run.length : null;
  }

  /** Whether these appends are merged now, by this statement. */
  async #step(
    name: string,
    text: string,
    run: readonly Append[],
    lastOffset: number,
    values: readonly unknown[] = [],
  ): Promise<boolean> {
    const ids = run.map(({ append_id: id }) => id);
    const end = endOf(run.at(-1)!);
    const { rowCount } = await this.#query(name, text, [
      this.#holder,
      lastOffset,
      end,
      LEASE_SECONDS,
      ids,
      run[0]!.rewrites,
      ...values,
    ]);
    return rowCount !== 0;
  }

  #query<R extends object>(name: string, text: string, values: unknown[]) {
    return using(this.#sessions.readers, (client: ClientBase) =>
      answered(client, () => client.query<R>({ name, text, values })),
    );
  }
}

interface AppendRow {
  readonly append_id: string;
  readonly first_offset: string;
  readonly events: number;
  readonly received_ms: string;
  readonly blocks: number;
  readonly found: number | null;
  readonly bytes: number;
  readonly rewrites: string;
}

interface FetchedRow {
  readonly directory: Buffer;
  readonly body: Buffer;
  readonly version: number;
  readonly gone_topics: number[] | null;
}

type Append = Omit<AppendRow, 'first_offset' | 'received_ms'> & {
  readonly first_offset: number;
  readonly received_ms: number;
};

function endOf({ first_offset: firstOffset, events }: Append): number {
  return firstOffset + events - 1;
}

/** The topics of which the blocks may have ids without a text. */
function goneTopicsOf(rows: readonly FetchedRow[], blocks: readonly Block[]): Buffer {
  const gone = new Set(rows.flatMap(({ gone_topics: topics }, i) => topics ?? textlessTopicsOf(blocks[i]!)));
  return intArray([...gone].toSorted((a, b) => a - b));
}

function isLargeOne({ blocks, events, bytes }: Append, { largeEvents, largeBytes }: MergeShape): boolean {
  return blocks > 1 || events >= largeEvents || bytes >= largeBytes;
}

/** The first appends, as far as they are all large, or small and enough for a merged block; null if they are not enough. */
function runOf(appends: readonly Append[], shape: MergeShape): Append[] | null {
  const [first] = appends;
  if (first === undefined) return null;
  const isLarge = isLargeOne(first, shape);
  let end = appends.findIndex((append) => isLargeOne(append, shape) !== isLarge);
  const isEnded = end >= 0;
  if (!isEnded) end = appends.length;
  if (isLarge) return appends.slice(0, Math.min(end, PASSED_MAX));
  let events = 0;
  let bytes = 0;
  for (const [i, append] of appends.slice(0, end).entries()) {
    events += append.events;
    bytes += append.bytes;
    if (i > 0 && (events > shape.eventsMax || bytes > FETCH_BYTES_MAX)) return appends.slice(0, i);
  }
  return isEnded || end >= shape.waitingMax ? appends.slice(0, end) : null;
}
