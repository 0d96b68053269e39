import { BARE, EXPIRED } from '../blocks/block-format.ts';
import { OffsetSet } from '../offset-set.ts';
import { DifferenceError } from './compare.ts';
import type { Lengths, SourceLog, TargetLog } from './moved-log.ts';

/** Events that the target lets go of at once, and ids that the source is asked for. */
const SOME = 16_384;

/** While the source is in use, this part of the time at most is spent on following it. */
const SHARE = 1 / 8;

/**
 * Has the target let go of what the source has let go of after it was copied: texts, and ids. In: how far the log is copied. Out:
 * the same events without a text, the same ids forgotten.
 *
 * What was copied without a text needs nothing here, so without an expiry nothing is read; otherwise the directories of both logs
 * are, and where ids were forgotten, what the source knows of each event without a text.
 */
export class LettingGo {
  readonly #source: SourceLog;
  readonly #target: TargetLog;
  /** Of the source, as of which the target has let go of the same; null: nobody knows. */
  #changes: string | null = null;
  #notBefore = 0;

  constructor(source: SourceLog, target: TargetLog) {
    this.#source = source;
    this.#target = target;
  }

  /** Before the copying: what an earlier run has copied may be kept there alone. */
  async begin(): Promise<void> {
    if ((await this.#target.content.lastOffset()) === 0) this.#changes = await this.#source.content.changes();
  }

  /** Up to this offset; while the source is in use, only as often as that takes little of the time. */
  async upTo(offset: number, isHeld: boolean): Promise<void> {
    const beganMs = performance.now();
    if (!isHeld && beganMs < this.#notBefore) return;
    await this.now(offset, isHeld);
    const endMs = performance.now();
    this.#notBefore = endMs + (endMs - beganMs) / SHARE;
  }

  /** @param isHeld whether the source stands still, so that nothing may differ in the end */
  async now(offset: number, isHeld: boolean): Promise<void> {
    const changes = await this.#source.content.changes();
    if (changes === this.#changes) return;
    const expired = await this.#expire(offset);
    if (isHeld && expired > 0 && (await this.#expire(offset)) > 0)
      throw this.#difference('it keeps texts that are gone');
    await this.#forget(offset);
    this.#changes = changes;
  }

  /** Returns how many texts the target had to let go of. */
  async #expire(upTo: number): Promise<number> {
    let expired = 0;
    let some: number[] = [];
    const copies = new Reading(this.#target.content.lengths(0, upTo));
    for await (const { firstOffset, lengths } of this.#source.content.lengths(0, upTo)) {
      for (const [i, length] of lengths.entries()) {
        const copy = copies.next() ?? (await copies.more());
        if (copy === length) continue;
        if (length !== EXPIRED || copy <= BARE)
          throw this.#difference(`the text of offset ${firstOffset + i}`);
        some.push(firstOffset + i);
      }
      if (some.length < SOME) continue;
      expired += some.length;
      await this.#target.expire(some);
      some = [];
    }
    if (some.length > 0) await this.#target.expire(some);
    return expired + some.length;
  }

  async #forget(upTo: number): Promise<void> {
    if ((await this.#source.content.forgotten()) === (await this.#target.content.forgotten())) return;
    const forgotten = new OffsetSet();
    let some: number[] = [];
    const look = async (): Promise<void> => {
      for (const [i, key] of (await this.#source.content.keysOf(some)).entries())
        if (key === null) forgotten.add(some[i]!);
      some = [];
    };
    for await (const { firstOffset, lengths } of this.#source.content.lengths(0, upTo)) {
      for (const [i, length] of lengths.entries()) if (length <= BARE) some.push(firstOffset + i);
      if (some.length >= SOME) await look();
    }
    if (some.length > 0) await look();
    if (forgotten.last > 0) await this.#target.forget(forgotten);
  }

  #difference(what: string): DifferenceError {
    return new DifferenceError({ source: this.#source, target: this.#target }, what);
  }
}

/** The lengths of a log one after the other. */
class Reading {
  readonly #parts: AsyncGenerator<Lengths>;
  #lengths = new Int32Array(0);
  #at = 0;

  constructor(parts: AsyncGenerator<Lengths>) {
    this.#parts = parts;
  }

  /** Undefined where the next ones must be read. */
  next(): number | undefined {
    return this.#lengths[this.#at++];
  }

  /** The next one; -1 at the end. */
  async more(): Promise<number> {
    const { value } = (await this.#parts.next()) as { value: Lengths | undefined };
    if (value === undefined) return -1;
    this.#lengths = value.lengths as Int32Array<ArrayBuffer>;
    this.#at = 1;
    return this.#lengths[0]!;
  }
}
