import type { SeededRandom } from '../../lab/random.ts';
import { numberOf } from '../events.ts';
import type { Disk } from './disk.ts';
import type { Recorded } from './recording.ts';

/** A place in a recording where a deed begins or ends. */
interface Mark {
  readonly line: number;
  readonly isEnd: boolean;
  readonly recorded: Recorded;
}

/**
 * Plays a recording onto a disk, step by step, and notes the promises made on the way: the events, with offsets, of every
 * answer that the service has begun to send.
 */
export class Playback {
  /** Offsets by the events' numbers. */
  readonly promised: Map<number, number>;
  readonly #disk: Disk;
  readonly #marks: readonly Mark[];
  #next = 0;

  constructor(recorded: readonly Recorded[], disk: Disk, promised: Map<number, number>) {
    this.#disk = disk;
    this.promised = promised;
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

  /** Places where the power goes, ascending; half of them right after an answer begins. */
  places(count: number, random: SeededRandom): number[] {
    const answers = this.#marks.flatMap(({ recorded, isEnd }, place) =>
      recorded.deed.kind === 'answer' && !isEnd ? [place + 1] : [],
    );
    const places = Array.from({ length: count }, () =>
      answers.length > 0 && random.chance(0.5)
        ? answers[random.whole(0, answers.length - 1)]!
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

  #play({ isEnd, recorded: { deed, begin, end } }: Mark): void {
    if (deed.kind === 'answer') {
      if (isEnd) return;
      for (const { event_id: eventId, offset } of deed.results) this.promised.set(numberOf(eventId)!, offset);
    } else if (deed.kind === 'sync') {
      // A sync is certain only after it has returned.
      if (isEnd) this.#disk.synced(deed.path, begin);
    } else if (!isEnd) {
      // A change may take effect as soon as it begins.
      this.#disk.change(deed, end);
    }
  }
}
