import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { freeMemory } from '../../../released-memory.ts';
import type { CommitGroup } from '../../commit-group.ts';
import { type AuditNote, type AuditSummaryQuery, noteOf } from '../../audit-store.ts';
import type { RecordsQuery } from '../../audit/audit-page.ts';
import { type PageQuery, StoreError, type TopicFilter } from '../../event-store.ts';
import type { Step } from '../../group-store.ts';
import { type Range, TrailReader } from '../audit/trail-reader.ts';
import { Background } from './background.ts';
import type { DatabaseSync } from 'node:sqlite';
import { type Answer, type Call, OPENED, type Opened, type ThreadData } from './calls.ts';
import type { Tell } from '../../tell.ts';
import { Folding } from './folding.ts';
import { openForReading, sqliteVersion } from '../file/database.ts';
import { readErrorOf, remedyFor } from '../file/errors.ts';
import { messageOf } from '../../errors.ts';
import { epochsOf } from '../file/epochs.ts';
import { refuseMovedFile } from '../file/move-mark.ts';
import { readLedger, refuseCutLog } from '../file/ledger.ts';
import { openFile } from '../open-file.ts';
import type { RangeQuery } from '../block-reader.ts';
import type { DueSoFar } from '../due.ts';
import { policiesIn } from '../policy-rows.ts';
import { putSource, removeSource, sourcesIn, sourcesNamed } from '../source-rows.ts';
import { Forgetting } from '../forgetting.ts';
import { Reader } from '../read.ts';
import { RepeatReader } from '../repeats/repeat-reader.ts';
import { Retention } from '../retention.ts';
import { Scrub } from '../scrub.ts';
import { Space } from '../space.ts';
import type { ConflictQuery, RepeatFilter, RepeatersQuery } from '../../repeat-store.ts';
import type { DueQuery, ExpireQuery, ForgetQuery, Policy } from '../../retention-store.ts';
import type { KeptSource } from '../../source-store.ts';
import { TableSteps } from '../../groups/group-steps.ts';
import { SqliteTables } from '../groups/tables.ts';

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
    before: (db) => {
      refuseMovedFile(db);
      refuseCutLog(db);
    },
    progress: (moved, total) => tell({ moved, total }, 'moving the events of an older file'),
    counting: (counted, total) => tell({ counted, total }, 'counting the texts of an older file'),
    begun: (epoch) =>
      tell({ ...epoch }, 'this file was a copy: a new epoch begins after its end, see docs/operations.md'),
    stopped: (why) =>
      tell({ err: why.message }, `nothing more is written until a restart: ${remedyFor(why)}`, 'error'),
  });
  const { db, lock, appender, hasher, index } = file;
  const { trail } = appender;
  let markedMs = performance.now();
  const mark = (): void => {
    markedMs = performance.now();
    lock.raise(appender.lastOffset);
  };
  const background = new Background(file, tell);
  const folding = new Folding(file, tell);
  const groups = new TableSteps(new SqliteTables(db, trail));
  const retention = new Retention(file);
  const scrub = new Scrub(file);
  const space = new Space(file);
  const forgetting = new Forgetting(db, appender, index);
  return {
    opened: () => openedOf(db),
    append: (group: CommitGroup) => {
      background.later();
      const result = appender.append(group);
      if (performance.now() > markedMs + MARK_EVERY_MS) mark();
      // The group was transferred with its memory, in a single piece (store.ts).
      freeMemory(new Uint8Array(group.bytes.buffer));
      return result;
    },
    probe: () => appender.probe(),
    stepGroups: (steps: readonly Step[]) =>
      appender.transaction(() => {
        const nowMs = now();
        const outcomes = groups.apply(nowMs, steps);
        trail.stepped(nowMs);
        return outcomes;
      }),
    auditBegin: () => trail.turnOn(),
    auditNote: (notes: readonly AuditNote[], mayBeLost: boolean) => {
      const work = (): void => trail.note(notes, now());
      if (mayBeLost) appender.unsynced(work);
      else appender.transaction(work);
    },
    auditTrim: (beforeMs: number): boolean => {
      if (!trail.isDue(beforeMs)) return true;
      appender.unsynced(() => trail.trim(beforeMs));
      return !trail.isDue(beforeMs);
    },
    locate: (topic: string, eventId: string): number | null => {
      hasher.hashNames(topic, eventId);
      return index.find(hasher.k0, hasher.k1, hasher.k2, hasher.k3) ? index.offset : null;
    },
    policies: () => policiesIn(db),
    putPolicy: (policy: Policy, by: string | null) =>
      retention.put(policy, () => trail.note([noteOf('policy_set', by, { policy: policy.name })], now())),
    removePolicy: (name: string, by: string | null) =>
      retention.remove(name, () => trail.note([noteOf('policy_deleted', by, { policy: name })], now())),
    putSource: (source: KeptSource, by: string | null) =>
      appender.transaction(() => {
        const outcome = putSource(db, source);
        if (outcome === 'created' || outcome === 'changed')
          trail.note([noteOf('source_set', by, { source: source.name })], now());
        return outcome;
      }),
    removeSource: (name: string, by: string | null) =>
      appender.transaction(() => {
        const wasThere = removeSource(db, name);
        if (wasThere) trail.note([noteOf('source_deleted', by, { source: name })], now());
        return wasThere;
      }),
    expire: (query: ExpireQuery) => retention.expire(query),
    erase: (topic: string, eventId: string, isForgotten: boolean, at?: number) =>
      retention.erase(topic, eventId, isForgotten, at),
    forget: (query: ForgetQuery) => forgetting.some(query),
    scrubSome: () => scrub.some(),
    foldAll: () => folding.foldAll(),
    leave: () => folding.leave(),
    close: () => {
      background.stop();
      space.stop();
      mark();
      file.close();
      folding.release();
    },
  };
}

function openReader({ path }: ThreadData) {
  const db = openForReading(path);
  const reader = new Reader(db);
  const repeats = new RepeatReader(db);
  const trail = new TrailReader(db);
  return {
    opened: () => openedOf(db),
    leave: () => Promise.resolve(),
    snapshot: (filter: TopicFilter) => reader.snapshot(filter),
    countSome: (query: RangeQuery) => reader.countSome(query),
    page: (query: PageQuery) => reader.page(query),
    pageAt: (offsets: Float64Array) => reader.pageAt(offsets),
    countAt: (offsets: Float64Array, filter: TopicFilter) => reader.countAt(offsets, filter),
    at: (offset: number) => reader.at(offset),
    topics: (filter: TopicFilter) => reader.topics(filter),
    stats: () => reader.stats(),
    dueSome: (query: DueQuery, soFar: DueSoFar | null, isShort: boolean) =>
      reader.dueSome(query, soFar, isShort),
    sources: () => sourcesIn(db),
    sourcesNamed: (names: readonly string[]) => sourcesNamed(db, names),
    repeatsSinceMs: () => repeats.sinceMs(),
    repeatAges: (filter: RepeatFilter) => repeats.ages(filter),
    repeatHistory: (offset: number) => repeats.history(offset),
    repeaters: (query: RepeatersQuery) => repeats.repeaters(query),
    conflicts: (query: ConflictQuery) => repeats.conflicts(query),
    auditRecords: (query: RecordsQuery) => trail.records(query),
    auditNames: (offsets: readonly number[], topics: TopicFilter) => trail.names(offsets, topics),
    auditRange: (fromMs: number, toMs: number) => trail.range(fromMs, toMs),
    auditCounts: (range: Range, periodMs: AuditSummaryQuery['periodMs']) => trail.countSome(range, periodMs),
    auditExtent: () => trail.extent(),
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
