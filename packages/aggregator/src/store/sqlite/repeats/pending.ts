import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { CommitCursor, countIn, withoutEvents } from './packed.ts';

/** The repeats of a commit that the tables do not count yet. */
interface PendingCommit {
  /** Of the books after these repeats: their order. */
  readonly received: number;
  /** Of the fresh block that holds them; 0 where they have a row of their own. */
  readonly firstOffset: number;
  readonly body: Uint8Array;
}

/**
 * Repeats as they were committed, until they are settled (settling.ts): in the row of the commit's fresh block, or in a row
 * of `pending_repeat` if the commit made no such row or its block was merged since. As of the open transaction.
 */
export class PendingRepeats {
  readonly #inBlocks: StatementSync;
  readonly #apart: StatementSync;
  readonly #insert: StatementSync;
  readonly #remove: StatementSync;
  readonly #settledTo: StatementSync;
  readonly #replaceInBlock: StatementSync;
  readonly #replaceApart: StatementSync;

  constructor(db: DatabaseSync) {
    this.#inBlocks = db.prepare(`
      SELECT received, first_offset, repeats AS body FROM fresh_block
      WHERE first_offset > (SELECT settled_to FROM repeat_state) AND repeats IS NOT NULL ORDER BY first_offset`);
    this.#apart = db.prepare(
      'SELECT received, 0 AS first_offset, body FROM pending_repeat ORDER BY received',
    );
    this.#insert = db.prepare('INSERT INTO pending_repeat (received, body) VALUES (?, ?)');
    this.#remove = db.prepare('DELETE FROM pending_repeat WHERE received <= ?');
    this.#settledTo = db.prepare('UPDATE repeat_state SET settled_to = max(settled_to, ?)');
    this.#replaceInBlock = db.prepare('UPDATE fresh_block SET repeats = ? WHERE first_offset = ?');
    this.#replaceApart = db.prepare('UPDATE pending_repeat SET body = ? WHERE received = ?');
  }

  /** Commits in order. */
  *commits(): Generator<PendingCommit> {
    const [inBlocks, apart] = [rowsOf(this.#inBlocks), rowsOf(this.#apart)];
    try {
      let [one, other] = [inBlocks.next().value, apart.next().value];
      while (one !== undefined || other !== undefined) {
        if (other === undefined || (one !== undefined && one.received < other.received)) {
          yield one!;
          one = inBlocks.next().value;
        } else {
          yield other;
          other = apart.next().value;
        }
      }
    } finally {
      // A statement that is left half read would keep its transaction open.
      inBlocks.return(undefined);
      apart.return(undefined);
    }
  }

  /** In the order of their commits. */
  visit(take: (repeat: Readonly<CommitCursor>) => void): void {
    for (const { body } of this.commits()) {
      const cursor = new CommitCursor(body);
      while (cursor.next()) take(cursor);
    }
  }

  count(): number {
    let count = 0;
    for (const { body } of this.commits()) count += countIn(body);
    return count;
  }

  /** Leaves repeats in rows of their own. The books are those after them all. */
  leave(bodies: readonly Uint8Array[], received: number): void {
    // Each repeat was received, so there is a number for each row since the commit before.
    let after = bodies.reduce((sum, body) => sum + countIn(body), 0);
    for (const body of bodies) {
      after -= countIn(body);
      this.#insert.run(received - after, body);
    }
  }

  /** Removes commits that are settled, which are the first ones. */
  remove(commits: readonly PendingCommit[]): void {
    this.#remove.run(commits.at(-1)!.received);
    const settledTo = Math.max(...commits.map(({ firstOffset }) => firstOffset));
    if (settledTo > 0) this.#settledTo.run(settledTo);
  }

  /** Keeps the counts of repeats of these events, but not which events they were. */
  forget(offsets: ReadonlySet<number>): void {
    for (const { received, firstOffset, body } of Array.from(this.commits())) {
      const rest = withoutEvents(body, offsets);
      if (rest === null) continue;
      if (firstOffset > 0) this.#replaceInBlock.run(rest, firstOffset);
      else this.#replaceApart.run(rest, received);
    }
  }
}

function* rowsOf(statement: StatementSync): Generator<PendingCommit, undefined> {
  for (const row of statement.iterate()) {
    yield {
      received: Number(row['received']),
      firstOffset: Number(row['first_offset']),
      body: row['body'] as Uint8Array,
    };
  }
  return undefined;
}
