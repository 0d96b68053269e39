import type { ClientBase } from 'pg';
import { hashesOf } from './commit-values.ts';
import { type GroupKeys, KEY_WORDS } from './group-keys.ts';
import type { StoredRow } from './judged.ts';
import type { RecentKeys } from './recent-keys.ts';
import { answered } from './sessions.ts';
import type { UnderWay } from './under-way.ts';

/**
 * Which of these hashes are stored, by their place in the array (from 1); and by the row with place 0, whether this append is
 * committed already, with how many events and from which offset on.
 */
const LOOK = `
  SELECT sought.place::int, key.digest, key.append_id = $2::bigint AS is_ours, log.first_offset + key.place AS "offset",
    log.received_ms
  FROM unnest($1::uuid[]) WITH ORDINALITY AS sought (hash, place) JOIN key USING (hash) JOIN log USING (append_id)
  UNION ALL
  SELECT 0, events, true, first_offset, received_ms FROM log WHERE append_id = $2::bigint`;

/** After a look that found something it could not know, so many more appends look before they insert. */
const LOOKS = 64;

/**
 * Looks which keys of a group are stored, where that is worth a round trip. In: the keys of a group. Out: those that are stored
 * already and not known here, or that nobody has looked: then it is the insert that finds them, and the next try looks.
 *
 * Where all retries are of late, and made here, a look finds nothing; so it is left out until one of another instance, or an
 * old one, has been found.
 */
export class Looking {
  readonly #recent: RecentKeys;
  readonly #underWay: UnderWay;
  /** So many more appends look before they insert. */
  #looks = 0;

  constructor(recent: RecentKeys, underWay: UnderWay) {
    this.#recent = recent;
    this.#underWay = underWay;
  }

  /** Null where it did not look. */
  async look(
    client: ClientBase,
    keys: GroupKeys,
    { appendId, version, isAgain }: { appendId: number; version: number; isAgain: boolean },
  ): Promise<StoredRow[] | null> {
    if (isAgain) this.#looks = LOOKS;
    if (this.#looks === 0) return null;
    const sought = new Int32Array(keys.count);
    let count = 0;
    for (let i = 0; i < keys.count; i++) {
      if (keys.firsts[i] !== i) continue;
      // All of them in another try: what is known here may be of this very append.
      if (isAgain || !this.#recent.find(keys.words, i * KEY_WORDS)) sought[count++] = i;
    }
    const values = [hashesOf(keys, sought.subarray(0, count)), appendId];
    const { rows } = await answered(client, () =>
      client.query<StoredRow>({ name: 'look', text: LOOK, values }),
    );
    const found = rows.map((row) => (row.place === 0 ? row : { ...row, place: sought[row.place - 1]! + 1 }));
    if (found.some((row) => !this.#isKnown(keys, row, version))) this.#looks = LOOKS;
    else this.#looks = Math.max(0, this.#looks - 1);
    return found;
  }

  /** Whether what the look found is known here by now: the other group under way was committed meanwhile. */
  #isKnown({ words }: GroupKeys, { place }: StoredRow, version: number): boolean {
    const at = (place - 1) * KEY_WORDS;
    if (place === 0) return false;
    return this.#recent.find(words, at) || this.#underWay.find(words, at, version) !== undefined;
  }
}
