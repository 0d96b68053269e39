import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { StoreError } from '../../../src/store/event-store.ts';
import { openForWriting } from '../../../src/store/sqlite/file/database.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** What a start says of the path; undefined if it opens the file. */
function complaint(path: string): string | undefined {
  try {
    const { db, lock } = openForWriting(path);
    db.close();
    lock.release();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof StoreError && error.code === 'unusable', String(error));
    return error.message;
  }
}

/** The first start and the second say the same, in one line. */
function complaintTwice(path: string): string {
  const first = complaint(path);
  assert.equal(complaint(path), first);
  assert.match(first ?? 'it was opened', /^[^\n]+$/);
  return first!;
}

test('an impossible path is refused the same way at every start, and creates nothing', (t) => {
  const folder = tempFolder(t);
  mkdirSync(join(folder, 'is-folder'));
  writeFileSync(join(folder, 'is-file'), '');
  symlinkSync(folder, join(folder, 'to-folder'));
  symlinkSync('nowhere', join(folder, 'to-nowhere'));
  const before = readdirSync(folder);
  const at = (name: string): string => `${folder}/${name}`;
  for (const [path, said] of [
    [at('data/'), `${at('data/')} is a folder: name a file in it, such as ${at('data/chronicle.db')}`],
    [at('is-file/'), 'is a folder: name a file in it'],
    [
      at('is-folder'),
      `${at('is-folder')} is a folder: name a file in it, such as ${at('is-folder/chronicle.db')}`,
    ],
    [at('is-folder/'), 'is a folder: name a file in it'],
    [at('is-folder/.'), 'is a folder: name a file in it'],
    [at('to-folder'), `${folder} is a folder: name a file in it`],
    [at('to-nowhere'), 'is a link that leads nowhere: ENOENT'],
    [at('is-file/events.db'), 'cannot create the folder of'],
    [at('is-file/deep/events.db'), 'cannot create the folder of'],
    ['/dev/null', '/dev/null is a device, pipe or socket: name a file'],
    ['/proc/events.db', 'cannot open /proc/events.db'],
    [at('x'.repeat(300)), 'is too long: the name of the file may have 242 bytes, and its whole path 499'],
    [at('x'.repeat(243)), 'is too long'],
    [at(`${'y'.repeat(300)}/events.db`), 'cannot create the folder of'],
  ] as const) {
    const message = complaintTwice(path);
    assert.ok(message.includes(said), `${path}: ${message}`);
  }
  assert.deepEqual(readdirSync(folder), before);
  const deep = at(`${'deep/'.repeat(99)}events.db`);
  assert.match(complaintTwice(deep), /is too long/);
});

test('a path that is merely odd is accepted at every start', (t) => {
  const folder = tempFolder(t);
  for (const name of [
    'with blanks.db',
    'größe/日本.db',
    'a/../b.db',
    './c.db',
    ':memory:',
    'x'.repeat(242),
  ]) {
    for (const start of ['first', 'second']) {
      assert.equal(complaint(`${folder}/${name}`), undefined, `${start} start of ${name}`);
    }
    assert.ok(existsSync(`${folder}/${name}`));
  }
});

test('a folder or file without the necessary rights is refused the same way at every start', (t) => {
  // Not in TMPDIR, which may be closed to others.
  const folder = mkdtempSync('/tmp/chronicleweaver-');
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o777);
  const closed = join(folder, 'closed');
  const readOnly = join(folder, 'read-only');
  const files = join(folder, 'files');
  withoutRights(() => {
    for (const one of [closed, readOnly, files]) mkdirSync(one);
    assert.equal(complaint(join(files, 'events.db')), undefined);
  });
  chmodSync(join(files, 'events.db'), 0o444);
  chmodSync(closed, 0);
  chmodSync(readOnly, 0o555);
  withoutRights(() => {
    for (const [path, said] of [
      [join(closed, 'events.db'), /EACCES: permission denied/],
      [join(readOnly, 'events.db'), /^cannot open .*must be able to write the file and its folder$/],
      [join(readOnly, 'deeper', 'events.db'), /^cannot create the folder of .*EACCES/],
      [join(files, 'events.db'), /^cannot open .*must be able to write the file and its folder$/],
    ] as const) {
      assert.match(complaintTwice(path), said);
    }
  });
  // So that it can be removed.
  chmodSync(closed, 0o700);
});

/** Root may do everything, so the process acts as another user for the time of the call. */
function withoutRights(act: () => void): void {
  const isRoot = process.geteuid!() === 0;
  if (isRoot) process.seteuid!(NOBODY);
  try {
    act();
  } finally {
    if (isRoot) process.seteuid!(0);
  }
}

const NOBODY = 65_534;
