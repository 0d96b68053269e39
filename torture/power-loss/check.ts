import { existsSync } from 'node:fs';
import { openForReading } from '../../packages/aggregator/src/store/sqlite/file/database.ts';
import { FILE_SHAPE, type FileShape } from '../../packages/aggregator/src/store/sqlite/open-file.ts';
import { Reader } from '../../packages/aggregator/src/store/sqlite/read.ts';
import { verifyFile } from '../../packages/aggregator/src/store/sqlite/upkeep/verify.ts';
import { policiesIn } from '../../packages/aggregator/src/store/sqlite/policy-rows.ts';
import type { Account, Publish } from '../account.ts';
import { BrokenPromise } from '../broken-promise.ts';
import { type Events, numberOf } from '../events.ts';
import { fateOf } from '../letting-go/topics.ts';
import type { Promises } from './promises.ts';

/** What must be true of a file after a power loss. */
export interface Expectation {
  readonly events: Events;
  /** What was answered before. */
  readonly promises: Promises;
  /** What is known now, of requests that came later as well. */
  readonly account: Account;
  /** Every bound that was asked for, in order. */
  readonly bounds: readonly number[];
  /** Everything that was ever sent. */
  readonly publishes: Iterable<Publish>;
  readonly shape?: FileShape;
}

/**
 * Opens the file as the service does, walks it from end to end, and reads all of it: every promised event must be at its
 * offset unless it may have been let go of, every event as it was sent, and every publish whole or absent; nothing may be there
 * whose end was promised, and the policies must be. Throws a BrokenPromise.
 */
export function checkFile(path: string, expectation: Expectation): void {
  const { events, promises, account, publishes, shape = FILE_SHAPE } = expectation;
  if (!existsSync(path)) {
    if (promises.count > 0) throw new BrokenPromise(`${promises.count} promises`, 'no file');
    return;
  }
  const { problems, problemsFound } = verifyFile(path, undefined, shape);
  if (problemsFound > 0) throw new BrokenPromise('a file that is sound', problems.slice(0, 5).join('\n'));
  const offsets = offsetsIn(path, events);
  const { lettingGo } = account;
  const lost = [...promises.offsets].filter(
    ([k, offset]) => offsets.get(k) !== offset && lettingGo.standing(events.topic(k), offset) === 'kept',
  );
  if (lost.length > 0) {
    const some = lost
      .slice(0, 5)
      .map(([k, offset]) => `${k} at ${offset}, is at ${offsets.get(k) ?? 'none'}`);
    throw new BrokenPromise(
      `${promises.offsets.size} acknowledged events at their offsets`,
      `${lost.length} are not, such as ${some.join('; ')}`,
    );
  }
  for (const publish of publishes) {
    // Of what may be let go of it cannot be told whether it was ever stored.
    const fresh = publish.events.filter(
      ({ k, as }) => as === 'new' && (publish.isInvalid || fateOf(events.topic(k)) === null),
    );
    const there = fresh.filter(({ k }) => offsets.has(k)).length;
    if (there > 0 && (publish.isInvalid || there !== fresh.length))
      throw new BrokenPromise('all or nothing of a publish', `${there} of its ${fresh.length} new events`);
  }
  expectGone(offsets, expectation);
  expectPolicies(path, expectation);
}

function expectGone(offsets: ReadonlyMap<number, number>, { events, promises }: Expectation): void {
  for (const [k, offset] of offsets) {
    const topic = events.topic(k);
    const isGone =
      fateOf(topic) === 'bare' ||
      promises.erased.has(offset) ||
      offset < (promises.goneBelow.get(topic) ?? 0);
    if (isGone)
      throw new BrokenPromise(`nothing of event ${k} of ${topic}, which was let go of`, `it is at ${offset}`);
  }
}

/** A policy has the bound that was promised, or one that was asked for later. */
function expectPolicies(path: string, { promises, bounds }: Expectation): void {
  const db = openForReading(path);
  const found = new Map(policiesIn(db).map(({ name, maxEvents }) => [name, maxEvents]));
  db.close();
  for (const [name, bound] of promises.bounds) {
    const possible: readonly (number | null)[] =
      bound === null ? [bound] : bounds.slice(bounds.indexOf(bound));
    const at = found.get(name);
    if (at === undefined || !possible.includes(at))
      throw new BrokenPromise(`policy ${name} with a bound of ${bound} events`, `${at}`);
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
