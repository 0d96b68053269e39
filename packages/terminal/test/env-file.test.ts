import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseEnv } from 'node:util';
import { EnvFileError, parseEnvFile, readEnvFile } from '../src/env-file.ts';

const SETTINGS = ['APP_PORT', 'HOST', 'API_KEYS_FILE', 'CORS_ORIGINS', 'LOG_LEVEL'];

function parse(text: string): Record<string, string> {
  return Object.fromEntries(parseEnvFile(text, SETTINGS));
}

function fileWith(t: TestContext, bytes: string | Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'env-file-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, '.env'), bytes);
  return join(folder, '.env');
}

const KEYS = { API_KEYS_FILE: 'keys.json', HOST: '0.0.0.0' };

test('the same variables are read however an editor has saved them', (t) => {
  const text = 'API_KEYS_FILE=keys.json\nHOST=0.0.0.0\n';
  for (const bytes of [
    text,
    `\ufeff${text}`,
    `\ufeff# keys\n\ufeff${text}`,
    text.replaceAll('\n', '\r\n'),
    text.replaceAll('\n', '\r'),
    text.trimEnd(),
    `\n\n  # a comment = none\n\t\n${text}`,
  ]) {
    const env = {};
    readEnvFile(SETTINGS, env, fileWith(t, bytes));
    assert.deepEqual(env, KEYS, JSON.stringify(bytes));
  }
});

test('a line is read as intended', () => {
  for (const [line, value] of [
    ['HOST=::1', '::1'],
    ['HOST =  ::1\t', '::1'],
    ['  export HOST=::1', '::1'],
    ['export\tHOST=::1', '::1'],
    ['HOST="::1"', '::1'],
    ["HOST='::1' # this machine", '::1'],
    ['HOST = `::1`', '::1'],
    ['HOST=::1 # this machine', '::1'],
    ['HOST=::1#x', '::1#x'],
    ['HOST=#x', '#x'],
    ['HOST=', ''],
    ['HOST= ', ''],
    ['HOST= # none', ''],
    ['HOST=""', ''],
    ['HOST=a=b', 'a=b'],
    ['HOST=a"b"', 'a"b"'],
    ['HOST="a\\nb"', 'a\nb'],
    ["HOST='a\\nb'", 'a\\nb'],
    ['HOST="a\\"b"', 'a"b'],
    ['HOST="a\nb"', 'a\nb'],
    ['HOST=$HOME', '$HOME'],
  ] as const) {
    assert.deepEqual(parse(`${line}\nLOG_LEVEL=debug`), { HOST: value, LOG_LEVEL: 'debug' }, line);
  }
});

test('whatever Node.js reads without loss is read the same way', () => {
  const text =
    'A=1\nB = two words \nC="quoted # no comment"\nD=\'single\'\nE=x # comment\nexport F=1\n\nG="a\nb"\nH=\n';
  assert.deepEqual(parse(text), { ...parseEnv(text), B: 'two words' });
});

test('a line that would be lost is refused in one line, with its number and without its text', () => {
  for (const [text, fault] of [
    ['secret\nHOST=::1', 'line 1: this is neither NAME=VALUE nor a comment (#)'],
    ['# c\n\nHOST: ::1', 'line 3: this is neither NAME=VALUE nor a comment (#)'],
    ['=x', 'line 1: this is neither NAME=VALUE nor a comment (#)'],
    ['set HOST=x', 'line 1: this is neither NAME=VALUE nor a comment (#)'],
    ['\u00a0HOST=x', 'line 1: this is neither NAME=VALUE nor a comment (#); it has a U+00A0'],
    ['HO\u200bST=x', 'line 1: this is neither NAME=VALUE nor a comment (#); it has a U+200B'],
    ['HOST="secret\nLOG_LEVEL=info', 'line 1: HOST begins with " and nothing ends it'],
    ['A="secret\nAPI_KEYS_FILE="keys.json"', 'line 1: A begins with " and nothing ends it'],
    ["A='secret\nexport API_KEYS_FILE=keys.json\nB='", "line 1: A begins with ' and nothing ends it"],
    ['A="secret\nB="\nHOST="x"y', 'line 3: something follows the value of HOST and its "'],
    ["HOST='it''s'", "line 1: something follows the value of HOST and its '"],
    ['HOST=a\nLOG_LEVEL=info\nHOST=b', 'line 3: HOST is set in line 1 already: keep one of the two'],
    ['HOST=a\nHOST=a', 'line 2: HOST is set in line 1 already: keep one of the two'],
    ['NODE_EXTRA_CA_CERTS=ca.pem', 'line 1: NODE_EXTRA_CA_CERTS has no effect in a file: Node.js wants it in the environment when it starts'], // prettier-ignore
  ] as const) {
    assert.throws(() => parse(text), new EnvFileError(`.env, ${fault}`), text);
  }
  assert.deepEqual(parse('OTHER=1\nOTHER=2'), { OTHER: '2' }, 'a variable of another program');
});

