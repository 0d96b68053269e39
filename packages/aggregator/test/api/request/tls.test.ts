import assert from 'node:assert/strict';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { startAggregator } from '../../../src/aggregator.ts';
import { readTlsIdentity } from '../../../src/api/request/tls.ts';
import { ConfigError, readConfig } from '../../../src/config.ts';
import { selfSigned } from '../../support/certificate.ts';
import { tempFolder } from '../../support/temp-folder.ts';

/** A certificate and its key, as files in their own folder. */
function filesIn(t: TestContext, validTo?: Date): { folder: string; certFile: string; keyFile: string } {
  const folder = tempFolder(t);
  const { cert, key } = selfSigned(validTo);
  const certFile = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  return { folder, certFile, keyFile };
}

test('a certificate needs its key, and a key its certificate', () => {
  for (const [given, missing] of [
    ['CERT', 'KEY'],
    ['KEY', 'CERT'],
  ]) {
    assert.throws(
      () => readConfig({ [`TLS_${given}_FILE`]: 'x.pem', [`TLS_${missing}_FILE`]: '' }),
      new ConfigError(`TLS_${given}_FILE is set and TLS_${missing}_FILE is not; HTTPS takes both`),
    );
  }
});

test('an unusable certificate or key is refused with its variable, its file and the fault', async (t) => {
  const { folder, certFile, keyFile } = filesIn(t);
  const other = join(folder, 'other.pem');
  writeFileSync(other, selfSigned().key);
  mkdirSync(join(folder, 'folder'));
  const locked = join(folder, 'locked.pem');
  const cipher = { cipher: 'aes-256-cbc', passphrase: 'secret', format: 'pem', type: 'pkcs8' } as const;
  writeFileSync(locked, createPrivateKey(readFileSync(keyFile)).export(cipher));
  const der = join(folder, 'cert.der');
  writeFileSync(der, new X509Certificate(readFileSync(certFile)).raw);
  const utf16 = join(folder, 'utf16.pem');
  writeFileSync(utf16, `\ufeff${readFileSync(certFile, 'utf8')}`, 'utf16le');
  for (const [files, said] of [
    [{ certFile: join(folder, 'none.pem'), keyFile }, /^TLS_CERT_FILE \S+none\.pem cannot be read: ENOENT/],
    [{ certFile, keyFile: join(folder, 'folder') }, /^TLS_KEY_FILE \S+folder cannot be read: EISDIR/],
    [
      { certFile: keyFile, keyFile: certFile },
      /^TLS_CERT_FILE \S+key\.pem is not a certificate in PEM, but has PRIVATE KEY:/,
    ],
    [
      { certFile, keyFile: certFile },
      /^TLS_KEY_FILE \S+cert\.pem is not a private key in PEM without a passphrase, but has CERTIFICATE:/,
    ],
    [
      { certFile, keyFile: locked },
      /^TLS_KEY_FILE \S+locked\.pem is not .* without a passphrase, but has ENCRYPTED PRIVATE KEY:/,
    ],
    [
      { certFile: '/dev/null', keyFile },
      /^TLS_CERT_FILE \/dev\/null is not a certificate in PEM, but has no PEM in it:/,
    ],
    [{ certFile: der, keyFile }, /^TLS_CERT_FILE \S+cert\.der, which has no PEM in it, cannot be served:/],
    [{ certFile: utf16, keyFile }, /^TLS_CERT_FILE \S+utf16\.pem is UTF-16: save it as UTF-8$/],
    [{ certFile, keyFile: other }, /^TLS_KEY_FILE \S+other\.pem is not the key of the certificate in TLS_CERT_FILE \S+cert\.pem$/], // prettier-ignore
  ] as const) {
    await assert.rejects(readTlsIdentity(files), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, said);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
  }
  assert.ok((await readTlsIdentity({ certFile, keyFile })).validTo.getTime() > Date.now());
});

test("after a byte order mark the first certificate is still the server's own", async (t) => {
  const { certFile, keyFile } = filesIn(t);
  const chain = readFileSync(certFile, 'utf8') + selfSigned().cert;
  writeFileSync(certFile, `\ufeff${chain.replaceAll('\n', '\r\n')}`);
  writeFileSync(keyFile, `\ufeff${readFileSync(keyFile, 'utf8')}`);
  const { cert, key } = await readTlsIdentity({ certFile, keyFile });
  assert.ok(new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)));
  for (const pem of [cert, key]) assert.match(pem.toString(), /^-----BEGIN/);
});

test('the log warns of open access without keys, of pages that may use it, of keys without TLS, and of an expired certificate', async (t) => {
  const { folder, certFile, keyFile } = filesIn(t);
  const old = filesIn(t, new Date(Date.now() - 1000));
  const keys = join(folder, 'keys.json');
  writeFileSync(keys, '{"keys":[]}');
  const open = { HOST: '0.0.0.0' };
  const tls = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
  const cases: [env: Record<string, string>, warnings: RegExp[]][] = [
    [{}, []],
    [{ HOST: 'localhost', API_KEYS_FILE: keys }, []],
    [open, [/anybody who can reach this address .*API_KEYS_FILE.*HOST=127\.0\.0\.1/]],
    [{ CORS_ORIGINS: '*' }, [/any web page opened .*CORS_ORIGINS.*API_KEYS_FILE/]],
    [{ CORS_ORIGINS: '*', API_KEYS_FILE: keys }, []],
    [{ ...open, API_KEYS_FILE: keys }, [/unencrypted.*TLS_CERT_FILE/]],
    [{ ...open, ...tls, API_KEYS_FILE: keys }, []],
    [{ TLS_CERT_FILE: old.certFile, TLS_KEY_FILE: old.keyFile }, [/has expired/]],
  ];
  for (const [env, warnings] of cases) {
    const config = readConfig({ APP_PORT: '0', DEDUPLICATION_DB_PATH: join(folder, 'events.db'), ...env });
    const said: string[] = [];
    const log = pino(
      { level: 'warn' },
      { write: (line) => said.push((JSON.parse(line) as { msg: string }).msg) },
    );
    await (await startAggregator(config, log)).close();
    assert.equal(said.length, warnings.length, said.join('\n'));
    for (const [i, warning] of warnings.entries()) assert.match(said[i]!, warning);
  }
});
