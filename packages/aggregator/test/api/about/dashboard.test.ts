import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { problemIn, sharedServer } from '../../support/server.ts';
import { ask, withKeys } from '../../support/keyed-server.ts';

const DASHBOARD = join(import.meta.dirname, '../../../../dashboard');
const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8';

// `npm ci` builds it; a copy of the sources has none.
before(() => {
  if (!existsSync(join(DASHBOARD, 'dist/index.html')))
    execFileSync(process.execPath, [join(DASHBOARD, 'build.ts')]);
});

const service = sharedServer();

test('/dashboard and its pages are one page, which names its files by their way from there [DASH-1]', async () => {
  const { url } = service();
  for (const [path, script] of [
    ['/dashboard', '/dashboard/app.js'],
    ['/dashboard/', '/dashboard/app.js'],
    ['/dashboard/live?topic=orders.%3E', '/dashboard/app.js'],
  ] as const) {
    const page = await fetch(url + path);
    assert.equal(page.status, 200);
    assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8');
    const [, src] = /<script type="module" src="([^"]+)">/.exec(await page.text()) ?? [];
    assert.equal(new URL(src!, url + path).pathname, script, path);
    assert.equal((await fetch(new URL(src!, url + path))).status, 200);
  }
});

test('/ is the page for those who prefer HTML, and as it always was for everyone else [DASH-1, SYS-1]', async () => {
  const { url } = service();
  const page = await fetch(`${url}/`, { headers: { accept: BROWSER } });
  assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.equal(page.headers.get('vary'), 'accept');
  assert.match(await page.text(), /src="\.\/dashboard\/app\.js"/);
  for (const accept of ['*/*', 'application/json', 'application/json, text/html', 'text/plain', '']) {
    const answer = await fetch(`${url}/`, { headers: { accept } });
    assert.equal(await answer.text(), '{"message":"ChronicleWeaver is running..."}', accept);
    assert.equal(answer.headers.get('vary'), 'accept');
  }
});

test('what a browser has already is not sent again', async () => {
  const { url } = service();
  for (const path of ['/dashboard', '/dashboard/groups', '/dashboard/app.js', '/dashboard/style.css']) {
    const first = await fetch(url + path);
    const etag = first.headers.get('etag') ?? assert.fail(path);
    assert.equal(first.headers.get('cache-control'), 'no-cache');
    const again = await fetch(url + path, { headers: { 'if-none-match': etag } });
    assert.deepEqual([again.status, await again.text()], [304, ''], path);
  }
  // Two addresses of one page name its files in different ways.
  const etagOf = async (path: string): Promise<string | null> =>
    (await fetch(url + path)).headers.get('etag');
  assert.notEqual(await etagOf('/dashboard'), await etagOf('/dashboard/groups'));
});

test('only its own files are there, whatever the path says [DASH-2]', async () => {
  const { url } = service();
  for (const path of [
    '/dashboard/none.js',
    '/dashboard/a/b',
    '/dashboard/..%2f..%2fpackage.json',
    '/dashboard/build.ts',
  ])
    await problemIn(await fetch(url + path), 404, 'not_found');
});

test('no file of it needs a key, and none runs or loads anything else [DASH-2, DASH-3, KEY-1]', async (t) => {
  const { server } = await withKeys(t, { reader: { scopes: ['read'] } });
  for (const path of [
    '/dashboard',
    '/dashboard/live',
    '/dashboard/app.js',
    '/dashboard/style.css',
    '/dashboard/licences.txt',
  ]) {
    const answer = await ask(server, path);
    assert.equal(answer.status, 200, path);
    const policy = answer.headers.get('content-security-policy') ?? '';
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /, path);
    assert.match(policy, /frame-ancestors 'none'$/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  }
  await problemIn(await ask(server, '/stats'), 401, 'unauthorized');
});
