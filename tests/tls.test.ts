import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { get as getByHttps } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type AggregatorProcess, LEVEL, type Settings, Site } from '../lab/aggregator-process.ts';
import { type Identity, selfSigned } from '../packages/aggregator/test/support/certificate.ts';
import { until } from '../lab/program.ts';
import { pathOf } from '../lab/repository.ts';

const TIMEOUT = { timeout: 60_000 };

/** A site with an identity in its folder, and the settings that name it. */
function siteWith(
  t: TestContext,
  { cert, key }: Identity,
): { site: Site; tls: Settings; certFile: string; keyFile: string } {
  const site = new Site(t);
  const certFile = join(site.folder, 'cert.pem');
  const keyFile = join(site.folder, 'key.pem');
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  return { site, certFile, keyFile, tls: { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } };
}

/** The answer to a client that trusts only this certificate. */
function get(url: string, ca: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = getByHttps(url, { ca, agent: false, timeout: 15_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => resolve({ status: response.statusCode!, text }));
    });
    request.on('error', reject);
  });
}

async function hangUp(server: AggregatorProcess, level: number): Promise<void> {
  const before = server.logs.length;
  server.program.signal('SIGHUP');
  await until(
    () => `what SIGHUP did\n${server.program.printed()}`,
    () => server.logs.slice(before).some((line) => line.level === level),
  );
}

test(
  'with a certificate it serves HTTPS, adopts a new one on SIGHUP, and keeps it if the next one is invalid [SYS-8]',
  TIMEOUT,
  async (t) => {
    const first = selfSigned();
    const second = selfSigned();
    const { site, tls, certFile, keyFile } = siteWith(t, first);
    const server = await site.start({ settings: tls });
    assert.match(server.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    assert.deepEqual(await get(`${server.url}/health`, first.cert), {
      status: 200,
      text: '{"message":"healthy"}',
    });
    await assert.rejects(get(`${server.url}/health`, second.cert), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });

    writeFileSync(certFile, second.cert);
    writeFileSync(keyFile, second.key);
    await hangUp(server, LEVEL.info);
    assert.equal((await get(`${server.url}/health`, second.cert)).status, 200);
    await assert.rejects(get(`${server.url}/health`, first.cert));

    writeFileSync(keyFile, first.key);
    await hangUp(server, LEVEL.error);
    assert.equal((await get(`${server.url}/health`, second.cert)).status, 200);
    await server.stop();
  },
);

test(
  'a client that does not speak TLS is disconnected at once, and others are served meanwhile [SYS-8]',
  TIMEOUT,
  async (t) => {
    const identity = selfSigned();
    const { site, tls } = siteWith(t, identity);
    const server = await site.start({ settings: tls });
    for (const bytes of ['GET /health HTTP/1.1\r\nhost: x\r\n\r\n', '\u0016\u0003\u0001\u0000\u0005hello']) {
      await new Promise<void>((resolve, reject) => {
        const socket = connect(server.port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
        socket.setTimeout(60_000, () => socket.destroy(new Error('the connection was left open')));
        socket.on('error', (error) =>
          'code' in error && error.code === 'ECONNRESET' ? resolve() : reject(error),
        );
        socket.on('close', () => resolve()).resume();
      });
    }
    assert.equal((await get(`${server.url}/health`, identity.cert)).status, 200);
    await server.stop();
  },
);

test('a certificate that cannot be served refuses the start in one line', TIMEOUT, async (t) => {
  const { site, tls } = siteWith(t, selfSigned());
  const program = await site.fail({ settings: { ...tls, TLS_KEY_FILE: join(site.folder, 'none.pem') } });
  assert.equal((await program.exited).code, 1, program.printed());
  assert.match(program.stderr, /^chronicleweaver: TLS_KEY_FILE \S+none\.pem cannot be read: ENOENT[^\n]+\n$/);
});

test('the publisher passes over HTTPS with a key, if it trusts the certificate', TIMEOUT, async (t) => {
  const { site, tls, certFile } = siteWith(t, selfSigned());
  const keys = join(site.folder, 'keys.json');
  const secret = 'a secret of this test';
  const digest = createHash('sha256').update(secret.replaceAll(' ', '-')).digest('hex');
  writeFileSync(keys, JSON.stringify({ keys: [{ name: 'stress', secret_sha256: digest, scopes: ['publish', 'read'] }] })); // prettier-ignore
  const server = await site.start({ settings: { ...tls, API_KEYS_FILE: keys } });
  const publisher = (...args: string[]) =>
    site.run(
      [
        process.execPath,
        pathOf('packages/publisher/src/main.ts'),
        `--url=${server.url}`,
        '--count=500',
        '--json',
        ...args,
      ],
      { NODE_EXTRA_CA_CERTS: certFile, API_KEY: secret.replaceAll(' ', '-') },
    );
  const passed = publisher();
  assert.equal((await passed.exit(60_000)).code, 0, passed.printed());
  assert.equal((JSON.parse(passed.stdout) as { outcome: string }).outcome, 'PASS');
  assert.ok(!passed.printed().includes('a-secret'));
  const refused = publisher('--key=wrong');
  assert.equal((await refused.exit(60_000)).code, 1);
  assert.match(refused.stdout, /unauthorized|not in force/);
});