test('a name similar to a setting is refused, unless that setting is present as well', () => {
  for (const [name, setting] of [
    ['APIKEYS_FILE', 'API_KEYS_FILE'],
    ['API_KEY_FILE', 'API_KEYS_FILE'],
    ['API_KEYS_FIEL', 'API_KEYS_FILE'],
    ['api_keys_file', 'API_KEYS_FILE'],
    ['API-KEYS-FILE', 'API_KEYS_FILE'],
    ['API_KEYS_FILEX', 'API_KEYS_FILE'],
    ['XAPI_KEYS_FILE', 'API_KEYS_FILE'],
    ['API_KEYS_FILLE', 'API_KEYS_FILE'],
    ['API_KEYZ_FILE', 'API_KEYS_FILE'],
    ['CORS_ORIGIN', 'CORS_ORIGINS'],
    ['host', 'HOST'],
  ] as const) {
    const message = `.env, line 2: there is no setting ${name}: write ${setting} if you mean that, or add the line ${setting}= if you do not`;
    assert.throws(() => parse(`A=1\n${name}=x`), new EnvFileError(message));
    assert.equal(parse(`${setting}=\n${name}=x`)[name], 'x');
    assert.equal(parseEnvFile(`${name}=x`, SETTINGS, { [setting]: 'y' }).get(name), 'x');
  }
  const others = {
    PORT: '1',
    HOSTS: '1',
    GHOST: '1',
    API_KEY: '1',
    SSL_CERT_FILE: '1',
    KEYS_FILE: '1',
    DB: '1',
  };
  assert.deepEqual(parse(Object.entries(others).map((one) => one.join('=')).join('\n')), others); // prettier-ignore
});

test('the environment wins over the file, except for empty variables', (t) => {
  const env = { HOST: 'given', API_KEYS_FILE: '' };
  readEnvFile(SETTINGS, env, fileWith(t, 'HOST=a\nAPI_KEYS_FILE=keys.json\nOTHER=b\n'));
  assert.deepEqual(env, { HOST: 'given', API_KEYS_FILE: 'keys.json', OTHER: 'b' });
});

test('an unreadable file is refused with its path, and a missing one is ignored', (t) => {
  const path = fileWith(t, Buffer.from('\ufeffHOST=::1\n', 'utf16le'));
  const env = {};
  const refused = (message: string | RegExp): void =>
    assert.throws(() => readEnvFile(SETTINGS, env, path), { name: 'EnvFileError', message });
  refused(`${path} is UTF-16: save it as UTF-8`);
  writeFileSync(path, 'HOST=::1\n# gr\xf6\xdfe', 'latin1');
  refused(`${path} is not UTF-8 in line 2: save it as UTF-8`);
  rmSync(path);
  readEnvFile(SETTINGS, env, path);
  symlinkSync('nowhere', path);
  refused(/\.env cannot be read: ENOENT/);
  rmSync(path);
  mkdirSync(path);
  refused(/\.env cannot be read: EISDIR/);
  assert.deepEqual(env, {});
});
