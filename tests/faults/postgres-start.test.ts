import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, after, before, test } from 'node:test';
import { Site } from '../../lab/aggregator-process.ts';
import { PostgresServer } from '../../lab/postgres-server.ts';
import { selfSigned } from '../../packages/aggregator/test/support/certificate.ts';
import { beside } from '../../packages/aggregator/test/support/postgres-server.ts';

// What an operator may get wrong about the database: each start ends at once, with one line that says what to do.

const PASSWORD = 'pass-w0rd-of-a-test';
const TIMEOUT = { timeout: 120_000 };

let server: PostgresServer;
const { cert, key } = selfSigned();

before(async () => {
  server = await PostgresServer.start({ listens: true });
  const client = await beside({ after: () => {} }, server.address());
  await client.query(`SET password_encryption = 'scram-sha-256'`);
  await client.query(`CREATE ROLE writer LOGIN PASSWORD '${PASSWORD}'; CREATE ROLE plain LOGIN`);
  await client.query('GRANT CREATE ON DATABASE postgres TO writer');
  await client.end();
  const hba = ['local all all trust', 'hostssl all writer 127.0.0.1/32 scram-sha-256', 'host all plain 127.0.0.1/32 trust']; // prettier-ignore
  writeFileSync(join(server.folder, 'data/pg_hba.conf'), hba.map((line) => `${line}\n`).join(''));
  await server.stop('fast');
  server.settings['ssl'] = 'on';
  server.settings['ssl_cert_file'] = server.write('server.pem', cert);
  server.settings['ssl_key_file'] = server.write('server.key', key);
  await server.start();
});
after(() => server.close());

/** What a start with this address prints as it gives up, without what names the setting. */
async function complaint(t: TestContext, address: string): Promise<string> {
  const program = await new Site(t).fail({ settings: { STORE_URL: address } });
  assert.equal((await program.exited).code, 1, program.printed());
  assert.equal(program.stdout, '', 'nothing is logged');
  const [, said] = /^chronicleweaver: STORE_URL: (.+)\n$/.exec(program.stderr) ?? [];
  assert.ok(said !== undefined, `not one line: ${program.stderr}`);
  assert.ok(!program.printed().includes(PASSWORD), said);
  return said;
}

/** Starts with this address, publishes, and stops. */
async function works(t: TestContext, address: string): Promise<void> {
  const aggregator = await new Site(t).start({ settings: { STORE_URL: address } });
  const event = { event_id: '1', topic: 't', source: 's', payload: {}, timestamp: '2025-10-28T10:00:00Z' };
  assert.equal((await aggregator.publish(event)).results!.length, 1);
  assert.ok(!JSON.stringify([await aggregator.stats(), aggregator.logs]).includes(PASSWORD));
  await aggregator.stop();
  assert.ok(!aggregator.program.printed().includes(PASSWORD));
}

const at = (user: string, rest = '') => `postgres://${user}@127.0.0.1:${server.port}/postgres${rest}`;

test('TLS: a certificate that is trusted and names the server is taken, and no other', TIMEOUT, async (t) => {
  const writer = `writer:${PASSWORD}`;
  const folder = new Site(t).folder;
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const ca = file('ca.pem', cert);
  const otherCa = file('other.pem', selfSigned().cert);
  await works(t, at(writer, `?sslmode=verify-full&sslrootcert=${ca}&schema=tls`));
  await works(t, at(writer, '?sslmode=require&schema=tls'));
  await works(t, at(writer, `?sslmode=verify-ca&sslrootcert=${ca}&schema=tls`));
  for (const [rest, says] of [
    ['?sslmode=verify-full', /self.signed certificate.*; name the file of its authority with sslrootcert=/],
    [`?sslmode=verify-full&sslrootcert=${otherCa}`, /certificate.*; name the file of its authority/],
    [`?sslmode=verify-full&sslrootcert=${folder}/missing.pem`, /no such file.*missing\.pem/],
    [`?sslmode=verify-full&sslrootcert=${file('no.pem', 'no')}`, /certificate|PEM/],
    ['?sslmode=verify-ca', /sslmode=verify-ca needs the authority to trust/],
    ['?sslmode=prefer', /sslmode is "prefer": it takes disable, require, verify-ca, verify-full/],
    [`?sslrootcert=${ca}`, /sslrootcert and no sslmode that uses it/],
    ['?sslmod=require', /sslmod, which is not known: it takes schema, sslmode,/],
    ['', /no pg_hba\.conf entry .*no encryption; look after user and password in the address, and pg_hba/],
  ] as const) {
    assert.match(await complaint(t, at(writer, rest)), says);
  }
});

