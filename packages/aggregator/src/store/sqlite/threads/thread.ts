import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { EventBatch } from '../../../event/event-batch.ts';
import { freeMemory } from '../../../released-memory.ts';
import { type PageQuery, StoreError, type TopicFilter } from '../../event-store.ts';
import type { Step } from '../../group-store.ts';
import { Background } from './background.ts';
import type { DatabaseSync } from 'node:sqlite';
import { type Answer, type Call, OPENED, type Opened, type Tell, type ThreadData } from './calls.ts';
import { Folding } from './folding.ts';
import { openForReading, sqliteVersion } from '../file/database.ts';
import { MEND, messageOf, readErrorOf } from '../file/errors.ts';
import { epochsOf } from '../file/epochs.ts';
import { readLedger, refuseCutLog } from '../file/ledger.ts';
import { openFile } from '../open-file.ts';
import type { RangeQuery } from '../block-reader.ts';
import { Reader } from '../read.ts';
import { SqliteGroups } from '../groups/groups.ts';

// A thread with one connection: the writer's or a reader's. In: calls, in order, each with an id. Out: one answer per
// call. The file is opened on the first call (`open`, id 0); if that fails, the answer says why and the thread ends.
// SQLite's calls block, so they block here and never the HTTP thread.

/** The calls a writer's thread takes. */
export type WriterCalls = ReturnType<typeof openWriter>;
/** The calls a reader's thread takes. */
export type ReaderCalls = ReturnType<typeof openReader>;

/** How often the lock file records how far the log reaches, milliseconds. */
const MARK_EVERY_MS = 1000;

function openWriter({ path, clock }: ThreadData, tell: Tell) {
  const now = clock === undefined ? Date.now : () => clock[0]!;
  const file = openFile(path, {
    now,
    before: refuseCutLog,
    progress: (moved, total) => tell({ moved, total }, 'moving the events of an older file'),
    begun: (epoch) =>
      tell({ ...epoch }, 'this file was a copy: a new epoch begins after its end, see docs/operations.md'),
    stopped: (why) => tell({ err: why.message }, `nothing more is written until a restart: ${MEND}`, 'error'),
  });
  const { db, lock, appender, hasher, index } = file;
  let markedMs = performance.now();
  const mark = (): void => {
    markedMs = performance.now();
    lock.raise(appender.lastOffset);
  };
  const background = new Background(file, tell);
  const folding = new Folding(file, tell);
  const groups = new SqliteGroups(db);
  return {
    opened: () => openedOf(db),
    append: (group: EventBatch) => {
      background.later();
      const result = appender.append(group);
      if (performance.now() > markedMs + MARK_EVERY_MS) mark();
      // The group was transferred with its memory, in a single piece (store.ts).
      freeMemory(new Uint8Array(group.bytes.buffer));
      return result;
    },
    probe: () => appender.probe(),
    stepGroups: (steps: readonly Step[]) => appender.transaction(() => groups.apply(now(), steps)),
    locate: (topic: string, eventId: string): number | null => {
      hasher.hashNames(topic, eventId);
      return index.find(hasher.k0, hasher.k1, hasher.k2, hasher.k3) ? index.offset : null;
    },
    leave: () => folding.leave(),
    close: () => {
      background.stop();
      mark();
      file.close();
      folding.release();
    },
  };
}

function openReader({ path }: ThreadData) {
  const db = openForReading(path);
  const reader = new Reader(db);
  return {
    opened: () => openedOf(db),
    leave: () => Promise.resolve(),
    snapshot: (filter: TopicFilter) => reader.snapshot(filter),
    countSome: (query: RangeQuery) => reader.countSome(query),
    page: (query: PageQuery) => reader.page(query),
    pageAt: (offsets: Float64Array) => reader.pageAt(offsets),
    at: (offset: number) => reader.at(offset),
    topics: (filter: TopicFilter) => reader.topics(filter),
    stats: () => reader.stats(),
    close: () => db.close(),
  };
}

function openedOf(db: DatabaseSync): Opened {
  return { sqliteVersion: sqliteVersion(db), epochs: epochsOf(db), lastOffset: readLedger(db).lastOffset };
}

function serve(port: NonNullable<typeof parentPort>, data: ThreadData): void {
  let calls: Record<string, (...args: never[]) => unknown>;
  const answer = (id: number, work: () => unknown): boolean => {
    try {
      const value = work();
      port.postMessage({ id, value } satisfies Answer, buffersOf(value));
      return true;
    } catch (cause) {
      const error = readErrorOf(cause);
      const code = error instanceof StoreError ? error.code : 'failed';
      port.postMessage({ id, error: { code, message: messageOf(error) } } satisfies Answer);
      return false;
    }
  };
  const tell: Tell = (fields, message, level = 'info') => {
    port.postMessage({ fields, message, level } satisfies Answer);
  };
  const open = (): boolean =>
    answer(OPENED, () => {
      calls = data.role === 'writer' ? openWriter(data, tell) : openReader(data);
      return calls['opened']!();
    });
  const close = async (id: number): Promise<void> => {
    await calls['leave']!();
    answer(id, () => calls['close']!());
    port.close();
  };
  // This thread loads its code at once, and opens the file when the first message says so.
  port.once('message', () => {
    if (!open()) return;
    port.on('message', (call: Call) => {
      if (call.name === 'close') void close(call.id);
      else answer(call.id, () => calls[call.name]!(...(call.args as never[])));
    });
  });
}

/** The memory of an answer's arrays, which moves to the other thread instead of being copied. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (typeof value !== 'object' || value === null) return [];
  const buffers = Object.values(value)
    .filter((part) => ArrayBuffer.isView(part))
    .map((part) => part.buffer)
    .filter((buffer) => buffer instanceof ArrayBuffer);
  return [...new Set(buffers)];
}

if (!isMainThread && parentPort !== null) serve(parentPort, workerData as ThreadData);
