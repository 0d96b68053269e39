import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { PostgresOptions } from '../../../src/store/postgres/parts.ts';
import { PostgresStore } from '../../../src/store/postgres/store.ts';
import { batchOf, eventWith } from '../../support/events.ts';
import { beside, newLog, refusalToOpen, sharedServer } from '../../support/postgres-server.ts';

// Databases that must not, or cannot, hold a log. What needs a server of its own is in tests/faults/postgres-start.test.ts.

const LOSSY: PostgresOptions = { allowsLoss: true };

/** A role without rights; returns the address of a log with it. */
async function roleFor(t: TestContext, address: string): Promise<{ role: string; address: string }> {
  const client = await beside(t, address);
  const role = new URL(address).searchParams.get('schema')!.replace('log', 'role');
  await client.query(`CREATE ROLE ${role} LOGIN`);
  return { role, address: address.replace('user=postgres', `user=${role}`) };
}

test('a role that lacks a right is told which, on a new schema and on one that others made', async (t) => {
  const log = await newLog();
  const { role, address } = await roleFor(t, log);
  const client = await beside(t, log);
  const { schema } = Object.fromEntries(new URL(log).searchParams) as { schema: string };
  assert.match(await refusalToOpen(address), /permission denied for database postgres; let the user CREATE/);
  await (await PostgresStore.open(log, undefined, LOSSY)).close();
  assert.match(
    await refusalToOpen(address),
    /lacks a right in the schema \w+: USAGE on the schema; GRANT USAGE/,
  );
  await client.query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`);
  assert.match(
    await refusalToOpen(address),
    /lacks a right in the schema \w+: (SELECT|INSERT|UPDATE|DELETE) on \w+; GRANT/,
  );
  await client.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`);
  await client.query(`REVOKE INSERT ON ${schema}.key FROM ${role}`);
  assert.match(await refusalToOpen(address), /: INSERT on key; /);
  await client.query(`GRANT INSERT ON ${schema}.key TO ${role}`);
  const store = await PostgresStore.open(address, undefined, LOSSY);
  const [result] = await store.append([batchOf(eventWith())]);
  assert.equal(result!.accepted, 1);
  await store.close();
});

test('a database that is not UTF8 is refused', async (t) => {
  const log = await newLog();
  const client = await beside(t, log);
  const name = new URL(log).searchParams.get('schema')!;
  await client.query(`CREATE DATABASE ${name} ENCODING 'LATIN1' TEMPLATE template0`);
  assert.match(
    await refusalToOpen(log.replace('/postgres?', `/${name}?`)),
    /the database has the encoding LATIN1: make one with UTF8/,
  );
});

test('a server that is too old is refused', async (t) => {
  const { folder } = await sharedServer();
  const client = await beside(t, await newLog());
  const { rows } = await client.query<{ version: string }>(
    "SELECT current_setting('server_version') AS version",
  );
  const version = rows[0]!.version.split(' ', 1)[0]!;
  // The same server, which says that it is an older one.
  const port = await rewriting(t, `${folder}/.s.PGSQL.5432`, version, version.replace(/^\d+/, '14'));
  assert.match(
    await refusalToOpen(`postgres://postgres@127.0.0.1:${port}/postgres`),
    /^this server is PostgreSQL 14\.\d+.*: take 15 or newer$/,
  );
});

test('an address that would be misunderstood is refused', async () => {
  for (const [rest, says] of [
    ['h:5432/d?sslmod=require', /sslmod, which is not known: it takes schema, sslmode/],
    ['h:5432/d?sslmode=prefer', /sslmode is "prefer": it takes disable, require/],
    ['h:5432/d?sslmode=verify-ca', /sslmode=verify-ca needs the authority to trust/],
    ['h:5432/d?sslmode=disable&sslrootcert=x', /sslrootcert and no sslmode that uses it/],
    ['a:1,b:2x/d', /the form postgres:/],
    ['a,,b/d', /a host without a name/],
    ['a,b/d?port=1,2,3', /more ports than hosts, or fewer/],
    ['a:1,b:2/d?host=a,b,c', /more ports than hosts, or fewer/],
    ['a,b/d?target_session_attrs=any', /target_session_attrs is "any": it takes read-write/],
    ['a,u:12/hidden@h/d', /write \/ as %2F|the form postgres:/],
    ['u:12/hidden@h/d', /write \/ as %2F/],
    ['u:12#hidden@h/d', /# as %23/],
    ['u:12?hidden@h/d', /one of its parameters, which is not known/],
  ] as const) {
    const message = await refusalToOpen(`postgres://${rest}`);
    assert.match(message, says);
    assert.ok(!message.includes('hidden'), message);
  }
});

test('TLS that is asked for and not there is not done without', async () => {
  const { folder } = await sharedServer();
  assert.match(
    await refusalToOpen(`postgres://postgres@localhost/postgres?host=${folder}&sslmode=require`),
    /does not support SSL connections; switch TLS on there \(ssl = on\), or take sslmode=disable/,
  );
});

test('a server that cannot be reached is named, with what to look after', async () => {
  assert.match(await refusalToOpen('postgres://u@localhost:1/d'), /ECONNREFUSED.*; look after host and port/);
  assert.match(
    await refusalToOpen('postgres://u@localhost/d?host=/no/such/folder'),
    /ENOENT.*; the address names a file or socket that is not there/,
  );
});

test('where no host of several can hold the log, each is named with what it said, without the password', async () => {
  const refused =
    /^postgres:\/\/localhost:1,\[::1\]:2\/d: localhost:1: .*ECONNREFUSED.*; \[::1\]:2: .*; look after host/;
  const message = await refusalToOpen(
    'postgres://u:hidden@localhost:1,[::1]:2/d?target_session_attrs=read-write',
  );
  assert.match(message, refused);
  assert.ok(!message.includes('hidden'), message);
  assert.equal(message.split('look after').length, 2, message);
  assert.match(
    await refusalToOpen('postgres://u@x/d?host=/no/such,/nor/this&port=3,4'),
    /\/no\/such:3: .*ENOENT.*\/nor\/this:4: /,
  );
});

test('a refusal of a host itself is not asked of another one, as in libpq', async () => {
  const { folder } = await sharedServer();
  const message = await refusalToOpen(`postgres://nobody@x/d?host=/no/such,${folder},/nor/this`);
  assert.match(message, /ENOENT/);
  assert.match(message, /role "nobody" does not exist/);
  assert.ok(!message.includes('/nor/this: '), message);
});

/** Passes everything on to the server, and has it say one text in place of another that is as long. */
async function rewriting(t: TestContext, socket: string, from: string, to: string): Promise<number> {
  assert.equal(from.length, to.length);
  const server = createServer((near) => {
    const far = connect(socket);
    near.pipe(far);
    far.on('data', (bytes) => near.write(bytes.toString('latin1').replaceAll(from, to), 'latin1'));
    far.on('close', () => near.destroy());
    near.on('close', () => far.destroy());
    for (const one of [near, far]) one.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}