test(
  'a wrong user, password, database, host or port is named, and never the password',
  TIMEOUT,
  async (t) => {
    const writer = `writer:${PASSWORD}`;
    const tls = '?sslmode=require';
    assert.match(await complaint(t, at(`writer:x${PASSWORD}`, tls)), /password authentication failed for user "writer"; look after user and password/); // prettier-ignore
    assert.match(await complaint(t, at('writer', tls)), /the server asks for a password: add one/);
    assert.match(await complaint(t, at(`missing:${PASSWORD}`, tls)), /no pg_hba\.conf entry|does not exist/);
    assert.match(await complaint(t, at(writer, tls).replace('/postgres?', '/missing?')), /database "missing" does not exist; make it with CREATE DATABASE/); // prettier-ignore
    assert.match(await complaint(t, `postgres://${writer}@127.0.0.1:1/postgres`), /ECONNREFUSED.*; look after host and port/); // prettier-ignore
    assert.match(await complaint(t, `postgres://${writer}@localhost:1/postgres`), /ECONNREFUSED.*; look after host and port/); // prettier-ignore
    assert.match(await complaint(t, `postgres://${writer}@no-host.invalid/postgres`), /(ENOTFOUND|EAI_AGAIN).*; look after host and port/); // prettier-ignore
    assert.match(await complaint(t, `postgres://${writer}@localhost/postgres?host=/no/such/folder`), /ENOENT.*; the address names a file or socket that is not there/); // prettier-ignore
    const http = createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
    t.after(() => http.close());
    await new Promise((resolve) => http.once('listening', resolve));
    const { port } = http.address() as AddressInfo;
    assert.match(await complaint(t, `postgres://${writer}@127.0.0.1:${port}/postgres`), /; look after host and port/); // prettier-ignore
  },
);

test(
  'a password with signs that end a part of an address is refused without a word of it',
  TIMEOUT,
  async (t) => {
    for (const sign of ['/', '#', '?']) {
      const line = await complaint(t, at(`writer:12${sign}${PASSWORD}`));
      assert.match(line, /password|is not known/);
    }
  },
);

for (const setting of ['fsync', 'full_page_writes', 'synchronous_commit']) {
  test(`a server with ${setting}=off is refused`, TIMEOUT, async (t) => {
    const lossy = await PostgresServer.start({ settings: { [setting]: 'off' } });
    t.after(() => lossy.close());
    const line = await complaint(t, lossy.address());
    assert.match(
      line,
      new RegExp(`^${setting} is off, so a crash could lose what was acknowledged: set it on$`),
    );
  });
}

test('a role that has synchronous_commit off is refused on a server that has it on', TIMEOUT, async (t) => {
  const client = await beside(t, server.address());
  await client.query('CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET synchronous_commit = off');
  assert.match(await complaint(t, server.address('postgres', 'hasty')), /synchronous_commit is off/);
});

test('a standby that is named as the primary is refused', TIMEOUT, async (t) => {
  const standby = await PostgresServer.start({ settings: { hot_standby: 'on' } });
  t.after(() => standby.close());
  await standby.stop('fast');
  standby.write('data/standby.signal', '');
  await standby.start();
  assert.match(
    await complaint(t, standby.address()),
    /this server is a standby, which only reads; name the primary, or both/,
  );
});
