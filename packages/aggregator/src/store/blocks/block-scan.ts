import { matchesText } from '../event-match.ts';
import type { EventPage, PageQuery, SnapshotQuery } from '../event-store.ts';
import { Places } from '../page-places.ts';
import type { StoredEventWriter } from '../stored-event.ts';
import { type Block, EXPIRED } from './block-format.ts';

/** Bytes of a page: large enough for a cheap hand-over, small enough that a slow reader ties up little memory. */
const PAGE_BYTES_MAX = 256 * 1024;

/** Events examined in one scan, matching or not, so that calls are short and others get their turn. */
const SCAN_EVENTS_MAX = 20_000;

/**
 * Is offered a match; false if it does not take it, which ends the scan before it. `expired` is how many expired events the
 * scan has passed over so far.
 */
export type Visit = (block: Block, index: number, expired: number) => boolean;

/** Is offered an expired event on the query's topics; false if it does not take it, which ends the scan before it. */
export type Pass = (offset: number) => boolean;

/** How far a scan came: `resumeAfter` is null at the end of the log. */
export type Scanned = Pick<EventPage, 'resumeAfter' | 'expired'>;

/** A query on its way through the blocks of the log, in the query's order. */
export class BlockScan {
  readonly #query: SnapshotQuery;
  readonly #topicIds: ReadonlySet<number> | undefined;
  readonly #visit: Visit;
  readonly #pass: Pass;
  readonly #needsText: boolean;
  #examined = 0;
  /** Events on the query's topics that were passed over because they have expired. */
  expired = 0;
  /** The `after` with which another scan goes on where this one ended. */
  resumeAfter: number;

  /** @param topicIds those of the topics that the query selects; undefined if it selects every topic */
  constructor(
    query: SnapshotQuery,
    topicIds: ReadonlySet<number> | undefined,
    visit: Visit,
    pass: Pass = () => true,
  ) {
    const { source, from, to, after } = query;
    this.#query = query;
    this.#topicIds = topicIds;
    this.#visit = visit;
    this.#pass = pass;
    this.#needsText = source !== undefined || from !== undefined || to !== undefined;
    this.resumeAfter = after;
  }

  /** Offers the block's matches from offset `first` to `last`. Returns whether the scan may go on with the next block. */
  goesOn(block: Block, first: number, last: number): boolean {
    const query = this.#query;
    const topicIds = this.#topicIds;
    const [start, step] = query.order === 'asc' ? [first, 1] : [last, -1];
    for (let offset = start; offset >= first && offset <= last; offset += step) {
      const i = offset - block.firstOffset;
      if (topicIds !== undefined && !topicIds.has(block.topicId(i))) continue;
      if (this.#examined === SCAN_EVENTS_MAX) return false;
      if (!block.isKept(i)) {
        if (block.textLength(i) === EXPIRED) {
          if (!this.#pass(offset)) return false;
          this.expired += 1;
        }
      } else if (
        (!this.#needsText || matchesText(block.text(i), query)) &&
        !this.#visit(block, i, this.expired)
      )
        return false;
      this.#examined += 1;
      this.resumeAfter = offset;
    }
    return true;
  }
}

/** A page that takes the matches of a scan until it is full. */
export class PageInProgress {
  readonly #writer: StoredEventWriter;
  readonly #eventsMax: number;
  readonly #bytesMax: number;
  readonly #places: Places | null;
  readonly #gaps: PageQuery['gaps'];
  readonly #tellsGaps: boolean;
  #count = 0;
  #lastOffset = 0;
  /** Expired events since the last match, and where they begin and end. */
  #passed = 0;
  #passedAfter: number;
  #passedTo = 0;

  constructor(
    { framing, after, eventsMax, bytesMax = PAGE_BYTES_MAX, placed = false, gaps }: PageQuery,
    writer: StoredEventWriter,
  ) {
    this.#writer = writer;
    this.#eventsMax = eventsMax;
    this.#bytesMax = Math.min(bytesMax, PAGE_BYTES_MAX);
    this.#places = placed ? new Places() : null;
    this.#gaps = gaps;
    this.#tellsGaps = gaps !== undefined && framing === 'stream';
    this.#passedAfter = after;
    writer.begin(framing);
  }

  readonly pass: Pass = (offset) => {
    if (this.#gaps === 'apart' && this.#count > 0) return false;
    this.#passed += 1;
    this.#passedTo = offset;
    return true;
  };

  readonly visit: Visit = (block, index, expired) => {
    const writer = this.#writer;
    if (this.#count === this.#eventsMax || writer.length >= this.#bytesMax) return false;
    if (this.#gaps === 'apart' && this.#passed > 0) return false;
    this.#tellGap();
    this.#lastOffset = block.firstOffset + index;
    this.#passedAfter = this.#lastOffset;
    writer.write(block.text(index), this.#lastOffset, block.receivedMs(index));
    this.#places?.push(writer.length, this.#lastOffset, expired);
    this.#count += 1;
    return true;
  };

  /** @param scan where the scan ended that offered the matches */
  end({ resumeAfter, expired }: Scanned): EventPage {
    this.#tellGap();
    const bytes = this.#writer.take();
    const [count, lastOffset] = [this.#count, this.#lastOffset];
    return { bytes, count, expired, lastOffset, resumeAfter, ...this.#places?.take() };
  }

  #tellGap(): void {
    if (!this.#tellsGaps || this.#passed === 0) return;
    this.#writer.writeGap(this.#passed, this.#passedAfter, this.#passedTo);
    this.#passed = 0;
  }
}
