import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { damaged } from '../../../src/store/errors.ts';
import { remedyFor, writeErrorOf } from '../../../src/store/sqlite/file/errors.ts';

/** As SQLite reports it (https://sqlite.org/rescode.html). */
function sqliteError(errcode: number, message: string): Error {
  return Object.assign(new Error(message), { errcode });
}

test('a writer that stops tells to check the disk only if disk or file are at fault', () => {
  const db = new DatabaseSync(':memory:');
  db.exec('CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1)');
  let ours: unknown;
  try {
    db.exec('INSERT INTO t VALUES (1)');
  } catch (error) {
    ours = error;
  }
  db.close();
  for (const [cause, isDisk] of [
    [ours, false],
    [new TypeError('x is not a function'), false],
    [sqliteError(6, 'database table is locked'), false],
    [sqliteError(778, 'disk I/O error'), true],
    [sqliteError(11, 'database disk image is malformed'), true],
    [damaged('block at offset 1: its checksum does not match'), true],
  ] as const) {
    const error = writeErrorOf(cause);
    assert.equal(error.code, 'failed');
    assert.match(error.message, /^the store has stopped writing: /);
    assert.equal(/the disk is not at fault/.test(error.message), !isDisk, error.message);
    assert.equal(remedyFor(error).startsWith('check the disk'), isDisk, error.message);
  }
});
