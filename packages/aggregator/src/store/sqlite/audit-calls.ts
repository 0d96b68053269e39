import type {
  AuditCount,
  AuditExtent,
  AuditNote,
  AuditPage,
  AuditQuery,
  AuditStore,
  AuditSummary,
  AuditSummaryQuery,
} from '../audit-store.ts';
import { type AuditSource, type EventName, auditPage } from '../audit/audit-page.ts';
import { mergedCounts } from '../audit/audit-counts.ts';
import type { ThreadClient } from './threads/client.ts';
import type { ReaderCalls, WriterCalls } from './threads/thread.ts';

/** Events looked up in one call to the reader's thread: a few milliseconds, if each is in a block of its own. */
const NAMED_AT_ONCE = 16;

/** The audit trail, as calls to the threads. */
export class SqliteAudit implements AuditStore {
  readonly #writer: ThreadClient<WriterCalls>;
  readonly #reader: ThreadClient<ReaderCalls>;
  readonly #source: AuditSource;

  constructor(writer: ThreadClient<WriterCalls>, reader: ThreadClient<ReaderCalls>) {
    this.#writer = writer;
    this.#reader = reader;
    this.#source = {
      records: (query) => reader.call('auditRecords', [query]),
      names: async (offsets, topics) => {
        const names: (EventName | null)[] = [];
        for (let from = 0; from < offsets.length; from += NAMED_AT_ONCE) {
          const some = offsets.slice(from, from + NAMED_AT_ONCE);
          names.push(...(await reader.call('auditNames', [some, topics])));
        }
        return names;
      },
      locate: (topic, eventId) => writer.call('locate', [topic, eventId]),
    };
  }

  begin(): Promise<void> {
    return this.#writer.call('auditBegin', []);
  }

  note(notes: readonly AuditNote[], mayBeLost: boolean): Promise<void> {
    return this.#writer.call('auditNote', [notes, mayBeLost]);
  }

  page(query: AuditQuery): Promise<AuditPage> {
    return auditPage(this.#source, query);
  }

  async summary({ fromMs, toMs, periodMs, recordsMax }: AuditSummaryQuery): Promise<AuditSummary> {
    const range = await this.#reader.call('auditRange', [fromMs, toMs]);
    const records = range.last - range.first + 1;
    if (records > recordsMax) return { kind: 'too_many', records };
    const counts: AuditCount[] = [];
    for (let first: number | null = range.first; first !== null;) {
      const some: { counts: readonly AuditCount[]; resumeAt: number | null } = await this.#reader.call(
        'auditCounts',
        [{ first, last: range.last }, periodMs],
      );
      counts.push(...some.counts);
      first = some.resumeAt;
    }
    return { kind: 'counted', counts: mergedCounts(counts) };
  }

  extent(): Promise<AuditExtent> {
    return this.#reader.call('auditExtent', []);
  }

  trim(beforeMs: number): Promise<boolean> {
    return this.#writer.call('auditTrim', [beforeMs]);
  }
}
