import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryStore } from '../../aggregator/src/store/memory/store.ts';
import { TestServer } from '../../aggregator/test/support/server.ts';
import { TestSources, signed } from '../../aggregator/test/support/sources.ts';
import { tempFolder } from '../../aggregator/test/support/temp-folder.ts';
import { commandLine, ok } from './support/command-line.ts';

test('sources are set with secrets from files and the environment, listed, shown and deleted', async (t) => {
  const server = await TestServer.startOn(t, () => new MemoryStore());
  const run = (...args: string[]) => commandLine(['sources', ...args, '--url', server.url]);
  const file = join(tempFolder(t), 'secret.txt');
  writeFileSync(file, 'from a file\n');
  process.env['TEST_SOURCE_SECRET'] = 'from the environment';
  t.after(() => delete process.env['TEST_SOURCE_SECRET']);
  const { stdout } = await ok(
    run('set', 'shop', '--kind=generic', '--topic=orders', `--secret-file=${file}`, '--secret-env=TEST_SOURCE_SECRET', '--id=/id', '--signature-header=X-Signed', '--signature-prefix=v='), // prettier-ignore
  );
  assert.equal(
    stdout.replaceAll(/ {2,}/g, ' '),
    'name shop\nkind generic\naddress /in/shop\ntopic orders\nsource shop\nsecrets 2\nmax_age -\nid /id\n' +
      'signature {"header":"x-signed","algorithm":"sha256","encoding":"hex","prefix":"v="}\n',
  );
  const sources = new TestSources(server);
  for (const secret of ['from a file', 'from the environment']) {
    const signature = signed('{"id":1}', secret)['x-signature-256']!.replace('sha256=', 'v=');
    assert.equal((await sources.deliver('shop', '{"id":1}', { 'x-signed': signature })).status, 200);
  }
  const { lines } = await ok(run('list'));
  assert.deepEqual(
    lines.map((line) => line.split(/ {2,}/)),
    [
      ['SOURCE', 'KIND', 'ADDRESS', 'SECRETS', 'TOPIC'],
      ['shop', 'generic', `${server.url}/in/shop`, '2', 'orders'],
    ],
  );
  assert.match((await ok(run('show', 'shop'))).stdout, /^secrets {4}2$/m);
  for (const wrong of ['--secret-file=/none/there', '--secret-env=NOT_SET_HERE']) {
    const ran = await run('set', 'shop', '--kind=generic', '--topic=orders', wrong);
    assert.equal(ran.code, 2, ran.stderr);
    assert.match(ran.stderr, /--secret-\w+ takes .* with a secret in it/);
  }
  assert.equal((await ok(run('delete', 'shop'))).stdout, 'shop is deleted\n');
  assert.match((await run('show', 'shop')).stderr, /404 source_not_found/);
});

test('a collector is set with the fields that tell its records apart', async (t) => {
  const server = await TestServer.startOn(t, () => new MemoryStore());
  const { stdout } = await ok(
    commandLine(['sources', 'set', 'app', '--kind=collector', '--topic=logs', '--digest=host', '--digest=message', '--records=lines', '--url', server.url]), // prettier-ignore
  );
  assert.match(stdout, /digest +host message\nrecords +lines\n/);
});

test('a signature without its header is refused, not left out', async (t) => {
  const server = await TestServer.startOn(t, () => new MemoryStore());
  const ran = await commandLine(['sources', 'set', 'shop', '--kind=generic', '--topic=orders', '--signature-algorithm=sha512', '--url', server.url]); // prettier-ignore
  assert.equal(ran.code, 1, ran.stdout);
  assert.match(ran.stderr, /signature\.header/);
});
