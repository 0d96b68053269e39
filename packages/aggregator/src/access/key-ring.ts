import { hash, timingSafeEqual } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { compileTopicPatterns } from '@chronicleweaver/protocol';
import { TokenBucket } from 'limiter';
import type { KeyRecord } from './key-file.ts';
import type { Principal, Scope } from './principal.ts';

/** An answer that is still being sent to a key's owner. */
interface Answer {
  destroy(): void;
}

/**
 * The keys in force. In: the secret of a request, and now and then the file's new records. Out: the key.
 *
 * An unchanged record keeps its key, and with it the use of its rate. A key that was removed or changed is revoked:
 * it is no longer found, and the answers that it is reading are cut.
 */
export class KeyRing {
  #keys: readonly Key[] = [];

  constructor(records: readonly KeyRecord[]) {
    this.replace(records);
  }

  get size(): number {
    return this.#keys.length;
  }

  get records(): readonly KeyRecord[] {
    return this.#keys.map(({ record }) => record);
  }

  /**
   * The key with this secret. Compares digests, in full and with every key, so that the time taken reveals neither
   * how close a guess was nor which key it is.
   */
  find(secret: string): Key | undefined {
    const digest = hash('sha256', secret, 'buffer');
    let found: Key | undefined;
    for (const key of this.#keys) if (timingSafeEqual(digest, key.digest)) found = key;
    return found;
  }

  replace(records: readonly KeyRecord[]): void {
    const before = this.#keys;
    this.#keys = records.map(
      (record) => before.find((key) => isDeepStrictEqual(key.record, record)) ?? new Key(record),
    );
    for (const key of before) if (!this.#keys.includes(key)) key.revoke();
  }
}

/** One key: a principal, and the use of its rate. */
export class Key implements Principal {
  readonly record: KeyRecord;
  readonly digest: Buffer;
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  readonly topicPatterns: readonly string[] | undefined;
  readonly mayUse: (topic: string) => boolean;
  readonly #bucket: TokenBucket | undefined;
  readonly #answers = new Set<Answer>();

  constructor(record: KeyRecord) {
    this.record = record;
    this.digest = Buffer.from(record.secret_sha256, 'hex');
    this.name = record.name;
    this.scopes = new Set(record.scopes);
    // A key that may use every topic needs no filter.
    this.topicPatterns = record.topics?.includes('>') ? undefined : record.topics;
    this.mayUse = this.topicPatterns === undefined ? () => true : compileTopicPatterns(this.topicPatterns);
    if (record.rate_limit !== undefined) {
      const { events_per_second: tokensPerInterval, burst: bucketSize } = record.rate_limit;
      this.#bucket = new TokenBucket({ bucketSize, tokensPerInterval, interval: 'second' });
      this.#bucket.content = bucketSize;
    }
  }

  /** Counts a request and returns 0 if the rate allows one; otherwise returns the milliseconds until it does. */
  take(): number {
    const bucket = this.#bucket;
    return bucket === undefined || bucket.tryRemoveTokens(1) ? 0 : bucket.getWaitTime(1);
  }

  /**
   * How many events a publish has is known only once it is read, so it first counts as one, and may take the bucket
   * below zero: then the next request waits until that is made up for. So a batch of any size gets through, and the
   * rate still holds in the long run.
   */
  charge = (events: number): number => {
    const bucket = this.#bucket;
    if (bucket === undefined) return 0;
    bucket.content -= events;
    return bucket.content >= 1 ? 0 : bucket.getWaitTime(1);
  };

  /** Registers an answer to cut when the key is revoked; the caller says when it is over. */
  begun(answer: Answer): void {
    this.#answers.add(answer);
  }

  over(answer: Answer): void {
    this.#answers.delete(answer);
  }

  revoke(): void {
    for (const answer of this.#answers) answer.destroy();
  }
}
