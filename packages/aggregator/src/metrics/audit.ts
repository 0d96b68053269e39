import type { AuditTrail } from '../audit/audit-trail.ts';
import type { AuditExtent } from '../store/audit-store.ts';
import type { EventStore } from '../store/event-store.ts';
import type { Exposition } from './exposition.ts';
import { Paced } from './paced.ts';
import type { Section } from './section.ts';

const SHARED = 'The same from every process on this store: take the maximum, not the sum.';

/** How much there is of the audit trail, and what it lacks. */
export class AuditFigures implements Section {
  readonly part = 'audit';
  readonly #audit: AuditTrail;
  readonly #paced: Paced<AuditExtent>;
  #found: AuditExtent | null = null;

  constructor({ audit, store }: { readonly audit: AuditTrail; readonly store: EventStore }) {
    this.#audit = audit;
    this.#paced = new Paced(() => store.audit.extent());
  }

  async read(): Promise<boolean> {
    this.#found = await this.#paced.value();
    return this.#found !== null;
  }

  write(out: Exposition): void {
    const { records, oldestMs } = this.#found!;
    out.gauge(
      'chronicleweaver_store_audit_records',
      `Records of the audit trail, each of what one commit or step did of one kind. ${SHARED}`,
      records,
    );
    if (oldestMs !== null) {
      out.gauge(
        'chronicleweaver_store_audit_oldest_timestamp_seconds',
        `When the oldest of these was made, seconds since 1970. ${SHARED}`,
        oldestMs / 1000,
      );
    }
    out.counter(
      'chronicleweaver_audit_lost_refusals_total',
      'Refused publishes that this process could not write into the audit trail.',
      this.#audit.lost,
    );
  }
}
