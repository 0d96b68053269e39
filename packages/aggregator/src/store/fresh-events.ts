import type { FreshEvents } from './group-store.ts';

/** How many expired events a group passes over when it takes the first `taken` of these events; with all of them, the rest too. */
export function expiredUpTo({ offsets, expiredBefore, expired }: FreshEvents, taken: number): number {
  if (taken === offsets.length) return expired;
  let passed = 0;
  for (let i = 0; i < taken; i++) passed += expiredBefore[i]!;
  return passed;
}

/** Puts fresh events together as a scan finds them. */
export class FreshEventsFound {
  readonly #offsets: number[] = [];
  readonly #bytes: number[] = [];
  readonly #expiredBefore: number[] = [];
  #expired = 0;

  get count(): number {
    return this.#offsets.length;
  }

  /** @param expired how many expired events the scan had passed over when it came to this one */
  push(offset: number, bytes: number, expired: number): void {
    this.#offsets.push(offset);
    this.#bytes.push(bytes);
    this.#expiredBefore.push(expired - this.#expired);
    this.#expired = expired;
  }

  /** @param expired how many the whole scan has passed over */
  end(after: number, upTo: number, expired: number): FreshEvents {
    return {
      after,
      upTo,
      offsets: Float64Array.from(this.#offsets),
      bytes: Int32Array.from(this.#bytes),
      expiredBefore: Int32Array.from(this.#expiredBefore),
      expired,
    };
  }
}
