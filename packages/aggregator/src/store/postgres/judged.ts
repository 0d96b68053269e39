import type { GroupResult } from '../commit-group.ts';
import { ACCEPTED, CONFLICT, DUPLICATE } from '../event-store.ts';
import { type GroupKeys, KEY_WORDS } from './group-keys.ts';
import type { RecentKeys } from './recent-keys.ts';
import type { Attempt, KeyUnderWay, UnderWay } from './under-way.ts';

export interface StoredRow {
  /** Of the key in the group, from 1; 0: this row tells of the group's own commit. */
  readonly place: number;
  /** Of the event; or how many events the commit stored. */
  readonly digest: number;
  readonly is_ours: boolean;
  readonly offset: string;
  readonly received_ms: string;
}

/** An event of a group whose id was known already. */
export interface GroupRepeat {
  /** Of the event in the group. */
  readonly place: number;
  /** The offset of the first one; where that is in the same group, -1 less its place among those that are stored. */
  readonly first: number;
  /** When the first one was committed; 0 if it is in the same group. */
  readonly firstMs: number;
  readonly isConflict: boolean;
}

export interface OwnCommit {
  readonly receivedMs: number;
  readonly firstOffset: number;
  /** How many it stored. */
  readonly events: number;
}

/** What is known of a key: that it is stored, by this very append, by an earlier one; or nothing. */
const UNKNOWN = 0;
const OURS = 1;
const STORED = 2;

/**
 * A group as the look saw it: what is stored already or about to be, what repeats another event of the group, what is fresh.
 */
export class Judged {
  /** The events to store, or that were stored with the group, by their places in it. */
  readonly fresh: Int32Array;
  /** Of each event that is or repeats a fresh one, its place among them; else -1. */
  readonly freshPlaces: Int32Array;
  /** The others, by their places in the group: they repeat a fresh one or one that is stored. */
  readonly repeated: Int32Array;
  readonly conflicts: number;
  /** The group's own commit, where that has happened. */
  readonly committed: OwnCommit | null;
  readonly #verdicts: Uint8Array<ArrayBuffer>;
  readonly #offsets: Float64Array<ArrayBuffer>;
  /** Of each event when it was stored, or the one that it repeats; 0 if that is in the group. */
  readonly #timesMs: Float64Array;
  /** The events that another attempt is about to store, or repeat such a one. */
  readonly #underWay: (readonly [event: number, key: KeyUnderWay])[] = [];

  /**
   * @param found what the look found
   * @param version that of the policies and ids by which it is judged (policies.ts)
   */
  constructor(
    keys: GroupKeys,
    { recent, underWay, version }: { recent: RecentKeys; underWay: UnderWay; version: number },
    found: readonly StoredRow[],
  ) {
    const { count, words, firsts } = keys;
    this.#verdicts = new Uint8Array(count);
    this.#offsets = new Float64Array(count);
    this.#timesMs = new Float64Array(count);
    this.freshPlaces = new Int32Array(count).fill(-1);
    const fresh = new Int32Array(count);
    const repeated = new Int32Array(count);
    const states = new Uint8Array(count);
    // Of what is stored; else of the event itself.
    const digests = keys.digests.slice();
    this.committed = this.#noteFound(found, states, digests);
    /** Of the first events with their identities. */
    const waitedFor = new Map<number, KeyUnderWay>();
    let freshCount = 0;
    let repeatedCount = 0;
    let conflicts = 0;
    for (let i = 0; i < count; i++) {
      const first = firsts[i]!;
      if (first === i && this.committed !== null) {
        // Also one whose id was forgotten since.
        if (states[i] !== STORED) {
          this.freshPlaces[i] = freshCount;
          fresh[freshCount++] = i;
        }
      } else if (first === i && states[i] === UNKNOWN) {
        if (recent.find(words, i * KEY_WORDS)) {
          this.#offsets[i] = recent.offset;
          this.#timesMs[i] = recent.receivedMs;
          digests[i] = recent.digest;
          states[i] = STORED;
        } else {
          const key = underWay.find(words, i * KEY_WORDS, version);
          if (key === undefined) {
            this.freshPlaces[i] = freshCount;
            fresh[freshCount++] = i;
          } else {
            waitedFor.set(i, key);
            digests[i] = key.digest;
            states[i] = STORED;
          }
        }
      }
      if (first === i && states[i] !== STORED) {
        this.#verdicts[i] = ACCEPTED;
        continue;
      }
      repeated[repeatedCount++] = i;
      this.#offsets[i] = this.#offsets[first]!;
      this.#timesMs[i] = this.#timesMs[first]!;
      this.freshPlaces[i] = this.freshPlaces[first]!;
      const key = waitedFor.get(first);
      if (key !== undefined) this.#underWay.push([i, key]);
      this.#verdicts[i] = digests[first] === keys.digests[i] ? DUPLICATE : CONFLICT;
      if (this.#verdicts[i] === CONFLICT) conflicts += 1;
    }
    this.fresh = fresh.subarray(0, freshCount);
    this.repeated = repeated.subarray(0, repeatedCount);
    this.conflicts = conflicts;
  }

  /** Attempts that must be committed for this judgement to hold. */
  get restsOn(): ReadonlySet<Attempt> {
    return new Set(this.#underWay.map(([, { attempt }]) => attempt));
  }

  /** What the repeated events repeat. Only once what they rest on is committed. */
  repeats(): GroupRepeat[] {
    this.#learnFirsts();
    return Array.from(this.repeated, (place) => {
      const freshPlace = this.freshPlaces[place]!;
      const first = freshPlace >= 0 ? -1 - freshPlace : this.#offsets[place]!;
      const isConflict = this.#verdicts[place] === CONFLICT;
      return { place, first, firstMs: this.#timesMs[place]!, isConflict };
    });
  }

  result(receivedMs: number, firstOffset: number): GroupResult {
    const offsets = this.#offsets;
    this.#learnFirsts();
    for (const [i, place] of this.freshPlaces.entries()) if (place >= 0) offsets[i] = firstOffset + place;
    return { receivedMs, verdicts: this.#verdicts, offsets, bare: null };
  }

  /** When the event was stored, or the one that it repeats, in a group that was committed at this time. */
  timeOf(event: number, receivedMs: number): number {
    return this.#timesMs[event]! || receivedMs;
  }

  #learnFirsts(): void {
    for (const [event, { attempt, freshPlace }] of this.#underWay) {
      this.#offsets[event] = attempt.firstOffset + freshPlace;
      this.#timesMs[event] = attempt.receivedMs;
    }
  }

  /** Returns the group's own commit, or null. */
  #noteFound(found: readonly StoredRow[], states: Uint8Array, digests: Int32Array): OwnCommit | null {
    let committed: OwnCommit | null = null;
    for (const row of found) {
      if (row.place === 0) {
        committed = {
          receivedMs: Number(row.received_ms),
          firstOffset: Number(row.offset),
          events: row.digest,
        };
        continue;
      }
      const i = row.place - 1;
      this.#offsets[i] = Number(row.offset);
      this.#timesMs[i] = Number(row.received_ms);
      digests[i] = row.digest;
      states[i] = row.is_ours ? OURS : STORED;
    }
    return committed;
  }
}
