import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { EventBatch } from '../../event-batch.ts';
import { type PageQuery, StoreError } from '../event-store.ts';
import { Appender } from './append.ts';
import { openForReading, openForWriting, sqliteVersion } from './database.ts';
import { type RangeQuery, Reader } from './read.ts';

/**
 * A thread with one connection: the writer's or a reader's. In: calls, in order, each with an id. Out: one answer per
 * call. The file is opened before the first answer (`opened`, id 0); where that fails the answer says why and the
 * thread ends. SQLite's calls block, so they block here and never the thread that speaks HTTP.
 */
export interface ThreadData {
  readonly role: 'writer' | 'reader';
  readonly path: string;
}

export interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly code: StoreError['code']; readonly message: string } };

/** The calls a writer's thread takes. */
export type WriterCalls = ReturnType<typeof openWriter>;
/** The calls a reader's thread takes. */
export type ReaderCalls = ReturnType<typeof openReader>;

export const OPENED = 0;

function openWriter(path: string) {
  const db = openForWriting(path);
  const appender = new Appender(db);
  return {
    opened: () => ({ sqliteVersion: sqliteVersion(db) }),
    append: (group: EventBatch) => appender.append(group),
    probe: () => appender.probe(),
    close: () => db.close(),
  };
}

function openReader(path: string) {
  const db = openForReading(path);
  const reader = new Reader(db);
  return {
    opened: () => ({ sqliteVersion: sqliteVersion(db) }),
    snapshot: (topic: string | undefined) => reader.snapshot(topic),
    countSome: (query: RangeQuery) => reader.countSome(query),
    page: (query: PageQuery) => reader.page(query),
    find: (topic: string, eventId: string) => reader.find(topic, eventId),
    topics: () => reader.topics(),
    stats: () => reader.stats(),
    close: () => db.close(),
  };
}

function serve(port: NonNullable<typeof parentPort>, { role, path }: ThreadData): void {
  let calls: Record<string, (...args: never[]) => unknown>;
  const answer = (id: number, work: () => unknown): boolean => {
    try {
      const value = work();
      port.postMessage({ id, value } satisfies Answer, buffersOf(value));
      return true;
    } catch (error) {
      const code = error instanceof StoreError ? error.code : 'failed';
      const message = error instanceof Error ? error.message : String(error);
      port.postMessage({ id, error: { code, message } } satisfies Answer);
      return false;
    }
  };
  const opened = answer(OPENED, () => {
    calls = role === 'writer' ? openWriter(path) : openReader(path);
    return calls['opened']!();
  });
  if (!opened) return;
  port.on('message', (call: Call) => {
    answer(call.id, () => calls[call.name]!(...(call.args as never[])));
    if (call.name === 'close') port.close();
  });
}

/** The memory of an answer's arrays, which moves to the other thread instead of being copied. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value)
    .filter((part) => ArrayBuffer.isView(part))
    .map((part) => part.buffer)
    .filter((buffer) => buffer instanceof ArrayBuffer);
}

if (!isMainThread && parentPort !== null) serve(parentPort, workerData as ThreadData);
