import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type KeyRecord, KeyFileError, readKeyFile } from '../../src/access/key-file.ts';
import { keysCommand } from '../../src/programs/keys-command.ts';
import { tempFolder } from '../support/temp-folder.ts';

interface Said {
  code: number;
  out: string;
  notes: string;
}

function commandOn(path: string | undefined): (...args: string[]) => Promise<Said> {
  return async (...args) => {
    const said = { out: '', notes: '' };
    const code = await keysCommand(
      args,
      path,
      { write: (text) => (said.out += text) },
      { write: (text) => (said.notes += text) },
    );
    return { code, ...said };
  };
}

function pathIn(t: TestContext): string {
  return join(tempFolder(t), 'new folder', 'keys.json');
}

test('a new secret is shown once, on stdout only, and only its digest is kept, in a file that only its owner can read', async (t) => {
  const path = pathIn(t);
  const keys = commandOn(path);
  const made = await keys('create', 'shop', '--scope', 'publish', '--scope=read', '--topic', 'orders.>', '--topic', 'returns', '--rate', '12.5'); // prettier-ignore
  assert.equal(made.code, 0, made.notes);
  assert.match(made.out, /^cw_[\w-]{43}\n$/);
  const secret = made.out.trim();
  assert.match(made.notes, /shop · publish read · topics orders\.> returns · 12\.5 events\/s, burst 12 · /);
  const text = readFileSync(path, 'utf8');
  assert.ok(!text.includes(secret) && !made.notes.includes(secret));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const [{ created_at: created, ...record } = {} as KeyRecord] = await readKeyFile(path);
  assert.ok(Math.abs(Date.parse(created!) - Date.now()) < 60_000);
  assert.deepEqual(record, {
    name: 'shop',
    secret_sha256: createHash('sha256').update(secret).digest('hex'),
    scopes: ['publish', 'read'],
    topics: ['orders.>', 'returns'],
    rate_limit: { events_per_second: 12.5, burst: 12 },
  });
  const other = await keys('create', 'operator', '--scope', 'admin');
  assert.notEqual(other.out, made.out);
  assert.equal((await readKeyFile(path)).length, 2);
});

test('keys are listed without their digests, and a revoked one is gone', async (t) => {
  const path = pathIn(t);
  const keys = commandOn(path);
  await keys('create', 'shop', '--scope', 'publish');
  await keys('create', 'web', '--scope', 'read', '--rate', '5', '--burst', '100');
  const { out } = await keys('list');
  assert.match(out, /^shop · publish · every topic · no rate limit · \S+\nweb · read · every topic · 5 events\/s, burst 100 · \S+\n$/); // prettier-ignore
  const listed = JSON.parse((await keys('list', '--json')).out) as KeyRecord[];
  assert.deepEqual(listed.map(({ name }) => name), ['shop', 'web']); // prettier-ignore
  assert.ok(listed.every((key) => !('secret_sha256' in key)));
  assert.equal((await keys('revoke', 'shop')).code, 0);
  assert.deepEqual((await readKeyFile(path)).map(({ name }) => name), ['web']); // prettier-ignore
  await keys('revoke', 'web');
  assert.match((await keys('list')).out, /refuses everyone/);
});

test('a command that cannot be carried out says so in one line and leaves the file unchanged', async (t) => {
  const path = pathIn(t);
  const keys = commandOn(path);
  await keys('create', 'shop', '--scope', 'publish');
  const before = readFileSync(path, 'utf8');
  const refused: [args: string[], code: number, said: RegExp][] = [
    [['create', 'shop', '--scope', 'read'], 1, /a key named shop already exists/],
    [['create', 'a b', '--scope', 'read'], 1, /\/keys\/1\/name takes 1 to 64 letters/],
    [['create', 'x', '--scope', 'read', '--topic', 'a.>.b'], 1, /topics\/0 .*last word/],
    [['create', 'x', '--scope', 'admin', '--topic', 'a'], 1, /admin.*cannot have topics/],
    [['revoke', 'nobody'], 1, /there is no key named nobody/],
    [['create', 'x'], 2, /required option '--scope <scope>' not specified/],
    [['create', '--scope', 'read'], 2, /missing required argument 'name'/],
    [
      ['create', 'x', '--scope', 'write'],
      2,
      /--scope takes one of publish, read, admin, inspect, not "write"/,
    ],
    [['create', 'x', '--scope', 'read', '--rate', '0'], 2, /a number above 0/],
    [['create', 'x', '--scope', 'read', '--rate', '1', '--burst', '1.5'], 2, /whole number/],
    [['create', 'x', '--scope', 'read', '--burst', '1'], 2, /needs --rate/],
    [['create', 'x', 'y', '--scope', 'read'], 2, /too many arguments/],
    [['list', 'shop'], 2, /too many arguments/],
    [['list', '--topic', 'x'], 2, /unknown option '--topic'/],
    [['revoke', 'shop', '--json'], 2, /unknown option '--json'/],
    [['frob'], 2, /unknown command 'frob'/],
    [['create', 'x', '--scope', 'read', '--what'], 2, /unknown option '--what'/],
  ];
  for (const [args, code, said] of refused) {
    const answer = await keys(...args);
    assert.equal(answer.code, code, args.join(' '));
    assert.match(answer.notes, said);
    assert.match(answer.notes, /^keys: [^\n]+\n$/);
    assert.equal(answer.out, '');
  }
  assert.equal(readFileSync(path, 'utf8'), before);
  assert.ok(!existsSync(`${path}.new`));
  assert.match((await commandOn(undefined)('list')).notes, /API_KEYS_FILE/);
  assert.match(
    (await commandOn(join(path, 'x'))('create', 'x', '--scope', 'read')).notes,
    /cannot be written/,
  );
});

