import { DatabaseSync } from 'node:sqlite';

/**
 * Pieces of the body of the block that holds the offset, as its row has it now. Each is longer than the headers of a
 * compressed chunk, which may be the same in others.
 */
export function piecesOf(path: string, offset: number): Buffer[] {
  const db = new DatabaseSync(path, { readOnly: true });
  const row = db
    .prepare('SELECT body FROM block WHERE first_offset <= ? ORDER BY first_offset DESC LIMIT 1')
    .get(offset)!;
  db.close();
  const body = Buffer.from(row['body'] as Uint8Array);
  const pieces: Buffer[] = [];
  for (let at = 64; at + 64 < body.length; at += 512) pieces.push(body.subarray(at, at + 64));
  return pieces;
}

/** How many of the pieces are in some of the files. */
export function piecesIn(files: readonly Buffer[], pieces: readonly Buffer[]): number {
  return pieces.filter((piece) => files.some((file) => file.includes(piece))).length;
}
