import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { KeyRecord } from '../access/key-file.ts';
import { type AuditDetails, type AuditNote, noteOf } from '../store/audit-store.ts';
import type { EventStore } from '../store/event-store.ts';
import { VERSION } from '../version.ts';
import { Refusals, type Refused } from './refusals.ts';

export interface AuditTiming {
  /** How long refusals are gathered before they are written, milliseconds: so much of them a crash may lose. */
  readonly gatherMs: number;
  /** How often the trail lets go of what is too old, and how long it pauses between two steps of that, milliseconds. */
  readonly trimEveryMs: number;
  readonly pauseMs: number;
}

export const AUDIT_TIMING: AuditTiming = { gatherMs: 1000, trimEveryMs: 60_000, pauseMs: 20 };

interface Parts {
  readonly store: EventStore;
  readonly isOn: boolean;
  /** How long entries are kept, milliseconds. */
  readonly retentionMs: number;
  readonly timing: AuditTiming;
  readonly log: Logger;
}

/**
 * What the service adds to the trail that the store writes (store/audit-store.ts). In: refusals, erasures, changes of keys. Out:
 * notes in the store: those of deeds are durable before anybody is told that the deed is done; those of refusals are gathered
 * for a moment, alike ones together, so that a flood of them costs little and delays nobody (refusals.ts).
 *
 * It also lets go of what is too old, in small steps; also where the trail is off, so that what was written before does go.
 */
export class AuditTrail {
  readonly isOn: boolean;
  readonly #parts: Parts;
  readonly #refusals: Refusals;
  readonly #stopped = new AbortController();
  readonly #trimming: Promise<void>;

  private constructor(parts: Parts) {
    const { store, isOn, timing, log } = parts;
    this.isOn = isOn;
    this.#parts = parts;
    this.#refusals = new Refusals(
      (notes, mayBeLost) => store.audit.note(notes, mayBeLost),
      timing.gatherMs,
      log,
    );
    this.#trimming = this.#trim();
  }

  /** Begins the trail, with a note that the service has started. Rejects as the store does. */
  static async open(parts: Parts): Promise<AuditTrail> {
    const { store, isOn } = parts;
    if (isOn) {
      await store.audit.begin();
      await store.audit.note([noteOf('started', null, { version: VERSION })], false);
    }
    return new AuditTrail(parts);
  }

  /** Publishes that were refused and never found in the trail, because nobody could write them. */
  get lost(): number {
    return this.#refusals.lost;
  }

  /** A publish was refused. */
  refused(refused: Refused): void {
    if (this.isOn) this.#refusals.add(refused);
  }

  /** Resolves once it is durable that this was done. Rejects as the store does. */
  async done(action: 'erased' | 'truncated', key: string | null, details: AuditDetails): Promise<void> {
    if (this.isOn) await this.#parts.store.audit.note([noteOf(action, key, details)], false);
  }

  /** The file of keys was reread. Resolves once it is durable what has changed. */
  async keysReread(before: readonly KeyRecord[], after: readonly KeyRecord[]): Promise<void> {
    const notes = this.isOn ? changesOf(before, after) : [];
    if (notes.length > 0) await this.#parts.store.audit.note(notes, false);
  }

  /** Writes what was gathered, and ends the trimming. */
  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#trimming;
    await this.#refusals.close();
  }

  async #trim(): Promise<void> {
    const { store, retentionMs, timing, log } = this.#parts;
    const { signal } = this.#stopped;
    let isTold = false;
    while (await slept(timing.trimEveryMs, signal)) {
      try {
        const beforeMs = (await store.retention.now()) - retentionMs;
        while (!(await store.audit.trim(beforeMs)) && (await slept(timing.pauseMs, signal))) continue;
        isTold = false;
      } catch (error) {
        if (!isTold)
          log.error({ err: error }, 'the audit trail could not let go of what is too old; it is tried again');
        isTold = true;
      }
    }
  }
}

/** Which keys were added, changed (and what of them) or revoked, by their names: never a secret. */
function changesOf(before: readonly KeyRecord[], after: readonly KeyRecord[]): AuditNote[] {
  const known = new Map(before.map((record) => [record.name, record]));
  const notes = after.flatMap((record) => {
    const old = known.get(record.name);
    known.delete(record.name);
    if (old === undefined) return [noteOf('key_added', record.name, {})];
    const members = ['secret_sha256', 'scopes', 'topics', 'rate_limit'] as const;
    const changed = members.filter((member) => !isDeepStrictEqual(old[member], record[member]));
    return changed.length === 0 ? [] : [noteOf('key_changed', record.name, { changed: changed.map(told) })];
  });
  return [...notes, ...[...known.keys()].map((name) => noteOf('key_revoked', name, {}))];
}

function told(member: keyof KeyRecord): string {
  return member === 'secret_sha256' ? 'secret' : member;
}

/** Whether that time has passed; false if the signal came first. */
async function slept(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal, ref: false });
    return true;
  } catch {
    return false;
  }
}