test('of two simultaneous changes the second is refused with the reason', async (t) => {
  const path = pathIn(t);
  const keys = commandOn(path);
  mkdirSync(dirname(path));
  writeFileSync(`${path}.new`, '');
  const { code, notes } = await keys('create', 'shop', '--scope', 'publish');
  assert.equal(code, 1);
  assert.match(notes, /keys\.json\.new exists: another change is under way/);
  assert.ok(existsSync(`${path}.new`) && !existsSync(path));
});

test('a file that does not hold keys is refused with the fault and its place', async (t) => {
  const path = pathIn(t);
  mkdirSync(dirname(path));
  const key = { name: 'shop', secret_sha256: 'a'.repeat(64), scopes: ['read'] };
  const wrong: [text: string | Uint8Array, said: RegExp][] = [
    ['', /are not JSON: the file is empty$/],
    ['\ufeff\n', /are not JSON: the file is empty$/],
    ['{"keys":', /not JSON: .*byte 8/],
    ['{\n"keys": x}', /not JSON: .*byte 10/],
    ['{"keys":[]}\n{}', /not JSON: .*the end of the file/],
    ['{"keys":[],"keys":[]}', /not JSON: the name "keys" appears twice/],
    [JSON.stringify({ keys: [{ ...key, topics: ['a'] }] }).replace(']}', '],"topics":["b"]}'), /"topics" appears twice/], // prettier-ignore
    [Buffer.from('\ufeff{"keys":[]}', 'utf16le'), /cannot be read: the file is UTF-16: save it as UTF-8$/],
    [
      Buffer.from('{"keys":[]}', 'utf16le'),
      /cannot be read: the file has NUL bytes, as UTF-16 has: save it as UTF-8$/,
    ],
    [
      Buffer.from('{\n"größe":1}', 'latin1'),
      /cannot be read: the file is not UTF-8 in line 2: save it as UTF-8$/,
    ],
    ['[]', /the whole must be object/],
    ['{}', /required property 'keys'/],
    [JSON.stringify({ keys: [], more: 1 }), /additional properties "more"/],
    [JSON.stringify({ keys: [{ ...key, topic: 'x' }] }), /\/keys\/0 .*"topic"/],
    [JSON.stringify({ keys: [{ ...key, secret_sha256: 'A'.repeat(64) }] }), /\/keys\/0\/secret_sha256 takes the SHA-256/], // prettier-ignore
    [JSON.stringify({ keys: [{ ...key, scopes: [] }] }), /\/keys\/0\/scopes/],
    [
      JSON.stringify({ keys: [{ ...key, scopes: ['write'] }] }),
      /\/keys\/0\/scopes\/0 .*publish, read, admin, inspect/,
    ],
    [JSON.stringify({ keys: [{ ...key, topics: [] }] }), /\/keys\/0\/topics/],
    [JSON.stringify({ keys: [{ ...key, topics: ['ok', ''] }] }), /\/keys\/0\/topics\/1 must not be empty/],
    [JSON.stringify({ keys: [{ ...key, rate_limit: { events_per_second: 1 } }] }), /burst/],
    [JSON.stringify({ keys: [key, { ...key, name: 'web' }] }), /web has the secret of another key/],
    [JSON.stringify({ keys: [key, { ...key, secret_sha256: 'b'.repeat(64) }] }), /two keys are named shop/],
  ];
  for (const [text, said] of wrong) {
    writeFileSync(path, text);
    await assert.rejects(readKeyFile(path), (error) => {
      assert.ok(error instanceof KeyFileError);
      assert.match(error.message, said);
      assert.ok(error.message.includes(path) && !error.message.includes('\n'), error.message);
      return true;
    });
  }
  await assert.rejects(readKeyFile(`${path}.none`), /the keys in .*\.none cannot be read: ENOENT/);
  await assert.rejects(readKeyFile(dirname(path)), /the keys in .* cannot be read: EISDIR/);
  await assert.rejects(readKeyFile('/dev/null'), /the file is empty/);
  writeFileSync(path, `\ufeff${JSON.stringify({ keys: [key] })}\r\n`);
  assert.deepEqual(await readKeyFile(path), [key], 'a byte order mark is ignored');
});
