import { KEY_WORDS } from './group-keys.ts';

/** 2^17 buckets of 8 places: a million keys in 36 MiB. */
const BUCKET_BITS = 17;
const BUCKET_PLACES = 8;

/**
 * The keys that were seen in commits lately, so that most retries are answered without asking the database. In: keys that are
 * committed, and never others. The highest bits of a key choose its bucket; where that is full, its oldest key gives way. Keys
 * are hashes, so the buckets fill alike, and a key stays until about as many others were added as there are places.
 *
 * Most look-ups are of new keys: these read the first words of a bucket, which lie side by side, and nothing else.
 *
 * Invariant: all keys here are in the database. What a failover may have taken from it is forgotten when the next session
 * begins.
 */
export class RecentKeys {
  readonly #bucketBits: number;
  readonly #firstWords: Int32Array;
  readonly #otherWords: Int32Array;
  readonly #digests: Int32Array;
  /** 0 where a place is free. */
  readonly #offsets: Float64Array;
  readonly #timesMs: Float64Array;
  /** Of each bucket the place that is written next. */
  readonly #next: Uint8Array;
  #isEmpty = true;
  /** Where the last `find` found its key. */
  #place = 0;

  /** @param bucketBits fewer for tests */
  constructor(bucketBits = BUCKET_BITS) {
    const buckets = 2 ** bucketBits;
    const places = buckets * BUCKET_PLACES;
    this.#bucketBits = bucketBits;
    this.#firstWords = new Int32Array(places);
    this.#otherWords = new Int32Array(places * (KEY_WORDS - 1));
    this.#digests = new Int32Array(places);
    this.#offsets = new Float64Array(places);
    this.#timesMs = new Float64Array(places);
    this.#next = new Uint8Array(buckets);
  }

  /** Looks up the key that begins at word `at`. After `true` its offset, digest and time can be read. */
  find(words: Int32Array, at: number): boolean {
    const first = words[at]!;
    const from = this.#bucketOf(first) * BUCKET_PLACES;
    for (let place = from; place < from + BUCKET_PLACES; place++) {
      if (this.#firstWords[place] === first && this.#isAt(place, words, at)) {
        this.#place = place;
        return true;
      }
    }
    return false;
  }

  /** Of the key that `find` found. */
  get offset(): number {
    return this.#offsets[this.#place]!;
  }

  /** Of the key that `find` found. */
  get digest(): number {
    return this.#digests[this.#place]!;
  }

  /** When the event of the key that `find` found was committed. */
  get receivedMs(): number {
    return this.#timesMs[this.#place]!;
  }

  add(words: Int32Array, at: number, digest: number, offset: number, receivedMs: number): void {
    if (!this.find(words, at)) {
      const first = words[at]!;
      this.#place = this.#oldestOf(this.#bucketOf(first));
      this.#firstWords[this.#place] = first;
      for (let word = 1; word < KEY_WORDS; word++) {
        this.#otherWords[this.#place * (KEY_WORDS - 1) + word - 1] = words[at + word]!;
      }
    }
    this.#digests[this.#place] = digest;
    this.#offsets[this.#place] = offset;
    this.#timesMs[this.#place] = receivedMs;
    this.#isEmpty = false;
  }

  clear(): void {
    // To write to all of it is to have the memory of all of it.
    if (this.#isEmpty) return;
    this.#isEmpty = true;
    this.#offsets.fill(0);
    this.#next.fill(0);
  }

  /** The place that the bucket's next key takes. */
  #oldestOf(bucket: number): number {
    const place = this.#next[bucket]!;
    this.#next[bucket] = (place + 1) % BUCKET_PLACES;
    return bucket * BUCKET_PLACES + place;
  }

  #isAt(place: number, words: Int32Array, at: number): boolean {
    if (this.#offsets[place] === 0) return false;
    for (let word = 1; word < KEY_WORDS; word++) {
      if (this.#otherWords[place * (KEY_WORDS - 1) + word - 1] !== words[at + word]) return false;
    }
    return true;
  }

  #bucketOf(firstWord: number): number {
    return firstWord >>> (32 - this.#bucketBits);
  }
}
