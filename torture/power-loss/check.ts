import { existsSync } from 'node:fs';
import { openForReading } from '../../packages/aggregator/src/store/sqlite/file/database.ts';
import { FILE_SHAPE, type FileShape } from '../../packages/aggregator/src/store/sqlite/open-file.ts';
import { Reader } from '../../packages/aggregator/src/store/sqlite/read.ts';
import { verifyFile } from '../../packages/aggregator/src/store/sqlite/upkeep/verify.ts';
import type { Publish } from '../account.ts';
import { BrokenPromise } from '../broken-promise.ts';
import { type Events, numberOf } from '../events.ts';

/** What must be true of a file after a power loss. */
export interface Expectation {
  readonly events: Events;
  /** Offsets of the events acknowledged before, by the events' numbers. */
  readonly promised: ReadonlyMap<number, number>;
  /** Everything that was ever sent. */
  readonly publishes: Iterable<Publish>;
  readonly shape?: FileShape;
}

/**
 * Opens the file as the service does, walks it from end to end, and reads all of it: every promised event must be at its
 * offset, every event as it was sent, and every publish whole or absent. Throws a BrokenPromise.
 */
export function checkFile(
  path: string,
  { events, promised, publishes, shape = FILE_SHAPE }: Expectation,
): void {
  if (!existsSync(path)) {
    if (promised.size > 0) throw new BrokenPromise(`${promised.size} events`, 'no file');
    return;
  }
  const { problems, problemsFound } = verifyFile(path, undefined, shape);
  if (problemsFound > 0) throw new BrokenPromise('a file that is sound', problems.slice(0, 5).join('\n'));
  const offsets = offsetsIn(path, events);
  const lost = [...promised].filter(([k, offset]) => offsets.get(k) !== offset);
  if (lost.length > 0) {
    const some = lost
      .slice(0, 5)
      .map(([k, offset]) => `${k} at ${offset}, is at ${offsets.get(k) ?? 'none'}`);
    throw new BrokenPromise(
      `${promised.size} acknowledged events at their offsets`,
      `${lost.length} are not, such as ${some.join('; ')}`,
    );
  }
  for (const publish of publishes) {
    const fresh = publish.events.filter(({ as }) => as === 'new');
    const there = fresh.filter(({ k }) => offsets.has(k)).length;
    if (there > 0 && (publish.isInvalid || there !== fresh.length))
      throw new BrokenPromise('all or nothing of a publish', `${there} of its ${fresh.length} new events`);
  }
}

/** The offset of each event by its number, after a check that it is as it was sent. */
function offsetsIn(path: string, events: Events): Map<number, number> {
  const offsets = new Map<number, number>();
  const db = openForReading(path);
  try {
    const reader = new Reader(db);
    for (let after: number | null = 0; after !== null;) {
      const page = reader.page({
        order: 'asc',
        after,
        upTo: Number.MAX_SAFE_INTEGER,
        eventsMax: 10_000,
        framing: 'lines',
      });
      for (const line of Buffer.from(page.bytes).toString().split('\n').slice(0, -1)) {
        const { event_id: eventId, offset } = JSON.parse(line) as { event_id: string; offset: number };
        const k = numberOf(eventId);
        const expected = k === null ? 'an event that was sent' : events.text(k).slice(0, -1);
        if (k === null || !line.startsWith(`${expected},"offset":${offset},`))
          throw new BrokenPromise(expected, line);
        offsets.set(k, offset);
      }
      after = page.resumeAfter;
    }
  } finally {
    db.close();
  }
  return offsets;
}
