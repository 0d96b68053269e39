import type { DatabaseSync } from 'node:sqlite';
import { type MoveMark, refuseMarked } from '../../move/move-mark.ts';

/** What a move has left in the file; null if none has, or if the file is of a format that does not know moves. */
export function markIn(db: DatabaseSync): MoveMark | null {
  if (db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'move'").get() === undefined) return null;
  const row = db.prepare('SELECT role, name AS move, log, other FROM move').get();
  return row === undefined ? null : (row as unknown as MoveMark);
}

/** Within the caller's transaction, if there is one. */
export function putMark(db: DatabaseSync, { role, move, log, other }: MoveMark): void {
  db.prepare('INSERT OR REPLACE INTO move (id, role, name, log, other) VALUES (1, ?, ?, ?, ?)').run(
    role,
    move,
    log,
    other,
  );
}

/** Throws a StoreError `unusable` if a move keeps services from writing to the file. */
export function refuseMovedFile(db: DatabaseSync): void {
  refuseMarked(db.location()!, markIn(db));
}
