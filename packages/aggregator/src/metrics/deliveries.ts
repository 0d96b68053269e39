import { type Exposition, labels } from './exposition.ts';
import type { Section } from './section.ts';

/** What sources sent. In: each delivery, as the api answers it. */
export class DeliveryFigures implements Section {
  readonly part = 'deliveries';
  /** By kind, then by outcome. */
  readonly #counts = new Map<string, Map<string, number>>();

  /** @param kinds that are shown from the start, with 0, so that the first increase can be seen */
  constructor(kinds: readonly string[]) {
    for (const kind of kinds) this.#counts.set(kind, new Map([['accepted', 0]]));
  }

  delivered(kind: string, outcome: string): void {
    const counts = this.#counts.get(kind) ?? new Map<string, number>();
    this.#counts.set(kind, counts.set(outcome, (counts.get(outcome) ?? 0) + 1));
  }

  write(out: Exposition): void {
    out.counter(
      'chronicleweaver_deliveries_total',
      'Deliveries of sources to this process, by the kind of the source and the outcome: accepted, duplicate or conflict (the best that became of the events of each), answered (no event), refused, unavailable (no room, or no store).',
      this.#samples(),
    );
  }

  *#samples(): Generator<readonly [labels: string, value: number]> {
    for (const [kind, counts] of this.#counts) {
      for (const [outcome, count] of counts) yield [labels({ kind, outcome }), count];
    }
  }
}
