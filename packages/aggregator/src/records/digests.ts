import { hash } from 'node:crypto';

/** Characters of a digest, 6 bits each: enough that nobody can make two records meet. */
const DIGEST_CHARS = 32;

/**
 * The ids of the records of one request that have none: digests of what tells records apart. Equal ones are numbered, since whoever
 * sends two at once means two, and a retry sends them again in this order.
 */
export class RecordDigests {
  readonly #seen = new Map<string, number>();

  idOf(text: string): string {
    const digest = hash('sha256', text, 'base64url').slice(0, DIGEST_CHARS);
    const ordinal = (this.#seen.get(digest) ?? 0) + 1;
    this.#seen.set(digest, ordinal);
    return ordinal === 1 ? digest : `${digest}-${ordinal}`;
  }
}
