import type { SeededRandom } from '../../lab/random.ts';
import type { Disk } from './disk.ts';
import type { Promises, Told } from './promises.ts';
import type { Recorded } from './recording.ts';

/** A place in a recording where a deed begins or ends. */
interface Mark {
  readonly line: number;
  readonly isEnd: boolean;
  readonly recorded: Recorded;
}

/**
 * Plays a recording onto a disk, step by step, and notes the promises made on the way: those of every answer that
 * the service has begun to send.
 */
export class Playback {
  readonly #promises: Promises;
  readonly #disk: Disk;
  readonly #marks: readonly Mark[];
  #next = 0;

  constructor(recorded: readonly Recorded[], disk: Disk, promises: Promises) {
    this.#disk = disk;
    this.#promises = promises;
    this.#marks = recorded
      .flatMap((one) => [
        { line: one.begin, isEnd: false, recorded: one },
        { line: one.end, isEnd: true, recorded: one },
      ])
      .toSorted((a, b) => a.line - b.line || Number(a.isEnd) - Number(b.isEnd));
  }

  get length(): number {
    return this.#marks.length;
  }

  /** The place right after the last answer of this kind begins. */
  placeAfter(kind: Told['kind']): number {
    return this.#answers().findLast((answer) => answer.kind === kind)!.place;
  }

  /** Places where the power goes, ascending; half of them right after an answer begins, of each kind as often. */
  places(count: number, random: SeededRandom): number[] {
    const answers = Map.groupBy(this.#answers(), ({ kind }) => kind);
    const places = Array.from({ length: count }, () =>
      answers.size > 0 && random.chance(0.5)
        ? pick(answers.get(pick([...answers.keys()], random))!, random).place
        : random.whole(1, this.length),
    );
    return places.toSorted((a, b) => a - b);
  }

  /** Where it ends. */
  get lastLine(): number {
    return this.#marks.at(-1)!.line;
  }

  /** Plays on until this many marks are done. */
  playTo(place: number): void {
    while (this.#next < place) this.#play(this.#marks[this.#next++]!);
  }

  /** The places right after the answers begin. */
  #answers(): { readonly kind: Told['kind']; readonly place: number }[] {
    return this.#marks.flatMap(({ recorded: { deed }, isEnd }, place) =>
      deed.kind === 'answer' && !isEnd ? [{ kind: deed.told.kind, place: place + 1 }] : [],
    );
  }

  #play({ isEnd, recorded: { deed, begin, end } }: Mark): void {
    if (deed.kind === 'answer') {
      if (!isEnd) this.#promises.add(deed.told);
    } else if (deed.kind === 'sync') {
      // A sync is certain only after it has returned.
      if (isEnd) this.#disk.synced(deed.path, begin);
    } else if (!isEnd) {
      // A change may take effect as soon as it begins.
      this.#disk.change(deed, end);
    }
  }
}

function pick<T>(choices: readonly T[], random: SeededRandom): T {
  return choices[random.whole(0, choices.length - 1)]!;
}
